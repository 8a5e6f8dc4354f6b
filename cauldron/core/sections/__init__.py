"""Sections of a recipe, as pydantic models that also the trainer may read."""
