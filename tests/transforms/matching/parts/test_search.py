"""Pictures of benchmarks are found in part, mirrored and in other colours, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest
from cauldron.transforms.matching.parts.features import (
    MOST_FEATURES,
    features_of,
    searched_features,
)
from cauldron.transforms.matching.parts.geometry import place
from cauldron.transforms.matching.parts.judge import judge
from cauldron.transforms.matching.parts.records import STORED, unpacked
from cauldron.transforms.matching.parts.search import Search, describe
from cauldron.transforms.matching.records import Limits
from cauldron.transforms.pictures.signatures import sign
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

from tests.transforms.made_pictures import chart, decoded, encoded, page, photograph

LIMITS = Limits(8, 56, 50)


def stored(number: int, data: bytes) -> np.void:
    image = decoded(data)
    narrow, signature = sign(image.convert("L"), False)
    record = np.zeros(1, dtype=STORED)[0]
    record["number"], record["phash"] = number, narrow
    record["phash256"] = np.frombuffer(signature.phash256, dtype="<u8")
    record["width"], record["height"] = image.size
    return record


BENCHMARK = {
    10: encoded(photograph(1, 640, 480), "PNG"),
    11: encoded(page(2), "PNG"),
    12: encoded(chart(3), "PNG"),
}


@pytest.fixture(scope="module")
def search() -> Search:
    pieces = [describe(data, stored(number, data)) for number, data in BENCHMARK.items()]
    tested = unpacked([pieces[2], pieces[0] + pieces[1]])
    return Search(tested, LIMITS, lambda one: BENCHMARK[int(one["number"])])


def found(search: Search, image: Image.Image, **options) -> list[tuple[int, str]]:
    data = encoded(image, "PNG") if not options else encoded(image, "JPEG", **options)
    return [(one.benchmark, one.kind) for one in search.find(data, stored(1, data))]


def cropped(image: Image.Image, share: float) -> Image.Image:
    dx, dy = round(share * image.width), round(share * image.height)
    return image.crop((dx, dy, image.width - dx, image.height - dy))


def on_a_screen(image: Image.Image) -> Image.Image:
    screen = page(77, image.width * 7 // 4, image.height * 7 // 4).convert("RGB")
    screen.paste(image.convert("RGB"), (image.width // 2, image.height // 3))
    return screen


ALTERED = {
    "crop of 20 %": lambda image: cropped(image, 0.2),
    "border": lambda image: ImageOps.expand(image.convert("RGB"), 70, (30, 30, 30)),
    "on a screen": on_a_screen,
}


@pytest.mark.parametrize("number", BENCHMARK)
@pytest.mark.parametrize("how", ALTERED)
def test_a_picture_is_found_in_part(search, number, how):
    image = ALTERED[how](decoded(BENCHMARK[number]))
    assert found(search, image, quality=85) == [(number, "part")]


@pytest.mark.parametrize("mirror", [ImageOps.mirror, ImageOps.flip])
@pytest.mark.parametrize("number", BENCHMARK)
def test_a_mirrored_picture_is_found(search, number, mirror):
    image = mirror(decoded(BENCHMARK[number]))
    assert found(search, image, quality=85) == [(number, "mirrored")]


def test_a_picture_is_found_in_other_colours(search):
    image = decoded(BENCHMARK[10]).convert("RGB")
    assert found(search, image.convert("L"), quality=85) == [(10, "colours")]
    assert found(search, ImageEnhance.Color(image).enhance(0.4)) == [(10, "colours")]


def test_exchanged_colours_are_not_other_colours():
    """Red and green of one brightness, exchanged: another picture, though grey is the same."""
    rng = np.random.default_rng(0)
    shade = rng.integers(60, 120, (240, 320)).astype(np.uint8)
    zero = np.zeros_like(shade)
    red, green = np.dstack([shade, zero, zero]), np.dstack([zero, shade // 2, zero])
    half = np.arange(320)[None, :, None] < 160
    assert judge(np.where(half, red, green), np.where(half, green, red)) is None


@pytest.mark.parametrize("seed", range(4))
def test_pictures_of_the_same_kind_are_not_found(search, seed):
    for made in (photograph(40 + seed, 640, 480), page(40 + seed), chart(40 + seed)):
        assert found(search, made) == []


def test_a_page_with_another_line_in_it_is_not_found(search):
    image = decoded(BENCHMARK[11]).convert("RGB")
    other = page(99).convert("RGB")
    height = image.height // 12
    image.paste(other.crop((0, 5 * height, image.width, 6 * height)), (0, 5 * height))
    assert found(search, image) == []


def test_features_come_from_all_of_a_picture():
    features = features_of(BENCHMARK[11])
    assert 0 < len(features.points) <= MOST_FEATURES
    assert features.size == (620, 877)
    assert np.ptp(features.points, axis=0).min() > 0.6
    again = features_of(BENCHMARK[11])
    assert np.array_equal(features.descriptors, again.descriptors)


def test_a_large_picture_has_more_features_and_shows_a_tile_of_a_collage(search):
    tiles = [decoded(BENCHMARK[11]), chart(20), page(21), chart(22)]
    sheet = Image.new("RGB", (1400, 1800), "white")
    for at, tile in enumerate(tiles):
        sheet.paste(tile.convert("RGB"), (at % 2 * 700 + 20, at // 2 * 900 + 10))
    data = encoded(sheet, "JPEG", quality=85)
    assert len(searched_features(data, sheet.size).points) > MOST_FEATURES
    assert len(searched_features(data, (640, 823)).points) <= MOST_FEATURES
    assert found(search, sheet, quality=85) == [(11, "part")]


def test_blank_and_tiny_pictures_have_no_features(search):
    for image in (
        Image.new("RGB", (300, 200), "white"),
        Image.new("L", (1, 900)),
        photograph(1, 9, 9),
    ):
        assert found(search, image) == []


def test_the_place_of_a_part_is_found_among_wrong_pairs():
    rng = np.random.default_rng(1)
    theirs = rng.random((60, 2)).astype(np.float32)
    ours = (theirs * 0.4 + np.array([0.3, 0.1])).astype(np.float32)
    wrong = rng.random((240, 2)).astype(np.float32)
    placed = place(
        np.concatenate([ours, rng.random((240, 2)).astype(np.float32)]),
        np.concatenate([theirs, wrong]),
        (1000, 1000),
        (500, 500),
    )
    assert placed is not None
    assert placed.across == pytest.approx(0.8, abs=0.01)
    assert placed.right == pytest.approx(300, abs=4)
    assert placed.below == pytest.approx(100, abs=4)
    assert place(wrong[:40], theirs[:40], (1000, 1000), (500, 500)) is None


def test_a_photograph_with_a_palette_is_found_in_other_colours(search):
    """Bands in smooth areas are no structure; the next picture of the kind is still another."""
    rng = np.random.default_rng(4)
    small = Image.fromarray(rng.integers(60, 200, (9, 12, 3), dtype=np.uint8))
    smooth = small.resize((640, 480), Image.Resampling.BICUBIC)
    pixels = np.asarray(smooth)
    few = np.asarray(smooth.quantize(256).convert("RGB"))
    judged = judge(pixels, few)
    assert judged is not None
    assert judged.kind == "colours"
    other = few.copy()
    other[100:160, 200:260] = other[300:360, 400:460]
    assert judge(pixels, other) is None


def window(seed: int) -> Image.Image:
    """A wide window with a list: small letters, alike at every place, on much empty ground."""
    rng = np.random.default_rng(seed)
    words = [
        "river",
        "stone",
        "market",
        "garden",
        "window",
        "paper",
        "letter",
        "silver",
        "northern",
        "quiet",
        "signal",
        "harbour",
    ]
    image = Image.new("RGB", (1440, 900), (32, 33, 36))
    draw = ImageDraw.Draw(image)
    for row in range(10):
        name, line = (" ".join(rng.choice(words, count)) for count in (2, 9))
        draw.text((20, 80 + 64 * row), name.title(), (240, 240, 240), ImageFont.load_default(20))
        draw.text((20, 108 + 64 * row), line, (140, 140, 144), ImageFont.load_default(17))
        amount = f"${rng.integers(1000, 99999):,}"
        draw.text((1340, 80 + 64 * row), amount, (240, 240, 240), ImageFont.load_default(20))
    return image


def test_a_crop_of_a_window_with_small_text_is_found():
    """Letters are alike, so features must be those of the whole picture, at the same scales."""
    tested = {number: encoded(window(number), "PNG") for number in range(3)}
    pieces = [describe(data, stored(number, data)) for number, data in tested.items()]
    search = Search(unpacked(pieces), LIMITS, lambda one: tested[int(one["number"])])
    hits = [
        (number, "part") in found(search, cropped(window(number), share), quality=88)
        for number in tested
        for share in (0.1, 0.2)
    ]
    assert sum(hits) >= 5, hits
    assert found(search, cropped(window(99), 0.1), quality=88) == []
