"""The trainer's room. It reads mixtures by their manifest and imports neither Beam nor sources."""
