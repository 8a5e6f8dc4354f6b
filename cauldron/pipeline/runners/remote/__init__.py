"""What workers on other machines get and check before they work."""
