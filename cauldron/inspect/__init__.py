"""What reads an output folder: queries, checks, explanations, tables."""
