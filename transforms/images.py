"""An image as published in, an image fit to be stored out: checked, hashed, rarely re-encoded.

Bytes pass through unchanged when every reader takes them as they are: JPEG, PNG and still WebP,
RGB or L, upright, within the recipe's limits. Everything else is decoded and written anew: JPEG
as JPEG (quality 95, no chroma subsampling), the rest as PNG (level 4: level 6 takes a fifth to a
half longer for nothing on photographs and 2 % on pages), always without metadata. A colour
profile goes with it: what reads training data reads pixel values and ignores profiles, also in
the files that keep theirs.

An image is decoded once. For a JPEG that passes, that is a grey decode at a fraction of its size,
which proves that the file is whole and feeds all hashes. Microseconds of one core:

                                      header  SHA-256  checksums  decode  signature    all
    photograph 640 x 480, JPEG 66 kB      23       33          -     508        130    690
    A4 page at 150 dpi, PNG 164 kB        25       81         29   5,460        651  6,270

SHA-256 and the one decode, which nothing can do without, are 78 and 88 % of that.

Every image is hostile until checked. The format is told by content; only the parsers below are
ever reached (Pillow's others run Ghostscript or parse exotic containers); size limits hold for
what the header announces, before any pixel is decoded.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import math
import struct
import types
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from cauldron.sources.base import RawImage
from cauldron.transforms.hashes import SHORTEST_SIDE
from cauldron.transforms.pixels import REDUCING_GAP, flat, scaled, target_size
from cauldron.transforms.signatures import Signature, sign
from PIL import ExifTags, Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from cauldron.core.rules import ImageRules
from cauldron.core.schema import ImageInfo

_FORMATS: tuple[tuple[bytes, type[ImageFile.ImageFile]], ...] = (
    (b"\xff\xd8\xff", JpegImageFile),
    (b"\x89PNG\r\n\x1a\n", PngImageFile),
    (b"RIFF", WebPImageFile),
    (b"GIF87a", GifImageFile),
    (b"GIF89a", GifImageFile),
    (b"BM", BmpImageFile),
    (b"II*\0", TiffImageFile),
    (b"MM\0*", TiffImageFile),
    (b"II+\0", TiffImageFile),
    (b"MM\0+", TiffImageFile),
)
_PASSED = (JpegImageFile, PngImageFile, WebPImageFile)
_JPEG_END = b"\xff\xd9"

# Where EXIF or XMP may say which way is up; asking Pillow without one of these costs a decode.
_ORIENTED_BY = ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif")
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_UNREADABLE = 0

# Pillow's `load` with its switch for truncated files on. The switch is a global of the module,
# so turning it would change what other threads decode; a copy with globals of its own does not.
_lenient_load = types.FunctionType(
    ImageFile.ImageFile.load.__code__, {**vars(ImageFile), "LOAD_TRUNCATED_IMAGES": True}
)


class ImageProblem(Exception):  # noqa: N818 - an outcome of the data, not of the program
    """An image that cannot be stored.

    Attributes:
        reason: a code from `cauldron.core.reasons`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[ImageProblem], tuple[str, str]]:
        return type(self), (self.reason, str(self))


@dataclass(slots=True)
class StoredImage:
    """An image as it is written.

    Attributes:
        digest: SHA-256 hex of what was published, which the sample's id is made from.
    """

    data: bytes
    info: ImageInfo
    digest: str
    signature: Signature


def prepare_image(raw: RawImage, rules: ImageRules) -> StoredImage:
    """Check an image, hash it, and re-encode it where it must be.

    A JPEG without its end marker, a PNG without its last chunk and a WebP shorter than it says
    count as truncated even where all pixels are there: other readers refuse them. Bytes after the
    end are no fault. Of animations and multi-page files the first picture is kept.

    Raises:
        ImageProblem: it is empty, cannot be decoded, ends early, or breaks a limit of `rules`.
    """
    data = raw.data
    if not data:
        raise ImageProblem("missing_image", "the image has no bytes")
    published = hashlib.sha256(data).hexdigest()
    digest = raw.digest or published
    try:
        with _decoding():
            return _checked(data, published, digest, rules)
    except ImageProblem as problem:
        if not (rules.accept_truncated and problem.reason == "image_truncated"):
            raise
    with _decoding():
        return _salvaged(data, digest, rules)


def _checked(data: bytes, published: str, digest: str, rules: ImageRules) -> StoredImage:
    image = _open(data, rules)
    if isinstance(image, PngImageFile):
        _check_png(data)
    if not _may_pass(image, rules):
        return _reencoded(image, digest, rules)
    (width, height), mode = image.size, image.mode
    if isinstance(image, JpegImageFile):
        image.draft("L", (SHORTEST_SIDE, SHORTEST_SIDE))
    image.load()
    if isinstance(image, PngImageFile) and _orientation(image) != 1:
        return _reencoded(image, digest, rules)  # PNG may say it after the pixels
    phash, signature = sign(image, whole=not isinstance(image, JpegImageFile))
    info = ImageInfo(
        width=width,
        height=height,
        format=str(image.format),
        mode=mode,
        sha256=published,
        phash=phash,
    )
    return StoredImage(data, info, digest, signature)


