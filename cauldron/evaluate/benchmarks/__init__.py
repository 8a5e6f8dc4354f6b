"""The benchmarks: how a model is asked, how its text is read, and how answers are counted."""
