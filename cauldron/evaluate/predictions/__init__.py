"""What a model says to each item: asked for, and kept on disk."""
