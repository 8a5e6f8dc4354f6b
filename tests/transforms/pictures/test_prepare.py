"""Which images pass unchanged, which are written anew and how, and which are refused."""

from __future__ import annotations

import functools
import hashlib
import io
import pickle
import struct
import subprocess
import sys
import threading
import zlib

import imagehash
import numpy as np
import pytest
from cauldron.sources.base import RawImage
from cauldron.transforms.pictures import pixels
from cauldron.transforms.pictures.opening import ImageProblem
from cauldron.transforms.pictures.prepare import StoredImage, prepare_image
from PIL import ExifTags, Image, ImageFile, ImageOps

from cauldron.core.reasons import DROPPED, QUARANTINED
from cauldron.core.sections.rules import ImageRules
from tests.transforms.made_pictures import chart, decoded, encoded, page, photograph

RULES = ImageRules()
PHOTO, CHART = photograph(1), chart(1)


def stored(data: bytes, **rules: object) -> StoredImage:
    """Prepared, after checks that hold for every stored image."""
    image = prepare_image(RawImage(data), ImageRules.model_validate(rules))
    seen = decoded(image.data)
    assert (seen.format, seen.mode, *seen.size) == (
        image.info.format,
        image.info.mode,
        image.info.width,
        image.info.height,
    )
    assert image.info.sha256 == hashlib.sha256(image.data).hexdigest()
    assert image.digest == hashlib.sha256(data).hexdigest()
    assert seen.getexif().get(ExifTags.Base.Orientation, 1) == 1
    reference = int(str(imagehash.phash(seen)), 16)
    assert (image.info.phash ^ reference).bit_count() <= 8
    return image


def reason(data: bytes, **rules: object) -> str:
    with pytest.raises(ImageProblem) as caught:
        prepare_image(RawImage(data), ImageRules.model_validate(rules))
    assert caught.value.reason in DROPPED | QUARANTINED
    assert str(caught.value)
    return caught.value.reason


def difference(first: Image.Image, second: Image.Image) -> float:
    """Mean difference of pixels, 0 to 255."""
    return float(np.abs(np.asarray(first, dtype=float) - np.asarray(second, dtype=float)).mean())


def png_chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def png_header(width: int, height: int, depth: int = 8, colour: int = 2) -> bytes:
    header = struct.pack(">2I5B", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header)


