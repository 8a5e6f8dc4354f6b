"""Cauldron: build the training mixtures of Idefics3 from their public parts."""

__version__ = "0.1.0"
