"""Candidate pairs: all pictures whose perceptual hashes are near each other."""
