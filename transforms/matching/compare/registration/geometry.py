"""Where one picture lies in another: a scale and a shift of each axis."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from cauldron.transforms.compiled import compiled
from cauldron.transforms.matching.compare.scaling import Plane
from cauldron.transforms.matching.compare.tone import F64


class Geometry(NamedTuple):
    """Place in the first picture = scale * place in the second + shift; frames are -0.5 to 0.5."""

    across: float
    right: float
    down: float
    below: float

    def inverse(self) -> Geometry:
        return Geometry(
            1 / self.across, -self.right / self.across, 1 / self.down, -self.below / self.down
        )

    def moved(self, by: F64, width: int, height: int) -> Geometry:
        """After a change of scale and shift of each axis, in pixels of the second picture."""
        return Geometry(
            self.across * (1 + by[0] / width),
            self.right + self.across * by[1] / width,
            self.down * (1 + by[2] / height),
            self.below + self.down * by[3] / height,
        )

    def apart(self, other: Geometry, width: int, height: int) -> float:
        """The largest distance of a corner in both geometries, in pixels of the second picture."""
        x = abs(self.right - other.right) + abs(self.across - other.across) / 2
        y = abs(self.below - other.below) + abs(self.down - other.down) / 2
        return max(x * width, y * height)

    def shared(self) -> float:
        """The smallest share of a side of either picture that lies in the other."""
        across = _overlap(self.across, self.right)
        down = _overlap(self.down, self.below)
        return min(across, across * self.across, down, down * self.down)

    def window(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Left, top, right, bottom of the second picture's pixels that the first one covers."""
        x0, x1 = covered(self.across, self.right, width)
        y0, y1 = covered(self.down, self.below, height)
        return x0, y0, x1, y1


def _overlap(scale: float, shift: float) -> float:
    return min(0.5, (0.5 - shift) / scale) - max(-0.5, (-0.5 - shift) / scale)


@compiled
def covered(scale: float, shift: float, pixels: int) -> tuple[int, int]:
    # Geometries of whole pixels are off their edges by rounding errors.
    low = ((-0.5 - shift) / scale + 0.5) * pixels - 1e-6
    high = ((0.5 - shift) / scale + 0.5) * pixels + 1e-6
    return max(0, int(np.ceil(low))), min(pixels, int(np.floor(high)))


_AS_IT_IS = Geometry(1.0, 0.0, 1.0, 0.0)


def warped(plane: Plane, geometry: Geometry, width: int, height: int) -> Plane:
    """The first picture on the grid of the second, bilinearly; both have about the same scale."""
    high, wide = plane.shape[:2]
    if geometry == _AS_IT_IS and (wide, high) == (width, height):
        return plane
    x = wide * (geometry.across * (0.5 / width - 0.5) + geometry.right + 0.5) - 0.5
    y = high * (geometry.down * (0.5 / height - 0.5) + geometry.below + 0.5) - 0.5
    across, down = geometry.across * wide / width, geometry.down * high / height
    matrix = np.array([[across, 0, x], [0, down, y]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(
        plane, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
