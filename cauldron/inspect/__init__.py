"""Reading an output folder: queries, checks, explanations, tables."""
