"""Tables printed to the terminal."""
