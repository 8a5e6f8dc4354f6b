"""Where one picture lies in another."""
