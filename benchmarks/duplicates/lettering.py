"""What tells two drawings apart: one other digit, and how many pixels show a change."""

from __future__ import annotations

import numpy as np
from PIL import Image

from cauldron.sample.model import Rng


def grown(image: Image.Image, across: float, down: float) -> Image.Image:
    """A picture resampled by two factors: edges fall between pixels, as plotting programs draw."""
    size = (max(round(image.width * across), 1), max(round(image.height * down), 1))
    return image.resize(size, Image.Resampling.BICUBIC)


def other_digit(text: str, rng: Rng) -> str:
    """`text` with one of its digits changed, never the first of a number to zero."""
    places = [i for i, letter in enumerate(text) if letter.isdigit()]
    if not places:
        raise ValueError(f"no digit in {text!r}")
    at = places[int(rng.integers(len(places)))]
    leads = at == 0 or not text[at - 1].isdigit()
    wanted = [d for d in ("123456789" if leads else "0123456789") if d != text[at]]
    return text[:at] + wanted[int(rng.integers(len(wanted)))] + text[at + 1 :]


def visible_difference(first: Image.Image, second: Image.Image) -> int:
    """How many pixels differ by 48 of 255 or more in a channel; all of them if the sizes differ."""
    if first.size != second.size:
        return max(first.width * first.height, second.width * second.height)
    a, b = (np.asarray(image.convert("RGB"), np.int16) for image in (first, second))
    return int((np.abs(a - b).max(axis=2) >= 48).sum())