PASSING = {
    "JPEG": encoded(PHOTO, "JPEG"),
    "JPEG, grey": encoded(PHOTO.convert("L"), "JPEG"),
    "JPEG, progressive": encoded(PHOTO, "JPEG", progressive=True),
    "JPEG, RGB inside": encoded(PHOTO, "JPEG", keep_rgb=True),
    "JPEG, EXIF upright": encoded(PHOTO, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"),
    "JPEG, bytes after the end": encoded(PHOTO, "JPEG") + b"\0" * 100 + b"\xff\xd8\xff",
    "PNG": encoded(CHART, "PNG"),
    "PNG, grey": encoded(CHART.convert("L"), "PNG"),
    "PNG, bytes after the end": encoded(CHART, "PNG") + b"garbage",
    "WebP": encoded(PHOTO, "WEBP"),
    "WebP, lossless": encoded(CHART, "WEBP", lossless=True),
    "one pixel": encoded(Image.new("RGB", (1, 1), "red"), "PNG"),
    "a sliver": encoded(Image.new("L", (3_000, 1), 7), "JPEG"),
}


@pytest.mark.parametrize("kind", PASSING)
def test_what_every_reader_takes_passes_byte_for_byte(kind: str):
    assert stored(PASSING[kind]).data is PASSING[kind]


def test_a_phone_picture_with_a_second_one_behind_passes_as_jpeg():
    data = encoded(PHOTO, "MPO", save_all=True, append_images=[CHART])
    image = prepare_image(RawImage(data), RULES)
    assert image.data is data
    assert (image.info.format, image.info.width) == ("JPEG", PHOTO.width)


def test_sixteen_bit_colour_passes():
    rows = b"".join(b"\0" + bytes(range(60)) for _ in range(10))
    data = png_header(10, 10, depth=16) + png_chunk(b"IDAT", zlib.compress(rows))
    data += png_chunk(b"IEND", b"")
    assert stored(data).data is data


def test_the_digest_of_a_rendered_page_is_its_own():
    image = prepare_image(RawImage(encoded(CHART, "PNG"), digest="ab" * 32), RULES)
    assert image.digest == "ab" * 32
    assert image.info.sha256 == hashlib.sha256(image.data).hexdigest()


def test_no_bytes_are_a_missing_image():
    assert reason(b"") == "missing_image"


TRUNCATABLE = {
    "JPEG": encoded(PHOTO, "JPEG"),
    "JPEG, grey": encoded(PHOTO.convert("L"), "JPEG"),
    "JPEG, progressive": encoded(PHOTO, "JPEG", progressive=True),
    "JPEG, restart markers": encoded(PHOTO, "JPEG", restart_marker_rows=1),
    "JPEG, a page": encoded(page(1, 600, 800), "JPEG"),
    "PNG": encoded(CHART, "PNG"),
    "PNG, photograph": encoded(PHOTO, "PNG"),
    "WebP": encoded(PHOTO, "WEBP"),
    "GIF": encoded(CHART, "GIF"),
    "BMP": encoded(CHART, "BMP"),
}


@pytest.mark.parametrize("kind", TRUNCATABLE)
@pytest.mark.parametrize("part", [0.05, 0.3, 0.5, 0.7, 0.9, 0.95, 0.99])
def test_a_file_that_ends_early_is_truncated(kind: str, part: float):
    data = TRUNCATABLE[kind]
    assert reason(data[: int(len(data) * part)]) == "image_truncated"


@pytest.mark.parametrize("missing", [1, 2, 3, 12, 16])
@pytest.mark.parametrize("kind", ["JPEG", "JPEG, progressive", "PNG", "WebP"])
def test_the_last_bytes_count(kind: str, missing: int):
    assert reason(TRUNCATABLE[kind][:-missing]) == "image_truncated"


@pytest.mark.parametrize("size", [3, 4, 5, 10, 20, 21, 100, 160, 300])
def test_a_jpeg_may_also_end_in_its_header(size: int):
    assert reason(TRUNCATABLE["JPEG"][:size]) == "image_truncated"
    assert reason(TRUNCATABLE["JPEG"][:size], accept_truncated=True) == "image_truncated"


@pytest.mark.parametrize(
    "kind", ["JPEG", "JPEG, progressive", "JPEG, a page", "PNG, photograph", "GIF", "BMP"]
)
def test_accept_truncated_stores_a_whole_file_of_what_decodes(kind: str):
    data = TRUNCATABLE[kind]
    cut = data[: int(len(data) * 0.7)]
    image = stored(cut, accept_truncated=True)
    original = decoded(data).convert("RGB")
    assert (image.info.width, image.info.height) == original.size
    # BMP begins at the bottom; a progressive JPEG has all of the picture, coarsely.
    part = (0, original.height * 2 // 3, original.width, original.height)
    if kind != "BMP":
        part = (0, 0, original.width, original.height // 3)
    assert difference(decoded(image.data).convert("RGB").crop(part), original.crop(part)) < 6


def test_accept_truncated_changes_nothing_for_whole_files():
    assert stored(PASSING["JPEG"], accept_truncated=True).data is PASSING["JPEG"]


def test_accepting_truncated_files_in_one_thread_does_not_soften_another():
    cut = TRUNCATABLE["PNG, photograph"][:-2_000]
    stop, outcomes = threading.Event(), []

    def accept() -> None:
        while not stop.is_set():
            prepare_image(RawImage(cut), ImageRules(accept_truncated=True))

    def refuse() -> None:
        for _ in range(30):
            image = Image.open(io.BytesIO(cut))
            try:
                image.load()
                outcomes.append("decoded")
            except OSError:
                outcomes.append("refused")

    threads = [threading.Thread(target=accept), threading.Thread(target=refuse)]
    for thread in threads:
        thread.start()
    threads[1].join()
    stop.set()
    threads[0].join()
    assert set(outcomes) == {"refused"}
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_a_wrong_checksum_in_pixel_data_is_unreadable():
    data = bytearray(TRUNCATABLE["PNG, photograph"])
    data[len(data) // 2] ^= 1
    assert reason(bytes(data)) == "image_unreadable"
    assert reason(bytes(data), accept_truncated=True) == "image_unreadable"


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize(
    "data",
    [
        b"<html><body>404 Not Found</body></html>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
        b"8BPS\0\x01" + b"\0" * 100,
        b"SIMPLE  =                    T" + b" " * 3_000,
        b"P6 2 2 255 " + b"\0" * 12,
        b"\xff\xd8\xff" + b"\0" * 5_000,
        b"BM" + b"is this a bitmap? no" * 20,
        b"GIF89a" + b"\xff" * 50,
        b"II*\0" + b"\xff" * 60,
        b"RIFF\x20\0\0\0WEBPVP8 " + b"\0" * 40,
        png_header(10, 10) + png_chunk(b"IDAT", b"not zlib at all") + png_chunk(b"IEND", b""),
        png_header(10, 10, colour=9) + png_chunk(b"IEND", b""),
    ],
)
def test_what_is_no_image_is_refused_and_no_other_parser_is_asked(data: bytes):
    assert reason(data) in ("image_unreadable", "image_truncated")


@pytest.mark.parametrize("name", ["GIF", "BMP", "TIFF"])
def test_other_formats_become_png_whatever_their_names_say(name: str):
    data = encoded(CHART, name)
    image = prepare_image(RawImage(data, path="picture.jpg"), RULES)
    assert image.info.format == "PNG"
    assert difference(decoded(image.data), decoded(data).convert("RGB")) == 0


@pytest.mark.parametrize("name", ["GIF", "PNG", "WEBP"])
def test_of_an_animation_the_first_frame_is_kept(name: str):
    frames = [Image.new("RGB", (60, 40), colour) for colour in ("red", "blue", "green")]
    options = {"lossless": True} if name == "WEBP" else {}
    data = encoded(frames[0], name, save_all=True, append_images=frames[1:], **options)
    image = stored(data)
    assert image.info.format == "PNG"
    assert difference(decoded(image.data), frames[0]) == 0


def test_a_bomb_is_refused_by_its_header():
    rows = zlib.compress(b"\0" * 100_000)
    bomb = png_header(60_000, 60_000) + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")
    assert len(bomb) < 1_000
    assert reason(bomb) == "image_too_large"
    assert reason(bomb, accept_truncated=True) == "image_too_large"


def test_a_webp_that_announces_a_huge_canvas_is_refused_unopened():
    canvas = bytes(4) + (16_000_000).to_bytes(3, "little") + (200).to_bytes(3, "little")
    chunk = b"VP8X" + struct.pack("<I", 10) + canvas
    data = b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk
    assert reason(data) == "image_too_large"


def test_the_limit_is_the_recipes_not_pillows(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert stored_size(PASSING["JPEG"]) == PHOTO.size
    assert stored_size(encoded(CHART, "BMP")) == CHART.size
    pixels = PHOTO.width * PHOTO.height
    assert reason(PASSING["JPEG"], hard_max_pixels=pixels - 1) == "image_too_large"
    assert prepare_image(RawImage(PASSING["JPEG"]), ImageRules(hard_max_pixels=pixels))


def stored_size(data: bytes) -> tuple[int, int]:
    info = prepare_image(RawImage(data), RULES).info
    return info.width, info.height


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied_once(name: str, orientation: int):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options = {"lossless": True} if name == "WEBP" else {}
    data = encoded(CHART, name, exif=exif, **options)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    image = stored(data)
    assert (image.info.width, image.info.height) == upright.size
    assert difference(decoded(image.data), upright) < 1
    assert (image.data == data) == (orientation == 1 and name != "TIFF")


def test_orientation_after_the_pixels_of_a_png_counts_too():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    data = encoded(CHART, "PNG")
    late = data[:-12] + png_chunk(b"eXIf", exif.tobytes()[6:]) + data[-12:]
    image = stored(late)
    assert (image.info.width, image.info.height) == (CHART.height, CHART.width)
    assert difference(decoded(image.data), CHART.transpose(Image.Transpose.ROTATE_270)) == 0


def test_orientation_in_xmp_counts_too():
    data = encoded(CHART, "JPEG", xmp=b'<rdf:Description tiff:Orientation="3"/>')
    assert stored(data).data != data


def test_a_file_whose_exif_cannot_be_read_is_written_without():
    # With a resolution in the header Pillow does not look at EXIF before it is asked to.
    data = encoded(PHOTO, "JPEG", exif=b"Exif\0\0this is no EXIF", dpi=(72, 72))
    assert "exif" not in decoded(stored(data).data).info


def transparent(mode: str) -> Image.Image:
    """Left half black and opaque, right half transparent over some dark value."""
    image = Image.new("RGBA", (40, 20), (0, 0, 0, 255))
    image.paste((9, 9, 9, 0), (20, 0, 40, 20))
    return image.convert(mode)


def half_palette(transparency: int | bytes) -> bytes:
    image = Image.new("P", (40, 20), 0)
    image.putpalette([0, 0, 0, 9, 9, 9])
    image.paste(1, (20, 0, 40, 20))
    return encoded(image, "PNG", transparency=transparency)


def half(mode: str, colour: object) -> Image.Image:
    image = Image.new(mode, (40, 20), 0)
    image.paste(colour, (20, 0, 40, 20))  # type: ignore[arg-type]
    return image


SIXTEEN_BITS = Image.fromarray(np.repeat(np.array([[0, 900]], np.uint16), 20, 1).repeat(20, 0))
SEE_THROUGH = {
    "RGBA PNG": encoded(transparent("RGBA"), "PNG"),
    "LA PNG": encoded(transparent("LA"), "PNG"),
    "RGBA WebP": encoded(transparent("RGBA"), "WEBP", lossless=True, exact=True),
    "RGBA TIFF": encoded(transparent("RGBA"), "TIFF"),
    "P PNG, one colour": half_palette(1),
    "P PNG, alpha table": half_palette(b"\xff\x00"),
    "RGB PNG, one colour": encoded(half("RGB", (9, 9, 9)), "PNG", transparency=(9, 9, 9)),
    "L PNG, one level": encoded(half("L", 9), "PNG", transparency=9),
    "1 PNG, one level": encoded(half("1", 1), "PNG", transparency=1),
    "I;16 PNG, one level": encoded(SIXTEEN_BITS, "PNG", transparency=900),
    "GIF, one colour": encoded(transparent("RGBA"), "GIF"),
}


@pytest.mark.parametrize("kind", SEE_THROUGH)
def test_transparency_is_laid_on_white(kind: str):
    seen = decoded(stored(SEE_THROUGH[kind]).data).convert("RGB")
    assert seen.getpixel((5, 5)) == (0, 0, 0)
    assert seen.getpixel((35, 5)) == (255, 255, 255)


BANDED = {
    **SEE_THROUGH,
    "1": encoded(CHART.convert("1"), "PNG"),
    "P": encoded(CHART.convert("P", palette=Image.Palette.ADAPTIVE), "PNG"),
    "CMYK": encoded(PHOTO.convert("CMYK"), "JPEG", quality=95),
    "I;16": encoded(Image.fromarray(np.arange(900, dtype=np.uint16).reshape(30, 30) * 70), "PNG"),
    "I": encoded(Image.fromarray(np.arange(-450, 450, dtype=np.int32).reshape(30, 30)), "TIFF"),
    "F": encoded(Image.fromarray(np.linspace(0, 9e5, 900, dtype="f4").reshape(30, 30)), "TIFF"),
}


@pytest.mark.parametrize("kind", BANDED)
@pytest.mark.parametrize("band", [1, 100, 250])
def test_pixels_are_the_same_in_whatever_bands_they_are_converted(
    kind: str, band: int, monkeypatch: pytest.MonkeyPatch
):
    whole = stored(BANDED[kind])
    monkeypatch.setattr(pixels, "BAND_PIXELS", band)
    assert stored(BANDED[kind]).data == whole.data


LARGE = """
import io, re, sys
import numpy as np
from PIL import Image
from cauldron.sources.base import RawImage
from cauldron.transforms.pictures.prepare import prepare_image
from cauldron.core.sections.rules import ImageRules
data = sys.stdin.buffer.read()
prepare_image(RawImage(data), ImageRules())
# The peak since this program began; ru_maxrss is at least that of the process that started it.
status = open("/proc/self/status").read()
print(1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("mode", "transparency"), [("1", None), ("1", 1), ("P", None), ("P", 3), ("I;16", None)]
)
def test_a_large_picture_takes_less_than_a_gibibyte(mode: str, transparency: int | None):
    large = Image.new(mode, (13_000, 13_000))
    large.paste(1, (0, 0, 5_000, 7_000))
    options = {} if transparency is None else {"transparency": transparency}
    data = encoded(large, "PNG", compress_level=1, **options)
    done = subprocess.run([sys.executable, "-c", LARGE], input=data, stdout=subprocess.PIPE)
    assert done.returncode == 0
    assert int(done.stdout) < 2**30


def test_half_transparent_is_half_white():
    data = encoded(Image.new("RGBA", (4, 4), (0, 100, 200, 128)), "PNG")
    assert decoded(stored(data).data).getpixel((0, 0)) == pytest.approx((127, 177, 227), abs=1)


def test_a_palette_without_transparency_becomes_rgb():
    data = encoded(CHART.convert("P", palette=Image.Palette.ADAPTIVE), "PNG")
    image = stored(data)
    assert image.info.mode == "RGB"
    assert difference(decoded(image.data), decoded(data).convert("RGB")) == 0


def test_cmyk_is_not_stored_inverted():
    data = encoded(PHOTO.convert("CMYK"), "JPEG", quality=95)
    image = stored(data)
    assert (image.info.format, image.info.mode) == ("JPEG", "RGB")
    assert difference(decoded(image.data), PHOTO) < 6


def test_one_bit_becomes_grey():
    image = stored(encoded(CHART.convert("1"), "PNG"))
    assert image.info.mode == "L"
    assert set(decoded(image.data).tobytes()) == {0, 255}


def test_sixteen_bits_are_scaled_by_their_range():
    levels = np.linspace(0, 65535, 256).reshape(16, 16)
    image = stored(encoded(Image.fromarray(np.rint(levels).astype(np.uint16)), "PNG"))
    assert image.info.mode == "L"
    assert decoded(image.data).tobytes() == bytes(range(256))


@pytest.mark.parametrize(
    ("kind", "top"),
    [
        *((np.float32, top) for top in (1.0, 255.0, 65535.0, 3e6, -5.0)),
        *((np.int32, top) for top in (255.0, 65535.0, 3e6, -5000.0)),
    ],
)
def test_thirty_two_bits_are_scaled_by_what_they_hold(kind: type, top: float):
    levels = np.linspace(min(top, 0), max(top, 0), 256).reshape(16, 16)
    data = encoded(Image.fromarray(levels.astype(kind)), "TIFF")
    pixels = np.asarray(decoded(stored(data).data))
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert np.all(np.diff(pixels.ravel().astype(int)) >= 0)


def test_not_a_number_is_black():
    values = np.full((8, 8), np.nan, dtype=np.float32)
    values[0, 0] = 1
    pixels = np.asarray(decoded(stored(encoded(Image.fromarray(values), "TIFF")).data))
    assert (pixels[0, 0], pixels[1, 1]) == (255, 0)


@functools.cache
def published(name: str, size: tuple[int, int]) -> bytes:
    options = {"compress_level": 1} if name == "PNG" else {}
    return encoded(photograph(2, *size), name, **options)


@pytest.mark.parametrize("name", ["JPEG", "PNG"])
@pytest.mark.parametrize(
    ("size", "rules", "expected"),
    [
        ((1000, 500), {"max_side": 1000}, (1000, 500)),
        ((1000, 500), {"max_side": 999}, (999, 500)),
        ((1000, 500), {"max_side": 200}, (200, 100)),
        ((500, 1000), {"max_side": 200}, (100, 200)),
        ((1000, 500), {"max_pixels": 500_000}, (1000, 500)),
        ((1000, 500), {"max_pixels": 20_000}, (200, 100)),
        ((1000, 500), {"max_side": 400, "max_pixels": 5_000}, (100, 50)),
        ((1000, 1), {"max_pixels": 100}, (100, 1)),
        ((100, 50), {"max_side": 1000}, (100, 50)),
    ],
)
def test_large_images_are_scaled_down_to_the_limits(name, size, rules, expected):
    data = published(name, size)
    image = stored(data, **rules)
    assert (image.info.width, image.info.height) == expected
    assert image.info.format == name
    assert (image.data is data) == (size == expected)


@pytest.mark.parametrize("name", ["JPEG", "PNG"])
def test_scaling_down_looks_like_lanczos(name: str):
    data = published(name, (1203, 805))
    image = stored(data, max_side=300)
    exact = decoded(data).resize((300, 201), Image.Resampling.LANCZOS)
    assert difference(decoded(image.data), exact) < 2


def test_a_turned_image_is_scaled_before_it_is_turned():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    image = stored(encoded(photograph(2, 1000, 500), "JPEG", exif=exif), max_side=200)
    assert (image.info.width, image.info.height) == (100, 200)


def test_elongated_images_are_dropped_where_the_recipe_says_so():
    data = encoded(Image.new("RGB", (401, 100)), "PNG")
    assert reason(data, max_aspect=4) == "aspect_ratio"
    assert stored(encoded(Image.new("RGB", (100, 400)), "PNG"), max_aspect=4)


@pytest.mark.parametrize("size", [(301, 20), (20, 301)])
def test_a_long_side_is_refused_where_the_recipe_says_so(size):
    data = encoded(Image.new("RGB", size), "PNG")
    assert reason(data, drop_side=300) == "long_side"
    assert stored(data, drop_side=301)
    assert stored(data)


def test_what_is_written_anew_is_the_same_every_time_and_carries_nothing_along():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3
    exif[ExifTags.Base.Artist] = "somebody"
    for name in ("JPEG", "PNG"):
        data = encoded(PHOTO, name, exif=exif, icc_profile=b"profile" * 9, dpi=(300, 300))
        first, second = stored(data), stored(data)
        assert first.data == second.data
        assert b"somebody" not in first.data
        assert not {"exif", "icc_profile", "comment"} & set(decoded(first.data).info)


def test_problems_survive_the_way_between_processes():
    problem = pickle.loads(pickle.dumps(ImageProblem("image_unreadable", "why")))
    assert (problem.reason, str(problem)) == ("image_unreadable", "why")


def test_an_avif_is_stored_as_png_upright_within_the_limits():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    data = encoded(PHOTO, "AVIF", quality=95, exif=exif)
    image = stored(data)
    assert image.info.format == "PNG"
    wanted = PHOTO.convert("RGB").transpose(Image.Transpose.ROTATE_270)
    assert difference(decoded(image.data), wanted) < 3
    assert reason(data, hard_max_pixels=100) == "image_too_large"
    assert {reason(data[: int(len(data) * part)]) for part in (0.3, 0.7, 0.95)} <= {
        "image_unreadable",
        "image_truncated",
    }


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
@pytest.mark.parametrize(
    ("top", "bits", "white"),
    [
        (65535, 16, 255),
        (4096, 16, 16),
        (4095, 12, 255),
        (1024, 12, 64),
        (1023, 10, 255),
        (512, 10, 128),
        (511, 16, 2),  # 9 bits: dark, or of an unknown sensor
        (0, 16, 0),
    ],
)
def test_ten_and_twelve_bits_in_sixteen_are_scaled_by_their_range(form, top, bits, white):
    levels = np.linspace(0, top, 40 * 40).reshape(40, 40)
    image = stored(encoded(Image.fromarray(np.rint(levels).astype(np.uint16)), form))
    assert image.info.bits == bits
    assert Image.open(io.BytesIO(image.data)).getextrema() == (0, white)


def test_only_pictures_of_sixteen_bits_say_their_bits():
    assert stored(encoded(Image.new("L", (30, 30)), "PNG")).info.bits is None
    assert stored(encoded(Image.new("P", (30, 30)), "PNG")).info.bits is None
