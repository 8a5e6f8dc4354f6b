"""The mixture: which samples it takes, how often, and in which order."""
