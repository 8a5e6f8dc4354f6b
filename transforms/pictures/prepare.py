"""Check, hash and, if necessary, re-encode published images.

Bytes are kept unchanged if every reader can use them: JPEG, PNG and still WebP, RGB or L, upright,
within the recipe's limits. Other images are decoded and encoded again: JPEG as JPEG (quality 95, no
chroma subsampling), the rest as PNG. PNG uses level 4; level 6 takes 20 to 50 % longer and saves
nothing on photographs and 2 % on pages. Re-encoded images have no metadata and no colour profile:
readers of training data ignore profiles anyway.

An image is decoded once. A JPEG that is kept is decoded in grey at a reduced size, which proves
that the file is complete and is enough for the hashes. Microseconds on one core:

                                      header  SHA-256  checksums  decode  signature    all
    photograph 640 x 480, JPEG 66 kB      23       33          -     508        130    690
    A4 page at 150 dpi, PNG 164 kB        25       81         29   5,460        651  6,270

SHA-256 and the decode cannot be avoided; they are 78 and 88 % of the total. The page was decoded by
Pillow then; `png.py` takes about a third of that, and checksums by libdeflate a fifth.

Images are not trusted: `opening.py` parses them.
"""

from __future__ import annotations

import hashlib
import io
import math
import types
from dataclasses import dataclass

from cauldron.sources.base import RawImage
from cauldron.transforms.pictures.hashes import SHORTEST_SIDE
from cauldron.transforms.pictures.loss import loss_of
from cauldron.transforms.pictures.opening import (
    JPEG_START,
    ImageProblem,
    check_png,
    decoding,
    open_image,
)
from cauldron.transforms.pictures.pixels import REDUCING_GAP, flat, grey_bits, scaled, target_size
from cauldron.transforms.pictures.png import decode_png
from cauldron.transforms.pictures.signatures import Signature, sign
from PIL import ExifTags, Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from cauldron.core.schema import ImageInfo
from cauldron.core.sections.rules import ImageRules

_PASSED = (JpegImageFile, PngImageFile, WebPImageFile)
_JPEG_END = b"\xff\xd9"

# Fields that may hold the orientation. Without them Pillow is not asked, as that costs a decode.
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

# Pillow's `load`, with LOAD_TRUNCATED_IMAGES on. That is a global of Pillow's module; a copy of the
# function with its own globals does not affect other threads.
_lenient_load = types.FunctionType(
    ImageFile.ImageFile.load.__code__, {**vars(ImageFile), "LOAD_TRUNCATED_IMAGES": True}
)


@dataclass(slots=True)
class StoredImage:
    """An image as it is stored.

    Attributes:
        digest: SHA-256 hex of the published bytes, part of the sample's id.
    """

    data: bytes
    info: ImageInfo
    digest: str
    signature: Signature


def prepare_image(raw: RawImage, rules: ImageRules) -> StoredImage:
    """Check an image, hash it, and re-encode it if necessary.

    A JPEG without its end marker, a PNG without its last chunk and a WebP that is shorter than its
    header says are truncated, even if all pixels decode, because other readers refuse them. Bytes
    after the end are allowed. Of animations and multi-page files the first picture is kept.

    Raises:
        ImageProblem: it has a problem already, is empty, undecodable or truncated, or exceeds a
            limit of `rules`.
    """
    data = raw.data
    if raw.problem is not None:
        raise ImageProblem(*raw.problem)
    if not data:
        raise ImageProblem("missing_image", "the image has no bytes")
    published = hashlib.sha256(data).hexdigest()
    digest = raw.digest or published
    try:
        with decoding():
            return _checked(data, published, digest, rules)
    except ImageProblem as problem:
        if not (rules.accept_truncated and problem.reason == "image_truncated"):
            raise
    with decoding():
        return _salvaged(data, digest, rules)


def _checked(data: bytes, published: str, digest: str, rules: ImageRules) -> StoredImage:
    image = open_image(data, rules)
    if isinstance(image, PngImageFile):
        check_png(data)
    if not _may_pass(image, rules):
        return _reencoded(image, data, digest, rules)
    (width, height), mode, loss = image.size, image.mode, loss_of(image, data)
    pixels = decode_png(data) if isinstance(image, PngImageFile) else None
    if pixels is None:
        if isinstance(image, JpegImageFile):
            image.draft("L", (SHORTEST_SIDE, SHORTEST_SIDE))
        image.load()
        if isinstance(image, PngImageFile) and _orientation(image) != 1:
            return _reencoded(image, data, digest, rules)  # a PNG may have it after the pixels
    phash, signature = sign(
        image if pixels is None else pixels,
        whole=not isinstance(image, JpegImageFile),
        loss=loss,
        size=(width, height),
    )
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
    """Re-encode the part of a truncated file that decodes. TIFF and WebP decode fully or not."""
    # The decoder of a progressive JPEG needs an end marker.
    image = open_image(data + _JPEG_END if data.startswith(JPEG_START) else data, rules)
    if isinstance(image, PngImageFile | GifImageFile | BmpImageFile):
        _lenient_load(image)
    return _reencoded(image, data, digest, rules)


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
    """EXIF orientation, 1 to 8; `_UNREADABLE` if it cannot be read."""
    if isinstance(image, TiffImageFile) or not any(key in image.info for key in _ORIENTED_BY):
        return 1  # Pillow itself turns a TIFF when it decodes
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:
        return _UNREADABLE
    return value if value in _TURNS else 1


def _reencoded(
    image: ImageFile.ImageFile, published: bytes, digest: str, rules: ImageRules
) -> StoredImage:
    loss = loss_of(image, published)
    target, box = target_size(image.size, rules), None
    if isinstance(image, JpegImageFile) and target != image.size:
        ample = (math.ceil(target[0] * REDUCING_GAP), math.ceil(target[1] * REDUCING_GAP))
        drafted = image.draft(None, ample)
        box = drafted[1] if drafted else None
    image.load()
    turn = _TURNS.get(_orientation(image))
    if box is None:
        target = target_size(image.size, rules)  # `load` may have turned a TIFF
    name = "JPEG" if isinstance(image, JpegImageFile) else "PNG"
    bits = grey_bits(image)
    plain = scaled(flat(image), target, box)
    if plain is not image:
        image.close()  # a large one takes hundreds of megabytes, which its copy now takes again
    if turn is not None:
        plain = plain.transpose(turn)
    plain.info = {}
    buffer = io.BytesIO()
    options = {"quality": 95, "subsampling": 0} if name == "JPEG" else {"compress_level": 4}
    plain.save(buffer, name, **options)
    data = buffer.getvalue()
    phash, signature = sign(plain, whole=name == "PNG", loss=loss)
    info = ImageInfo(
        width=plain.width,
        height=plain.height,
        format=name,
        mode=plain.mode,
        sha256=hashlib.sha256(data).hexdigest(),
        phash=phash,
        bits=bits,
    )
    return StoredImage(data, info, digest, signature)
