"""A build and its steps, each one Beam job or more."""
