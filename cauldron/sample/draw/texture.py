"""Noise with the spectrum of natural scenes, and what turns it into light and surface.

Natural photographs have amplitude spectra near 1/f; pictures made of such noise behave like
photographs under JPEG and under perceptual hashes. The fields are made once per hub (a
1024 x 1024 inverse FFT each), and every picture cuts its own windows out of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from cauldron.sample.draw.ink import Color
from cauldron.sample.model import Rng

# float32 throughout; the stubs widen arithmetic with Python floats.
Array = npt.NDArray[np.floating[Any]]
SIDE = 1024
SLOPES = {"rough": 1.0, "cloud": 1.6, "smooth": 2.2}


def _field(rng: Rng, slope: float) -> Array:
    fy = np.fft.fftfreq(SIDE)[:, None]
    fx = np.fft.rfftfreq(SIDE)[None, :]
    reach = np.hypot(fy, fx)
    reach[0, 0] = 1
    shape = (SIDE, SIDE // 2 + 1)
    white = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    spectrum = white / reach**slope
    # Without the very lowest frequencies every window has about the same mean and contrast.
    spectrum[reach < 2.5 / SIDE] = 0
    field = np.fft.irfft2(spectrum, (SIDE, SIDE))
    scaled: Array = ((field - field.mean()) / field.std()).astype(np.float32)
    return scaled


class Textures:
    """The noise fields of one hub."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 1])
        self.fields = {name: _field(rng, slope) for name, slope in SLOPES.items()}
        self.fields["grain"] = rng.standard_normal((SIDE, SIDE), dtype=np.float32)
        # The derivative of a rough height field, lit from the upper left: rock, grass, plaster.
        rough = self.fields["rough"] + 0.6 * self.fields["cloud"]
        relief = (rough - np.roll(rough, 2, 0)) + (rough - np.roll(rough, 2, 1))
        self.fields["relief"] = (relief / relief.std()).astype(np.float32)

    def window(
        self, kind: str, height: int, width: int, rng: Rng, zoom: tuple[float, float] = (1, 1)
    ) -> Array:
        """A window of noise, mean about 0 and deviation about 1.

        Args:
            zoom: stretch of the noise, vertical and horizontal; above 1, larger features.
        """
        h = min(max(round(height / zoom[0]), 2), SIDE)
        w = min(max(round(width / zoom[1]), 2), SIDE)
        top, left = int(rng.integers(SIDE - h + 1)), int(rng.integers(SIDE - w + 1))
        piece: Array = self.fields[kind][top : top + h, left : left + w]
        if (h, w) == (height, width):
            return piece
        stretched = Image.fromarray(np.ascontiguousarray(piece))
        return np.asarray(stretched.resize((width, height), Image.Resampling.BICUBIC), np.float32)


def shade(color: Color) -> Array:
    return np.array(color, np.float32) / 255


def times(light: Array, factor: Array) -> Array:
    """Light with each pixel multiplied by its factor.

    One channel after another: over an axis of three NumPy's loops take about ten times as long.

    Args:
        light: height x width x 3, or what spreads over that.
        factor: height x width.
    """
    done = np.empty((*factor.shape, 3), np.float32)
    for channel in range(3):
        np.multiply(light[..., channel], factor, out=done[..., channel])
    return done


def blend(under: Array, over: Array, alpha: Array | float) -> Array:
    change = over - under
    if not isinstance(alpha, np.ndarray):
        return under + change * alpha
    done = times(change, alpha)
    done += under
    return done


def clip(values: Array, low: float = 0, high: float = 1) -> Array:
    return np.clip(values, low, high)


def smooth_step(values: Array, low: float, high: float) -> Array:
    part = clip((values - low) / (high - low))
    return part * part * (3 - 2 * part)


def develop(light: Array, textures: Textures, rng: Rng) -> Image.Image:
    """Linear light to a photograph: vignette, film grain, 8 bits.

    Args:
        light: height x width x 3, 0 to 1.
    """
    height, width, _ = light.shape
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    vignette = 1 - 0.11 * (x * x + y * y)
    noise = textures.window("grain", height, width, rng) * 0.018
    pixels = times(light, vignette)
    for channel in range(3):
        pixels[..., channel] += noise
    np.clip(pixels, 0, 1, out=pixels)
    pixels *= 255
    pixels += 0.5
    return Image.fromarray(pixels.astype(np.uint8))


def scanned(page: Image.Image, textures: Textures, rng: Rng) -> Image.Image:
    """A grey page through an old scanner: slightly turned, uneven paper, dust."""
    turned = page.rotate(float(rng.uniform(-0.7, 0.7)), Image.Resampling.BILINEAR, fillcolor=250)
    pixels: Array = np.asarray(turned, np.float32)
    height, width = pixels.shape
    paper = textures.window("smooth", height, width, rng, (3, 3)) * 3 + 240
    dust = textures.window("grain", height, width, rng, (1.3, 1.3)) > 4.0
    pixels = pixels / 255 * paper * np.where(dust, 0.5, 1)
    return Image.fromarray(clip(pixels, 0, 255).astype(np.uint8))


def on_table(
    slip: Image.Image, textures: Textures, rng: Rng, border: tuple[int, int], turn: float
) -> Image.Image:
    """A photograph of a grey slip of paper, turned by `turn` degrees, on a table."""
    x, y = border
    width, height = slip.width + 2 * x, slip.height + 2 * y
    fibre = textures.window("rough", height, width, rng, (6, 0.5))[..., None]
    crease = textures.window("smooth", height, width, rng, (1.4, 1.4))[..., None]
    sheet, cover = Image.new("L", (width, height)), Image.new("L", (width, height))
    sheet.paste(slip.filter(ImageFilter.GaussianBlur(0.5)), (x, y))
    cover.paste(255, (x, y, x + slip.width, y + slip.height))
    paper, mask = (
        np.asarray(image.rotate(turn, Image.Resampling.BICUBIC), np.float32) / 255
        for image in (sheet, cover)
    )
    lit = paper[..., None] * shade((250, 247, 240)) * (0.94 + 0.035 * crease)
    fall = np.linspace(1.05, 0.8, height, dtype=np.float32)[:, None, None]
    light = blend(shade((128, 92, 64)) * (1 + 0.14 * fibre), lit, mask) * fall
    return develop(light, textures, rng)
