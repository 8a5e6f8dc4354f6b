"""Convert pixels of any mode and size to RGB or L within the recipe's limits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from cauldron.core.sections.rules import ImageRules

# Large images are first averaged to three times the wanted size. The result of Lanczos then looks
# the same as if the full image were scaled.
REDUCING_GAP = 3.0

# Pixels are converted in bands of this many, because converted pixels take four to twelve bytes
# each. The result is the same.
BAND_PIXELS = 1 << 22


def target_size(size: tuple[int, int], rules: ImageRules) -> tuple[int, int]:
    """The size within the recipe's limits, with the same aspect to a pixel; never larger."""
    width, height = size
    longest = max(size)
    if rules.max_side is not None and longest > rules.max_side:
        width = max(1, round(width * rules.max_side / longest))
        height = max(1, round(height * rules.max_side / longest))
    if rules.max_pixels is not None and width * height > rules.max_pixels:
        scale = math.sqrt(rules.max_pixels / (width * height))
        width, height = max(1, int(width * scale)), max(1, int(height * scale))
        # If one side would be below one pixel, the other is still too long.
        width = max(1, min(width, rules.max_pixels // height))
        height = min(height, rules.max_pixels // width)
    return width, height


def scaled(
    image: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float] | None = None
) -> Image.Image:
    """The image scaled to `size` with Lanczos.

    Args:
        box: the part of the image to use, if the decoder padded its edge.
    """
    if image.size == size:
        return image
    return image.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=REDUCING_GAP)


def flat(image: Image.Image) -> Image.Image:
    """Convert to RGB or L with 8 bits; transparent pixels become white, as in the authors' code.

    CMYK in a JPEG is read as inverted (Adobe's convention), with or without Adobe's marker. Pillow
    does so, and the authors used Pillow. Beside `image` and the result, memory holds one band.
    """
    if image.mode.startswith(("I", "F")):
        return eight_bits(image)
    if image.mode in ("RGB", "L") and not image.has_transparency_data:
        return image
    canvas: Image.Image | None = None
    for top, band in _bands(image):
        converted = _flat_band(band)
        if band.size == image.size:
            return converted
        canvas = canvas or Image.new(converted.mode, image.size)
        canvas.paste(converted, (0, top))
    assert canvas is not None, "an image has rows"
    return canvas


def _flat_band(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("L" if image.mode == "1" else "RGB")
    grey = image.mode in ("1", "L", "LA", "La")
    wanted = "LA" if grey else "RGBA"
    layered = image if image.mode == wanted else image.convert(wanted)
    canvas = Image.new("L" if grey else "RGB", image.size, "white")
    canvas.paste(layered, mask=layered.getchannel("A"))
    return canvas


def eight_bits(image: Image.Image) -> Image.Image:
    """Convert 16 or 32 bits a pixel to L.

    16-bit values are scaled by their range, see `grey_bits`. 32-bit modes (TIFF) have no fixed
    range: if all values are within 0 to 1 (floating point only), 0 to 255 or 0 to 65,535, the first
    such range is used; otherwise the range from the least to the greatest value.
    """
    bits = grey_bits(image)
    low, high = _range(image) if bits is None else (0.0, 2.0**bits - 1)
    transparent = image.info.get("transparency")
    result = np.empty((image.height, image.width), dtype=np.uint8)
    for top, band in _bands(image):
        values = _values(band)
        stretched = (values.astype(np.float32) - low) * (255 / (high - low))
        levels = np.rint(stretched).astype(np.uint8)
        if isinstance(transparent, int):
            levels[values == transparent] = 255
        result[top : top + band.height] = levels
    return Image.fromarray(result)


def grey_bits(image: Image.Image) -> int | None:
    """Bits of a grey image with 16 bits a pixel that its camera or scanner used: 10, 12 or 16.

    Sensors of 10 and 12 bits are stored in 16, unscaled. Scaled by 65,535 they would be nearly
    black. So 12 are taken if the greatest value needs 11 or 12 bits, and 10 if it needs 10. A dark
    picture of 16 bits with such a greatest value is brightened up to 128 times. Of one that needs
    fewer bits nobody can say which it is: it stays dark.

    Returns:
        None for another image.
    """
    if not image.mode.startswith("I;16"):
        return None
    needed = max(int(_values(band).max()) for _, band in _bands(image)).bit_length()
    return {10: 10, 11: 12, 12: 12}.get(needed, 16)


def _range(image: Image.Image) -> tuple[float, float]:
    """The values that become black and white, of an image with 32 bits a pixel."""
    extremes = [(values.min(), values.max()) for values in (_values(b) for _, b in _bands(image))]
    low = float(min(least for least, _ in extremes))
    high = float(max(greatest for _, greatest in extremes))
    ranges = [255.0, 65535.0] if image.mode == "I" else [1.0, 255.0, 65535.0]
    declared = [top for top in ranges if low >= 0 and high <= top]
    return (0.0, declared[0]) if declared else (low, max(high, low + 1))


def _values(image: Image.Image) -> Any:
    """Shape (height, width); what is not finite is 0."""
    values: Any = np.asarray(image)
    if image.mode.startswith("I;16"):
        return values
    return np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)


def _bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Runs of rows of about `BAND_PIXELS`, with the number of the first; a small image whole."""
    rows = max(1, BAND_PIXELS // max(1, image.width))
    if rows >= image.height:
        yield 0, image
        return
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))
