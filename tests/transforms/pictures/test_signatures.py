"""What a corpus stores of an image for matching, and where it is stored."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
from cauldron.sources.base import RawImage, RawTurn, Row
from cauldron.transforms.normalise import Kept, SourceSettings, normalise
from cauldron.transforms.parts import PartNames, PartWriter
from cauldron.transforms.pictures import png
from cauldron.transforms.pictures.loss import PALETTE_LOSS
from cauldron.transforms.pictures.prepare import prepare_image
from cauldron.transforms.pictures.signatures import (
    DRAWING_GROUND,
    Content,
    Signature,
    is_blank,
    pixel_digest,
    sign,
)
from cauldron.transforms.record_files import read_record
from PIL import ExifTags, Image

from cauldron.core.schema import CORPUS_SCHEMA, MIXTURE_SCHEMA, ImageInfo, Origin
from cauldron.core.sections.rules import ImageRules, LanguageRules, TextRules
from cauldron.sample import rows
from cauldron.sample.draw import photograph as photographs
from cauldron.sample.studio import Studio
from tests.real import REAL
from tests.transforms.made_pictures import chart, decoded, encoded, photograph

CHART, PHOTO = chart(1), photograph(1)
TURNED = Image.Exif()
TURNED[ExifTags.Base.Orientation] = 6


def signature(data: bytes, **rules: object) -> Signature:
    return prepare_image(RawImage(data), ImageRules.model_validate(rules)).signature


def ground(image: Image.Image) -> int:
    return sign(image.convert("RGB"), whole=False)[1].ground


SAME_PIXELS = {
    "PNG, stored": encoded(CHART, "PNG", compress_level=0),
    "PNG, packed tightly": encoded(CHART, "PNG", optimize=True),
    "PNG, with a note": encoded(CHART, "PNG", dpi=(300, 300)),
    "WebP, lossless": encoded(CHART, "WEBP", lossless=True),
    "BMP, written anew": encoded(CHART, "BMP"),
    "TIFF, written anew": encoded(CHART, "TIFF"),
    "opaque RGBA, written anew": encoded(CHART.convert("RGBA"), "PNG"),
}


@pytest.mark.parametrize("kind", SAME_PIXELS)
def test_equal_pixels_have_equal_digests_however_they_are_compressed(kind: str):
    found = signature(SAME_PIXELS[kind])
    assert found.pixels is not None
    assert len(bytes.fromhex(found.pixels)) == 16
    assert found == signature(encoded(CHART, "PNG"))


def test_what_is_written_anew_as_png_has_the_digest_of_its_stored_bytes():
    stored = prepare_image(RawImage(encoded(CHART, "GIF")), ImageRules())
    assert stored.info.format == "PNG"
    assert stored.signature == replace(signature(stored.data), loss=PALETTE_LOSS)


def test_other_pixels_sizes_and_modes_have_other_digests():
    touched = CHART.copy()
    touched.putpixel((200, 100), (1, 2, 3))
    tile = np.arange(24, dtype=np.uint8)
    pictures = [
        CHART,
        touched,
        CHART.convert("L"),
        *(Image.fromarray(tile.reshape(shape)) for shape in ((4, 6), (6, 4), (2, 4, 3), (4, 2, 3))),
    ]
    assert len({signature(encoded(picture, "PNG")).pixels for picture in pictures}) == 7


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("size", [(1, 1), (300, 200), (70_000, 2), (3, 9_000)])
def test_the_digest_is_of_the_picture_as_a_netpbm_file(mode: str, size: tuple[int, int]):
    noise = np.random.default_rng(size).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    picture, file = Image.fromarray(noise).convert(mode), io.BytesIO()
    picture.save(file, "PPM")
    checksum = xxhash.xxh3_128(file.getvalue()).digest()
    wanted = hashlib.blake2b(checksum + bytes(32), digest_size=16).hexdigest()
    assert pixel_digest(picture, bytes(32)) == wanted


@pytest.mark.parametrize("name", ["PNG", "WEBP"])
def test_a_lossy_or_lossless_still_is_decoded_in_full_and_has_a_digest(name: str):
    data = encoded(PHOTO, name)
    found = signature(data).pixels
    assert found == signature(encoded(decoded(data), "PNG")).pixels


@pytest.mark.parametrize(
    ("data", "rules"),
    [
        (encoded(PHOTO, "JPEG"), {}),
        (encoded(PHOTO.convert("L"), "JPEG"), {}),
        (encoded(PHOTO, "JPEG", exif=TURNED), {}),
        (encoded(PHOTO, "JPEG"), {"max_side": 100}),
        (encoded(PHOTO.convert("CMYK"), "JPEG"), {}),
        (encoded(PHOTO, "JPEG")[:-400], {"accept_truncated": True}),
    ],
)
def test_a_jpeg_has_no_digest_of_pixels(data: bytes, rules: dict[str, object]):
    found = signature(data, **rules)
    assert found.pixels is None
    assert len(found.phash256) == 32


@pytest.mark.parametrize(
    ("data", "scale"),
    [
        (encoded(photograph(1, 640, 480), "JPEG"), 2),
        (encoded(photograph(1, 1100, 1400), "JPEG"), 8),
        (encoded(PHOTO, "JPEG", exif=TURNED), None),
        (encoded(CHART, "PNG"), None),
        (encoded(CHART, "BMP"), None),
    ],
)
def test_one_decode_feeds_everything(
    data: bytes, scale: int | None, monkeypatch: pytest.MonkeyPatch
):
    made, decoder, inflate = [], Image._getdecoder, png.zlib_decompress

    def spy(mode, name, arguments, extra=()):
        made.append(extra[0] if extra else None)
        return decoder(mode, name, arguments, extra)

    def inflated(packed, size):
        made.append(None)
        return inflate(packed, size)

    monkeypatch.setattr(Image, "_getdecoder", spy)
    monkeypatch.setattr(png, "zlib_decompress", inflated)
    prepare_image(RawImage(data), ImageRules())
    assert len(made) == 1
    if scale is not None:
        assert made == [scale]


FLAT = [(1, 1), (1, 3_000), (300, 300), (640, 2)]


@pytest.mark.parametrize("size", FLAT)
def test_a_flat_picture_is_all_ground(size: tuple[int, int]):
    found = signature(encoded(Image.new("RGB", size, (9, 90, 200)), "PNG"))
    assert found.ground == 255
    assert found.phash256 == b"\x80" + bytes(31)


def test_blank_is_a_picture_without_anything_on_it():
    page = Image.new("L", (850, 1100), 250)
    noise = np.random.default_rng(0).normal(250, 3, (1100, 850)).clip(0, 255)
    assert is_blank(ground(page))
    assert is_blank(ground(Image.fromarray(noise.astype(np.uint8))))  # of a scanner
    assert is_blank(signature(encoded(page.convert("RGB"), "JPEG", quality=30)).ground)
    page.paste(0, (400, 1050, 403, 1053))
    assert not is_blank(ground(page))
    ramp = np.linspace(100, 110, 300).astype(np.uint8)
    assert not is_blank(ground(Image.fromarray(np.tile(ramp, (200, 1)))))


def test_ground_is_the_share_of_the_most_common_grey():
    levels = np.repeat(np.arange(0, 100, 10, dtype=np.uint8)[:, None], 64, axis=1)
    levels[3:7] = [[118], [122], [120], [121]]  # four of ten rows within two of 120
    assert ground(Image.fromarray(levels)) == 4 * 255 // 10


@pytest.mark.parametrize("white", [4, 5, 6, 10])
def test_the_ground_of_white_paper_is_what_a_histogram_tells(white: int):
    # Ten rows: white ones, one just within its window, the rest just outside.
    levels = np.full((10, 90), 250, dtype=np.uint8)
    levels[:white], levels[white : white + 1] = 255, 251
    counts = np.bincount(levels.ravel(), minlength=256)
    most = max(counts[start : start + 5].sum() for start in range(252))
    assert ground(Image.fromarray(levels)) == most * 255 // levels.size


def drawn(name: str) -> list[Image.Image]:
    studio = Studio(seed=2, rows=4)
    items = rows.items(name, studio, studio.rng(name))
    return [decoded(picture.data) for item in items for picture in item.pictures][:4]


DRAWINGS = {name: drawn(name) for name in ("chartqa", "plotqa", "hitab", "docvqa")}
TEXTURES = Studio(seed=2, rows=1).textures
PHOTOGRAPHS = [
    photographs.draw(photographs.any_photo(rng), TEXTURES)
    for rng in map(np.random.default_rng, range(8))
]


@pytest.mark.parametrize("kind", DRAWINGS)
def test_charts_tables_and_pages_are_drawings(kind: str):
    assert min(ground(image) for image in DRAWINGS[kind]) >= DRAWING_GROUND


def test_photographs_are_not():
    grounds = [signature(encoded(image, "JPEG", quality=86)).ground for image in PHOTOGRAPHS]
    assert max(grounds) < DRAWING_GROUND


def altered(image: Image.Image) -> list[Image.Image]:
    half = (image.width // 2, image.height // 2)
    return [
        decoded(encoded(image.convert("RGB"), "JPEG", quality=50)),
        image.resize(half, Image.Resampling.LANCZOS),
        image.point(lambda level: int(level * 0.85)),
        image.crop((4, 4, image.width - 4, image.height - 4)),
    ]


def test_copies_stay_on_their_side():
    pictures = [image for group in DRAWINGS.values() for image in group] + PHOTOGRAPHS
    sides = [ground(image) >= DRAWING_GROUND for image in pictures]
    assert set(sides) == {True, False}
    for side, image in zip(sides, pictures, strict=True):
        assert {ground(copy) >= DRAWING_GROUND for copy in altered(image)} == {side}


def write_part(folder: Path) -> tuple[dict, bytes]:
    settings = SourceSettings(
        "lnqa", "mit", ImageRules(), TextRules(), LanguageRules(), (), "mistral-7b", {}
    )
    images = [RawImage(encoded(PHOTO, "JPEG")), RawImage(encoded(CHART, "PNG"))]
    row = Row(Origin(file="f"), images, [RawTurn("What is it?", "A chart and a photo.", "lnqa")])
    kept = normalise(row, settings)
    assert isinstance(kept, Kept)
    names = PartNames(str(folder), str(folder), 0, 1)
    with PartWriter(names, "lnqa") as writer:
        writer.add(kept, 1)
    table = pq.read_table(folder / names.parquet)
    assert table.schema.equals(CORPUS_SCHEMA)
    return table.to_pylist()[0], (folder / names.record_file).read_bytes()


def test_a_corpus_row_has_the_signatures_of_its_images_in_order(tmp_path: Path):
    row, _ = write_part(tmp_path)
    wanted = [signature(encoded(PHOTO, "JPEG")), signature(encoded(CHART, "PNG"))]
    found = [
        Signature(
            *(info[name] for name in ("pixels", "phash256", "ground", "loss")),
            Content(**info["content"]) if info["content"] else None,
        )
        for info in row["image_info"]
    ]
    assert found == wanted
    assert found[1].content is not None


def test_records_and_mixtures_do_not_know_them(tmp_path: Path):
    row, pack = write_part(tmp_path)
    sample, _ = read_record(pack[row["offset"] : row["offset"] + row["length"]])
    plain = [{name: info[name] for name in ImageInfo.model_fields} for info in row["image_info"]]
    assert [info.model_dump() for info in sample.images] == plain
    names = {field.name for field in MIXTURE_SCHEMA.field("image_info").type.value_type}
    assert names == {*ImageInfo.model_fields, "tiles"}


def test_signature_columns_are_small(tmp_path: Path):
    kinds = CORPUS_SCHEMA.field("image_info").type.value_type
    assert kinds.field("phash256").type == pa.binary(32)
    assert kinds.field("ground").type == pa.uint8()
    assert kinds.field("pixels").nullable


@pytest.mark.skipif(not REAL.is_dir(), reason="the real data is not on this machine")
def test_real_tables_are_drawings():
    folder = REAL / "hub" / "HuggingFaceM4" / "the_cauldron" / "tabmwp"
    table = pq.read_table(sorted(folder.glob("*.parquet"))[0], columns=["images"])
    data = [image["bytes"] for images in table["images"].to_pylist()[:200] for image in images]
    grounds = [signature(picture).ground for picture in data]
    assert np.mean(np.array(grounds) >= DRAWING_GROUND) >= 0.99
