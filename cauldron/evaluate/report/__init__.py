"""What ``cauldron eval`` prints and writes once all is scored."""
