"""How much a published file lost when it was compressed, to choose among equal copies."""

from __future__ import annotations

from PIL import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

# The loss of a palette: at most 256 colours, otherwise exact.
PALETTE_LOSS = 1
# The loss of a lossy file that does not say how lossy it is: WebP, AVIF, JPEG in TIFF. It comes
# after every JPEG.
UNKNOWN_LOSS = 65_535

_LOSSLESS = ("PNG", "GIF", "BMP", "TIFF")


def loss_of(image: ImageFile.ImageFile, data: bytes) -> int:
    """0 for a lossless file, more for more loss.

    For a JPEG it is the sum of the quantisation table of its brightness: 64 at quality 100, 369 at
    95, 3,688 at 50 (libjpeg's scale).

    Args:
        image: the opened file, before its pixels are converted.
        data: its bytes.
    """
    if isinstance(image, JpegImageFile):
        tables = image.quantization
        return min(sum(tables[min(tables)]), UNKNOWN_LOSS - 1) if tables else UNKNOWN_LOSS
    if isinstance(image, WebPImageFile):
        return 0 if _is_lossless_webp(data) else UNKNOWN_LOSS
    jpeg_inside = isinstance(image, TiffImageFile) and "jpeg" in image.info.get("compression", "")
    if image.format not in _LOSSLESS or jpeg_inside:
        return UNKNOWN_LOSS
    return PALETTE_LOSS if image.mode in ("P", "PA") else 0


def _is_lossless_webp(data: bytes) -> bool:
    """Whether the first picture is in a ``VP8L`` chunk; of an animation it is not looked for."""
    at = 12
    while at + 8 <= len(data):
        name = data[at : at + 4]
        if name in (b"VP8L", b"VP8 "):
            return name == b"VP8L"
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + length + length % 2
    return False
