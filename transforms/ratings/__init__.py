"""Ratings: the turns of a corpus, rated from 1 to 5 by models."""
