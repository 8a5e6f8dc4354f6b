"""Cauldron builds the training mixtures of Idefics3 from their public parts."""

from pathlib import Path

__version__ = "0.1.0"

# In a checkout, `sources/`, `transforms/` and `training/` lie beside this folder, not in it. With
# `python -m` in the checkout's root, Python finds this folder first, however it is installed.
_beside = Path(__file__).parent.parent
if not (Path(__file__).parent / "sources").exists() and (_beside / "sources/catalog.py").exists():
    __path__.append(str(_beside))
