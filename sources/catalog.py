"""Imports every reader, so that each registers its sources."""

from sources import iiw_400, sharegpt_4o, text_only

__all__ = ["iiw_400", "sharegpt_4o", "text_only"]
