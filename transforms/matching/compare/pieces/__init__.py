"""A second look at two drawings that were found the same, by pieces of ink."""
