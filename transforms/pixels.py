"""Pixels of any mode and size to RGB or L within the recipe's limits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from PIL import Image

from cauldron.core.rules import ImageRules

# Blocks are averaged down to three times the wanted size before Lanczos, so that it sees enough
# pixels to be indistinguishable from a scaling of the whole.
REDUCING_GAP = 3.0


def target_size(size: tuple[int, int], rules: ImageRules) -> tuple[int, int]:
    """The size within the recipe's limits, aspect kept to within a pixel; never scaled up."""
    width, height = size
    longest = max(size)
    if rules.max_side is not None and longest > rules.max_side:
        width = max(1, round(width * rules.max_side / longest))
        height = max(1, round(height * rules.max_side / longest))
    if rules.max_pixels is not None and width * height > rules.max_pixels:
        scale = math.sqrt(rules.max_pixels / (width * height))
        width, height = max(1, int(width * scale)), max(1, int(height * scale))
        # A side that cannot go below one pixel leaves the other too long.
        width = max(1, min(width, rules.max_pixels // height))
        height = min(height, rules.max_pixels // width)
    return width, height


def scaled(
    image: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float] | None = None
) -> Image.Image:
    """The image at `size`, Lanczos.

    Args:
        box: the part of the image that counts, where a decoder padded its edge.
    """
    if image.size == size:
        return image
    return image.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=REDUCING_GAP)


def flat(image: Image.Image) -> Image.Image:
    """RGB or L, 8 bits; whatever is transparent lies on white, as in the authors' code.

    CMYK in a JPEG is taken as inverted, the Adobe convention, whether its marker is there or not:
    so Pillow reads it, and so the authors saw it.
    """
    if image.mode.startswith(("I", "F")):
        return eight_bits(image)
    if not image.has_transparency_data:
        if image.mode in ("RGB", "L"):
            return image
        return image.convert("L" if image.mode == "1" else "RGB")
    grey = image.mode in ("1", "L", "LA", "La")
    wanted = "LA" if grey else "RGBA"
    layered = image if image.mode == wanted else image.convert(wanted)
    canvas = Image.new("L" if grey else "RGB", image.size, "white")
    canvas.paste(layered, mask=layered.getchannel("A"))
    return canvas


def eight_bits(image: Image.Image) -> Image.Image:
    """16 and 32 bits a pixel to L.

    16 bits are scaled by their range. The 32-bit modes (TIFF) declare none: values from 0 to 1 in
    floating point, to 255 or to 65,535 are taken for these ranges, all others are stretched from
    least to greatest.
    """
    values: Any = np.asarray(image)
    transparent = image.info.get("transparency")
    if image.mode.startswith("I;16"):
        low, high = 0.0, 65535.0
    else:
        values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
        low, high = float(values.min()), float(values.max())
        ranges = [255.0, 65535.0] if image.mode == "I" else [1.0, 255.0, 65535.0]
        declared = [top for top in ranges if low >= 0 and high <= top]
        low, high = (0.0, declared[0]) if declared else (low, max(high, low + 1))
    stretched = (values.astype(np.float32) - low) * (255 / (high - low))
    result = np.rint(stretched).astype(np.uint8)
    if isinstance(transparent, int):
        result[values == transparent] = 255
    return Image.fromarray(result)
