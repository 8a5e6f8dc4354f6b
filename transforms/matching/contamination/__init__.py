"""Training rows that show a benchmark's picture, with evidence."""
