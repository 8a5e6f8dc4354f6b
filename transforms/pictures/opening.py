"""Open images that are not trusted: the format by content, limits before any pixel is decoded.

Only the parsers below are used: others of Pillow run Ghostscript or parse rare containers.
"""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Iterator

from cauldron.transforms.pictures.announced import announced_size
from deflate import crc32
from PIL import Image, ImageFile
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from cauldron.core.errors import NotKept
from cauldron.core.sections.rules import ImageRules

JPEG_START = b"\xff\xd8\xff"

_FORMATS: tuple[tuple[bytes, type[ImageFile.ImageFile]], ...] = (
    (JPEG_START, JpegImageFile),
    (b"\x89PNG\r\n\x1a\n", PngImageFile),
    (b"RIFF", WebPImageFile),
    (b"GIF87a", GifImageFile),
    (b"GIF89a", GifImageFile),
    (b"BM", BmpImageFile),
    (b"II*\0", TiffImageFile),
    (b"MM\0*", TiffImageFile),
    (b"II+\0", TiffImageFile),
    (b"MM\0+", TiffImageFile),
    (b"ftypavif", AvifImageFile),
    (b"ftypavis", AvifImageFile),
    (b"ftypmif1", AvifImageFile),
)
_BOX_HEADER = 4  # bytes with the length of a box, before its type, in ISO media files
MAGIC_BYTES = 12  # of a file: enough to tell every format by


class ImageProblem(NotKept):
    """An image that cannot be stored."""


def open_image(data: bytes, rules: ImageRules) -> ImageFile.ImageFile:
    """Parse the header, with the parser for the content."""
    parser = next((parser for start, parser in _FORMATS if _starts(data, start)), None)
    if parser is None:
        raise ImageProblem("image_unreadable", f"no known image format, it starts {data[:12]!r}")
    _check_announced(data, rules)
    # Not Image.open, whose limit on pixels is a global of the process.
    image = parser(io.BytesIO(data))
    _check_size(*image.size, rules)
    return image


def has_image_start(data: bytes) -> bool:
    """Whether a file that begins so has one of the formats that are read."""
    return any(_starts(data, start) for start, _ in _FORMATS)


def check_pixels(data: bytes, most: int) -> None:
    """Check the size that an image's header announces; a header that cannot be read is let through.

    Raises:
        ImageProblem: ``image_too_large``.
    """
    size = announced_size(data)
    if size is not None and size[0] * size[1] <= most:
        return
    try:
        with decoding():
            open_image(data, ImageRules(hard_max_pixels=most)).close()
    except ImageProblem as problem:
        if problem.reason == "image_too_large":
            raise


def _starts(data: bytes, start: bytes) -> bool:
    return data.startswith(start, _BOX_HEADER if start.startswith(b"ftyp") else 0)


def _check_announced(data: bytes, rules: ImageRules) -> None:
    """Check the size of a WebP before Pillow, which allocates its pixels while opening it."""
    if not data.startswith(b"RIFF"):
        return
    if data[8:16] == b"WEBPVP8X" and len(data) >= 30:
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        _check_size(width, height, rules)
    announced = int.from_bytes(data[4:8], "little") + 8
    if announced > len(data):
        message = f"a WebP of {announced} bytes ends after {len(data)}"
        raise ImageProblem("image_truncated", message)


def _check_size(width: int, height: int, rules: ImageRules) -> None:
    if width * height > rules.hard_max_pixels:
        message = f"{width} x {height} pixels, the limit is {rules.hard_max_pixels}"
        raise ImageProblem("image_too_large", message)
    if rules.drop_side is not None and max(width, height) > rules.drop_side:
        message = f"{width} x {height} pixels, the limit for a side is {rules.drop_side}"
        raise ImageProblem("long_side", message)
    aspect = max(width, height) / max(1, min(width, height))
    if rules.max_aspect is not None and aspect > rules.max_aspect:
        message = f"{width} x {height} is {aspect:.2f} : 1, the limit is {rules.max_aspect:g}"
        raise ImageProblem("aspect_ratio", message)


def check_png(data: bytes) -> None:
    """Check the chunks of a PNG: Pillow ignores wrong checksums of pixel data and a missing end."""
    position, view = 8, memoryview(data)
    while True:
        end = position + 12
        if end <= len(data):
            length, name = struct.unpack_from(">I4s", data, position)
            end += length
        if end > len(data):
            raise ImageProblem("image_truncated", f"a PNG ends inside a chunk, at {len(data)}")
        is_critical = not name[0] & 0x20
        if is_critical and crc32(view[position + 4 : end - 4]) != int.from_bytes(
            view[end - 4 : end], "big"
        ):
            message = f"the checksum of PNG chunk {name!r} at {position} is wrong"
            raise ImageProblem("image_unreadable", message)
        if name == b"IEND":
            return
        position = end


@contextlib.contextmanager
def decoding() -> Iterator[None]:
    """Turn exceptions of decoders into an `ImageProblem`."""
    try:
        yield
    except (ImageProblem, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise ImageProblem("image_too_large", str(error)) from error
    except Exception as error:
        # Pillow raises SyntaxError for a truncated header; the cause tells.
        ran_out = isinstance(error.__cause__, IndexError | EOFError | struct.error)
        truncated = ran_out or "truncated" in str(error).lower()
        reason = "image_truncated" if truncated else "image_unreadable"
        raise ImageProblem(reason, f"{type(error).__name__}: {error}") from error