def _salvaged(data: bytes, digest: str, rules: ImageRules) -> StoredImage:
    """What decodes of a file that ends early, re-encoded so that the stored one is whole.

    TIFF and WebP decode whole or not at all.
    """
    # A progressive JPEG shows nothing before its decoder has seen an end.
    image = _open(data + _JPEG_END if data.startswith(_FORMATS[0][0]) else data, rules)
    if isinstance(image, PngImageFile | GifImageFile | BmpImageFile):
        _lenient_load(image)
    return _reencoded(image, digest, rules)


def _open(data: bytes, rules: ImageRules) -> ImageFile.ImageFile:
    """Parse the header alone, by the parser that the content asks for."""
    parser = next((parser for start, parser in _FORMATS if data.startswith(start)), None)
    if parser is None:
        raise ImageProblem("image_unreadable", f"no known image format, it starts {data[:12]!r}")
    _check_announced(data, rules)
    # Not Image.open: its own limit on pixels is one global for the whole process.
    image = parser(io.BytesIO(data))
    _check_size(*image.size, rules)
    return image


def _check_announced(data: bytes, rules: ImageRules) -> None:
    """Refuse by size what Pillow would allocate for already while it opens the file."""
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
    aspect = max(width, height) / max(1, min(width, height))
    if rules.max_aspect is not None and aspect > rules.max_aspect:
        message = f"{width} x {height} is {aspect:.2f} : 1, the limit is {rules.max_aspect:g}"
        raise ImageProblem("aspect_ratio", message)


def _check_png(data: bytes) -> None:
    """Walk the chunks: Pillow skips the checksums of pixel data, and does not miss the end."""
    position, view = 8, memoryview(data)
    while True:
        end = position + 12
        if end <= len(data):
            length, name = struct.unpack_from(">I4s", data, position)
            end += length
        if end > len(data):
            raise ImageProblem("image_truncated", f"a PNG ends inside a chunk, at {len(data)}")
        is_critical = not name[0] & 0x20
        if is_critical and zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(
            view[end - 4 : end], "big"
        ):
            message = f"the checksum of PNG chunk {name!r} at {position} is wrong"
            raise ImageProblem("image_unreadable", message)
        if name == b"IEND":
            return
        position = end


@contextlib.contextmanager
def _decoding() -> Iterator[None]:
    """Whatever a decoder raises on bytes from outside is a problem of the image."""
    try:
        yield
    except (ImageProblem, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise ImageProblem("image_too_large", str(error)) from error
    except Exception as error:
        # Pillow turns what it meets at the end of a header into SyntaxError, and keeps the cause.
        ran_out = isinstance(error.__cause__, IndexError | EOFError | struct.error)
        truncated = ran_out or "truncated" in str(error).lower()
        reason = "image_truncated" if truncated else "image_unreadable"
        raise ImageProblem(reason, f"{type(error).__name__}: {error}") from error


def _may_pass(image: ImageFile.ImageFile, rules: ImageRules) -> bool:
    return (
        isinstance(image, _PASSED)
        and image.mode in ("RGB", "L")
        and "transparency" not in image.info
        and not getattr(image, "is_animated", False)
        and target_size(image.size, rules) == image.size
        and _orientation(image) == 1
    )


def _orientation(image: ImageFile.ImageFile) -> int:
    """EXIF orientation, 1 to 8; `_UNREADABLE` where a reader that asks for it would fail."""
    if isinstance(image, TiffImageFile) or not any(key in image.info for key in _ORIENTED_BY):
        return 1  # Pillow turns TIFF itself while it decodes
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:
        return _UNREADABLE
    return value if value in _TURNS else 1


def _reencoded(image: ImageFile.ImageFile, digest: str, rules: ImageRules) -> StoredImage:
    target, box = target_size(image.size, rules), None
    if isinstance(image, JpegImageFile) and target != image.size:
        ample = (math.ceil(target[0] * REDUCING_GAP), math.ceil(target[1] * REDUCING_GAP))
        drafted = image.draft(None, ample)
        box = drafted[1] if drafted else None
    image.load()
    turn = _TURNS.get(_orientation(image))
    if box is None:
        target = target_size(image.size, rules)  # TIFF has turned meanwhile
    plain = scaled(flat(image), target, box)
    if turn is not None:
        plain = plain.transpose(turn)
    plain.info = {}
    buffer, name = io.BytesIO(), "JPEG" if isinstance(image, JpegImageFile) else "PNG"
    options = {"quality": 95, "subsampling": 0} if name == "JPEG" else {"compress_level": 4}
    plain.save(buffer, name, **options)
    data = buffer.getvalue()
    phash, signature = sign(plain, whole=name == "PNG")
    info = ImageInfo(
        width=plain.width,
        height=plain.height,
        format=name,
        mode=plain.mode,
        sha256=hashlib.sha256(data).hexdigest(),
        phash=phash,
    )
    return StoredImage(data, info, digest, signature)
