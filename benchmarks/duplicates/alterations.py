"""What people do to a picture before they publish it a second time.

Each alteration takes the decoded base and gives bytes. What is not about the encoding is written
in the base's own format (PNG, or JPEG of quality 90). Filters, border colours and strengths vary
with the generator, within the range that the name states.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageOps

from cauldron.sample.model import Rng, pick

FILTERS = (
    Image.Resampling.LANCZOS,
    Image.Resampling.BICUBIC,
    Image.Resampling.BILINEAR,
    Image.Resampling.BOX,
)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def base_bytes(image: Image.Image, kind: str, rng: Rng) -> bytes:
    """A drawing as it is first published: PNG, or JPEG of quality 82 to 95."""
    if kind == "PNG":
        return saved(image, "PNG", compress_level=3)
    return saved(image, "JPEG", quality=int(rng.integers(82, 96)))


def _same_kind(image: Image.Image, kind: str) -> bytes:
    if kind == "PNG":
        return saved(image, "PNG", compress_level=3)
    return saved(image, "JPEG", quality=90)


def resized(image: Image.Image, percent: int, rng: Rng) -> Image.Image:
    size = (round(image.width * percent / 100), round(image.height * percent / 100))
    return image.resize(size, pick(rng, FILTERS))


def brightened(image: Image.Image, percent: int) -> Image.Image:
    factor = 1 + percent / 100
    return image.point(lambda value: min(round(value * factor), 255))


def cropped(image: Image.Image, percent: int) -> Image.Image:
    """Cut `percent` off at every edge, so twice that of width and height."""
    dx, dy = round(image.width * percent / 100), round(image.height * percent / 100)
    return image.crop((dx, dy, image.width - dx, image.height - dy))


def bordered(image: Image.Image, rng: Rng) -> Image.Image:
    """An even border of 1 to 8 % of the longer side, white or black."""
    wide = max(round(max(image.size) * float(rng.uniform(0.01, 0.08))), 1)
    colour = 255 if rng.integers(2) else 0
    return ImageOps.expand(image, wide, colour if image.mode == "L" else (colour,) * 3)


def noisy(image: Image.Image, rng: Rng) -> Image.Image:
    """Gaussian noise of 2 to 6 grey levels."""
    pixels = np.asarray(image, np.float32)
    grain = rng.standard_normal(pixels.shape, dtype=np.float32) * float(rng.uniform(2, 6))
    return Image.fromarray(np.clip(pixels + grain + 0.5, 0, 255).astype(np.uint8))


def _webp(image: Image.Image, rng: Rng) -> bytes:
    if rng.integers(4) == 0:
        return saved(image, "WEBP", lossless=True, method=0)
    return saved(image, "WEBP", quality=int(rng.integers(70, 91)), method=1)


Alteration = Callable[[Image.Image, str, Rng], bytes]

ALTERATIONS: dict[str, Alteration] = {
    "jpeg 30": lambda image, kind, rng: saved(image, "JPEG", quality=30),
    "jpeg 50": lambda image, kind, rng: saved(image, "JPEG", quality=50),
    "jpeg 75": lambda image, kind, rng: saved(image, "JPEG", quality=75),
    "jpeg 90": lambda image, kind, rng: saved(image, "JPEG", quality=90),
    "to png or jpeg": lambda image, kind, rng: (
        saved(image, "JPEG", quality=95) if kind == "PNG" else saved(image, "PNG", compress_level=3)
    ),
    "to webp": lambda image, kind, rng: _webp(image, rng),
    "resize 50": lambda image, kind, rng: _same_kind(resized(image, 50, rng), kind),
    "resize 65": lambda image, kind, rng: _same_kind(resized(image, 65, rng), kind),
    "resize 80": lambda image, kind, rng: _same_kind(resized(image, 80, rng), kind),
    "darker 20": lambda image, kind, rng: _same_kind(brightened(image, -20), kind),
    "darker 10": lambda image, kind, rng: _same_kind(brightened(image, -10), kind),
    "brighter 10": lambda image, kind, rng: _same_kind(brightened(image, 10), kind),
    "brighter 20": lambda image, kind, rng: _same_kind(brightened(image, 20), kind),
    "crop 1": lambda image, kind, rng: _same_kind(cropped(image, 1), kind),
    "crop 2": lambda image, kind, rng: _same_kind(cropped(image, 2), kind),
    "crop 5": lambda image, kind, rng: _same_kind(cropped(image, 5), kind),
    "border": lambda image, kind, rng: _same_kind(bordered(image, rng), kind),
    "noise": lambda image, kind, rng: _same_kind(noisy(image, rng), kind),
    "resize 80, jpeg 75": lambda image, kind, rng: saved(
        resized(image, 80, rng), "JPEG", quality=75
    ),
    "resize 50, jpeg 50": lambda image, kind, rng: saved(
        resized(image, 50, rng), "JPEG", quality=50
    ),
    "crop 2, jpeg 75": lambda image, kind, rng: saved(cropped(image, 2), "JPEG", quality=75),
}

# Alterations that are reported together.
GROUPS: dict[str, tuple[str, ...]] = {
    "re-encoding": ("jpeg 30", "jpeg 50", "jpeg 75", "jpeg 90"),
    "format": ("to png or jpeg", "to webp"),
    "resize": ("resize 50", "resize 65", "resize 80"),
    "brightness": ("darker 20", "darker 10", "brighter 10", "brighter 20"),
    "crop, 1 % an edge": ("crop 1",),
    "crop, 2 % an edge": ("crop 2",),
    "crop, 5 % an edge": ("crop 5",),
    "border": ("border",),
    "noise": ("noise",),
    "two at once": ("resize 80, jpeg 75", "resize 50, jpeg 50", "crop 2, jpeg 75"),
}
