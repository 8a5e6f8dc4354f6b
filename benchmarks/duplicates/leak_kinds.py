"""What becomes of a benchmark's picture before it stands in training data."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

from benchmarks.duplicates.alterations import resized, saved
from cauldron.sample.model import Rng

Leak = Callable[[Image.Image, Sequence[Image.Image], Rng], bytes]

_TEXT = "Some words of the page that stand beside the picture, line"


def jpeg(image: Image.Image) -> bytes:
    return saved(image, "JPEG", quality=88)


def cropped(image: Image.Image, *shares: float) -> Image.Image:
    """Cut shares of left, top, right and bottom off."""
    width, height = image.size
    left, top, right, bottom = shares
    box = left * width, top * height, (1 - right) * width, (1 - bottom) * height
    return image.crop(tuple(map(round, box)))


def bordered(image: Image.Image, share: float, rng: Rng) -> Image.Image:
    level = int(rng.choice([0, 120, 255]))
    return ImageOps.expand(image, round(share * max(image.size)), (level,) * 3)


def captioned(image: Image.Image, rng: Rng) -> Image.Image:
    """With a line of text below, of a tenth to a quarter of the height."""
    below = round(image.height * float(rng.uniform(0.1, 0.25)))
    sheet = Image.new("RGB", (image.width, image.height + below), "white")
    sheet.paste(image, (0, 0))
    font = ImageFont.load_default(max(10, below // 4))
    text = "Figure 3: what the picture shows, in a few words."
    ImageDraw.Draw(sheet).text((10, image.height + 5), text, fill="black", font=font)
    return sheet


def screenshot(image: Image.Image, rng: Rng) -> Image.Image:
    """On a page in a window, at 45 to 70 % of its sides."""
    width = round(image.width / float(rng.uniform(0.45, 0.7)))
    height = max(round(image.height / float(rng.uniform(0.45, 0.7))), image.height + 80)
    screen = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(screen)
    draw.rectangle((0, 0, width, height // 14), fill=(222, 225, 230))
    for line in range(14):
        place = 20, height // 14 + 10 + line * (height // 16)
        draw.text(place, f"{_TEXT} {line}", fill=(40, 40, 40))
    across, down = float(rng.uniform(0.3, 0.9)), float(rng.uniform(0.4, 0.9))
    screen.paste(
        image, (round((width - image.width) * across), round((height - image.height) * down))
    )
    return screen


def collage(image: Image.Image, others: Sequence[Image.Image], rng: Rng) -> Image.Image:
    """One of two times two pictures, 1,400 pixels at most."""
    side = max(image.size)
    tiles = list(others[:3])
    tiles.insert(int(rng.integers(len(tiles) + 1)), image)
    sheet = Image.new("RGB", (2 * side, 2 * side), "white")
    for place, tile in enumerate(tiles):
        fitted = ImageOps.contain(tile, (side, side))
        left, top = place % 2 * side, place // 2 * side
        sheet.paste(fitted, (left + (side - fitted.width) // 2, top + (side - fitted.height) // 2))
    return ImageOps.contain(sheet, (1400, 1400)) if 2 * side > 1400 else sheet


def watermarked(image: Image.Image, rng: Rng) -> Image.Image:
    """Three lines of half-transparent letters over the picture."""
    mask = Image.new("L", image.size, 0)
    font = ImageFont.load_default(max(12, image.width // 14))
    for line in range(3):
        place = image.width * float(rng.uniform(0.02, 0.4)), image.height * (0.15 + 0.3 * line)
        ImageDraw.Draw(mask).text(place, "(c) example.org", fill=110, font=font)
    return Image.composite(Image.new("RGB", image.size, (128, 128, 128)), image, mask)


def _one_sided(rng: Rng) -> list[float]:
    return np.roll([0.2, 0, 0, 0], int(rng.integers(4))).tolist()


LEAKS: dict[str, Leak] = {
    "PNG of the pixels": lambda image, others, rng: saved(image, "PNG", compress_level=1),
    "JPEG 60": lambda image, others, rng: saved(image, "JPEG", quality=60),
    "scaled to 60 %": lambda image, others, rng: jpeg(resized(image, 60, rng)),
    "crop, 2.5 % an edge": lambda image, others, rng: jpeg(cropped(image, *[0.025] * 4)),
    "crop, 5 % an edge": lambda image, others, rng: jpeg(cropped(image, *[0.05] * 4)),
    "crop, 10 % an edge": lambda image, others, rng: jpeg(cropped(image, *[0.1] * 4)),
    "crop, 20 % an edge": lambda image, others, rng: jpeg(cropped(image, *[0.2] * 4)),
    "crop, 20 % of one side": lambda image, others, rng: jpeg(cropped(image, *_one_sided(rng))),
    "border of 3 %": lambda image, others, rng: jpeg(bordered(image, 0.03, rng)),
    "border of 12 %": lambda image, others, rng: jpeg(bordered(image, 0.12, rng)),
    "caption below": lambda image, others, rng: jpeg(captioned(image, rng)),
    "in a screenshot": lambda image, others, rng: saved(screenshot(image, rng), "PNG"),
    "in a collage of four": lambda image, others, rng: jpeg(collage(image, others, rng)),
    "mirrored": lambda image, others, rng: jpeg(ImageOps.mirror(image)),
    "watermark": lambda image, others, rng: jpeg(watermarked(image, rng)),
    "grey": lambda image, others, rng: jpeg(image.convert("L")),
    "palette of 64 or 256": lambda image, others, rng: saved(
        image.quantize(int(rng.choice([64, 256]))).convert("RGB"), "PNG"
    ),
    "saturation 50 or 160 %": lambda image, others, rng: jpeg(
        ImageEnhance.Color(image).enhance(float(rng.choice([0.5, 1.6])))
    ),
    "contrast 70 or 130 %": lambda image, others, rng: jpeg(
        ImageEnhance.Contrast(image).enhance(float(rng.choice([0.7, 1.3])))
    ),
}
