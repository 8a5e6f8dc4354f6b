"""The miniature hub: every source in its published layout, drawn here, with planted trouble."""

from cauldron.sample.hub import write_sample_hub

__all__ = ["write_sample_hub"]
