"""Whether two pictures are one, on pixels: what must be accepted, and what never may be."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from cauldron.transforms.matching.compare.comparison import BAR, Comparison, compare
from cauldron.transforms.matching.compare.prepared import prepare
from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

WORDS = ("apple", "river", "stone", "cloud", "amber", "linen", "copper", "maple", "winter",
         "garden", "silver", "candle")  # fmt: skip


def stored(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def compared(first: bytes, second: bytes) -> Comparison:
    found = compare(prepare(first), prepare(second))
    assert found == compare(prepare(second), prepare(first))
    assert found.same == (found.score >= BAR)
    assert 0 <= found.score <= 1
    return found


def same(first: Image.Image, second: Image.Image) -> bool:
    return compared(stored(first), stored(second)).same


def table(changes: dict[tuple[int, int], str] | None = None, size: float = 15) -> Image.Image:
    """Eight rows of a name and three numbers."""
    rng = np.random.default_rng(5)
    cells = [[WORDS[row], *(str(n) for n in rng.integers(1000, 9999, size=3))] for row in range(8)]
    for (row, column), text in (changes or {}).items():
        cells[row][column] = text
    wide, high = size * 6, size * 1.8
    image = Image.new("RGB", (round(4 * wide), round(9 * high)), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    draw.rectangle((0, 0, image.width, high), fill=(201, 218, 240))
    for column, title in enumerate(("Item", "May", "June", "July")):
        draw.text((column * wide + size / 2, high / 4), title, "black", font)
    for row, line in enumerate(cells, 1):
        draw.line((0, row * high, image.width, row * high), fill=(150, 150, 150))
        for column, text in enumerate(line):
            draw.text((column * wide + size / 2, (row + 0.2) * high), text, (30, 30, 30), font)
    return image


def page(number: int, text: int = 1, size: int = 16) -> Image.Image:
    """A page of about 100 dpi: one head for all, prose that follows `text`."""
    rng = np.random.default_rng(text)
    image = Image.new("L", (680, 960), 255)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    draw.text((70, 50), "Report on the state of the gardens", 0, ImageFont.load_default(24))
    for line in range(34):
        words = " ".join(WORDS[i] for i in rng.integers(0, len(WORDS), 9))
        draw.text((70, 110 + line * size * 1.5), words, 20, font)
    draw.text((600, 920), str(number), 20, font)
    return image


def chart(heights: tuple[int, ...] = (120, 200, 90, 170), colours: str = "blue red") -> Image.Image:
    image = Image.new("RGB", (520, 360), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(14)
    draw.line((60, 20, 60, 300), fill="black")
    draw.line((60, 300, 500, 300), fill="black")
    fills = colours.split()
    for at, height in enumerate(heights):
        x = 90 + at * 100
        draw.rectangle((x, 300 - height, x + 50, 300), fill=fills[at % 2])
        draw.text((x, 310), WORDS[at], "black", font)
    for at, fill in enumerate(fills):
        draw.rectangle((380, 20 + at * 24, 394, 34 + at * 24), fill=fill)
        draw.text((402, 18 + at * 24), ("girls", "boys")[at], "black", font)
    return image


def curve(colour: str) -> Image.Image:
    """A chart of one thin line, smoothed as plotting libraries do."""
    large = Image.new("RGB", (1752, 914), "white")
    draw, font = ImageDraw.Draw(large), ImageFont.load_default(24)
    for step in range(6):
        draw.line((116, 92 + step * 128, 1530, 92 + step * 128), "#dddddd", 3)
        draw.text((40, 80 + step * 128), str(5000 - 1000 * step), "#555555", font)
    places = [(292, 486), (646, 502), (998, 204), (1352, 714)]
    draw.line(places, colour, 6)
    for x, y in places:
        draw.ellipse((x - 8, y - 8, x + 8, y + 8), colour)
    return large.resize((876, 457), Image.Resampling.LANCZOS)


def photograph(seed: int = 3, thing: tuple[int, int, int] | None = (190, 60, 50)) -> Image.Image:
    """Hills of noise under a sky, and something round in front of them."""
    rng = np.random.default_rng(seed)
    light = np.zeros((360, 480, 3))
    for side, strength in ((4, 60), (12, 35), (40, 22), (120, 12)):
        small = Image.fromarray(rng.integers(0, 255, (side, side, 3), np.uint8))
        light += np.asarray(small.resize((480, 360), Image.Resampling.BICUBIC)) / 255 * strength
    light += np.linspace(80, 10, 360)[:, None, None]
    image = Image.fromarray(np.clip(light, 0, 255).astype(np.uint8))
    if thing:
        ImageDraw.Draw(image).ellipse((300, 190, 350, 240), fill=thing)
    grain = rng.normal(0, 3, (360, 480, 3))
    return Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))


def receipt(total: str = "34,500") -> Image.Image:
    """Grey print on a slip, turned a little, on a dark table, with grain."""
    slip = Image.new("L", (340, 520), 240)
    draw, font = ImageDraw.Draw(slip), ImageFont.load_default(19)
    for row in range(9):
        draw.text((20, 40 + row * 40), f"{row + 1} {WORDS[row]}", 50, font)
        draw.text((230, 40 + row * 40), f"{(row * 7919) % 900 + 100},00", 50, font)
    draw.text((20, 430), "TOTAL", 40, font)
    draw.text((230, 430), total, 40, font)
    scene = Image.new("L", (460, 640), 70)
    scene.paste(slip, (60, 60))
    turned = np.asarray(scene.rotate(1.5, Image.Resampling.BICUBIC, fillcolor=70), np.float64)
    lit = turned * np.linspace(1.0, 0.8, 640)[:, None]
    grain = np.random.default_rng(8).normal(0, 4, lit.shape)
    return Image.fromarray(np.clip(lit + grain, 0, 255).astype(np.uint8)).convert("RGB")


PICTURES: dict[str, Callable[[], Image.Image]] = {
    "table": table,
    "page": lambda: page(7),
    "chart": chart,
    "photograph": photograph,
    "receipt": receipt,
}


def resized(image: Image.Image, share: float, how: Image.Resampling) -> Image.Image:
    return image.resize((round(image.width * share), round(image.height * share)), how)


def cropped(image: Image.Image, share: float) -> Image.Image:
    x, y = round(image.width * share), round(image.height * share)
    return image.crop((x, y, image.width - x, image.height - y))


def noisy(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image, np.float64)
    grain = np.random.default_rng(1).normal(0, 4, pixels.shape)
    return Image.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8))


ALTERATIONS: dict[str, Callable[[Image.Image], bytes]] = {
    "jpeg 30": lambda image: stored(image, "JPEG", quality=30),
    "jpeg 60": lambda image: stored(image, "JPEG", quality=60),
    "jpeg 95": lambda image: stored(image, "JPEG", quality=95),
    "webp": lambda image: stored(image, "WEBP", quality=75),
    "resize 50": lambda image: stored(resized(image, 0.5, Image.Resampling.LANCZOS)),
    "resize 50, box": lambda image: stored(resized(image, 0.5, Image.Resampling.BOX)),
    "resize 67": lambda image: stored(resized(image, 0.67, Image.Resampling.BICUBIC)),
    "resize 80, jpeg": lambda image: stored(
        resized(image, 0.8, Image.Resampling.BILINEAR), "JPEG", quality=80
    ),
    "darker": lambda image: stored(ImageEnhance.Brightness(image).enhance(0.8)),
    "brighter": lambda image: stored(ImageEnhance.Brightness(image).enhance(1.2)),
    "crop 2": lambda image: stored(cropped(image, 0.02)),
    "crop 2, jpeg": lambda image: stored(cropped(image, 0.02), "JPEG", quality=75),
    "crop 5": lambda image: stored(cropped(image, 0.05)),
    "border": lambda image: stored(ImageOps.expand(image, 9, "black")),
    "noise": lambda image: stored(noisy(image)),
}


# Copies that are lost: what would find them would take another bar for this one.
LOST = {("page", "border"), ("chart", "border"), ("chart", "jpeg 30"), ("chart", "brighter")}


@pytest.mark.parametrize("alteration", ALTERATIONS)
@pytest.mark.parametrize("kind", PICTURES)
def test_an_altered_copy_is_the_same_picture(kind: str, alteration: str) -> None:
    image = PICTURES[kind]()
    found = compared(stored(image), ALTERATIONS[alteration](image))
    assert found.same == ((kind, alteration) not in LOST), found


@pytest.mark.parametrize("size", [10, 12, 15, 24, 40])
@pytest.mark.parametrize("old", ["8", "6", "1"])
def test_one_changed_digit_makes_another_table(size: int, old: str) -> None:
    new = {"8": "3", "6": "5", "1": "7"}[old]
    first, second = (table({(4, 2): f"2{digit}49"}, size) for digit in (old, new))
    assert not same(first, second)


@pytest.mark.parametrize("quality", [90, 50, 30])
def test_one_changed_digit_is_seen_through_jpeg(quality: int) -> None:
    changed = table({(4, 2): "2849"}), table({(4, 2): "2549"})
    first, second = (stored(image, "JPEG", quality=quality) for image in changed)
    assert not compared(first, second).same
    assert not compared(stored(changed[0]), second).same


@pytest.mark.parametrize("how", [Image.Resampling.BOX, Image.Resampling.LANCZOS])
@pytest.mark.parametrize("size", [12, 15, 24])
def test_one_changed_digit_is_seen_at_half_the_size(size: int, how: Image.Resampling) -> None:
    first, second = table({(4, 2): "2849"}, size), table({(4, 2): "2349"}, size)
    assert not same(first, resized(second, 0.5, how))
    assert not same(resized(first, 0.5, how), second)


@pytest.mark.parametrize("alteration", ["crop 2", "border", "darker", "brighter", "noise"])
def test_one_changed_digit_is_seen_in_an_altered_copy(alteration: str) -> None:
    first, second = table({(6, 3): "2849"}), table({(6, 3): "2049"})
    assert not compared(stored(first), ALTERATIONS[alteration](second)).same


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (table(), table({(row, column): "8080" for row in range(8) for column in (1, 2, 3)})),
        (table(), table({(2, 0): "harbour"})),
        (page(1, text=1), page(2, text=2)),
        (page(1, text=1), page(2, text=1)),
        (chart(), chart((120, 200, 110, 170))),
        (chart(), chart((90, 170, 120, 200))),
        (chart(), chart(colours="red blue")),
        (chart(colours="#5a5a5a #aaaaaa"), chart(colours="#aaaaaa #5a5a5a")),
        (curve("#8246a0"), curve("#eb82aa")),
        (receipt(), receipt("34,600")),
        (photograph(3), photograph(4)),
        (photograph(), photograph(thing=None)),
        (photograph(), photograph(thing=(60, 118, 60))),
    ],
    ids=[
        "other numbers in one template",
        "another word in a cell",
        "consecutive pages",
        "another page number",
        "another bar",
        "other bars",
        "colours swapped",
        "greys swapped",
        "a thin line in another colour",
        "another amount",
        "another scene",
        "something gone",
        "something of another hue and the same grey",
    ],
)
def test_what_only_looks_alike_is_not_the_same(first: Image.Image, second: Image.Image) -> None:
    assert not same(first, second)
    jpegs = [stored(image, "JPEG", quality=70) for image in (first, second)]
    assert not compared(*jpegs).same


def test_equal_pixels_score_one() -> None:
    for draw in PICTURES.values():
        assert compared(stored(draw()), stored(draw(), "WEBP", lossless=True)).score == 1


def test_the_worse_the_copy_the_lower_its_score() -> None:
    image = table()
    scores = [
        compared(stored(image), stored(image, "JPEG", quality=quality)).score
        for quality in (95, 75, 50, 25)
    ]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[-1]


def test_text_and_line_art_are_drawings_and_photographs_are_not() -> None:
    drawings = {
        kind: compared(stored(draw()), stored(draw())).drawing for kind, draw in PICTURES.items()
    }
    assert drawings == {
        "table": True,
        "page": True,
        "chart": True,
        "photograph": False,
        "receipt": False,
    }


def test_a_blank_picture_is_the_same_only_as_its_exact_pixels() -> None:
    blank = Image.new("L", (620, 877), 255)
    assert compared(stored(blank), stored(blank.convert("RGB"), "JPEG", quality=60)).score == 1
    for other in (250, 160, 0):
        assert compared(stored(blank), stored(Image.new("L", (620, 877), other))).score == 0
    assert not same(blank, Image.new("L", (610, 877), 255))
    assert not same(noisy(blank), blank)
    assert not same(noisy(blank), Image.new("L", (620, 877), 250))


@pytest.mark.parametrize("quality", [None, 90, 50, 30])
@pytest.mark.parametrize("number", ["7", "12", "17"])
def test_a_page_number_makes_a_blank_page_another(number: str, quality: int | None) -> None:
    """However faint compression makes it: no tone and no blur takes it for part of the paper."""
    blank, numbered, other = (Image.new("L", (600, 800), 255) for _ in range(3))
    for drawn, text in ((numbered, number), (other, "8")):
        ImageDraw.Draw(drawn).text((290, 770), text, fill=0, font=ImageFont.load_default(12))
    copy = stored(numbered, "JPEG", quality=quality) if quality else stored(numbered)
    assert not compared(stored(blank), copy).same
    assert not compared(stored(other), copy).same


@pytest.mark.parametrize("size", [(2, 3), (16, 16), (23, 300), (400, 20)])
def test_pictures_too_small_to_register_must_be_of_one_size_and_nearly_equal(
    size: tuple[int, int],
) -> None:
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, 200, (size[1], size[0], 3), np.uint8)
    image = Image.fromarray(pixels)
    assert compared(stored(image), stored(image)).score == 1
    assert same(image, Image.fromarray(pixels + np.uint8(3)))
    assert not same(image, Image.fromarray(pixels + np.uint8(50)))
    assert not same(image, image.resize((size[0] + 1, size[1])))


@pytest.mark.parametrize("size", [(4000, 30), (30, 4000), (3000, 26)])
def test_long_strips_are_compared(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(4)
    small = rng.integers(0, 255, (max(size[1] // 5, 2), max(size[0] // 5, 2)), np.uint8)
    image = Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)
    assert compared(stored(image), stored(image, "JPEG", quality=90)).same
    assert not same(image, ImageOps.mirror(image) if size[0] > size[1] else ImageOps.flip(image))


def test_very_different_sizes_are_refused() -> None:
    image = table()
    assert not same(image, resized(image, 0.3, Image.Resampling.LANCZOS))
    assert not same(image, image.resize((30, 30)))
    assert not same(photograph(), photograph().resize((3840, 2880)).resize((64, 48)))


def test_too_small_an_overlap_is_not_the_same() -> None:
    image = photograph()
    assert not same(image, image.crop((0, 0, 360, 360)))
    assert not same(image.crop((0, 0, 380, 360)), image.crop((100, 0, 480, 360)))


def test_a_grey_file_and_a_colour_file_of_grey_are_the_same() -> None:
    grey = page(3)
    assert compared(stored(grey), stored(grey.convert("RGB"))).score == 1


def test_a_picture_without_its_colours_is_another() -> None:
    assert not same(chart(), ImageOps.grayscale(chart()))


def test_large_pictures_are_compared_at_about_a_megapixel() -> None:
    fine = ImageOps.pad(table(size=40), (1700, 1300), color="white")
    first = prepare(stored(fine))
    assert first.size == (1700, 1300)
    assert first.greys.size <= 1_050_000
    assert compared(stored(fine), stored(fine, "JPEG", quality=70)).same
    assert compared(stored(fine), stored(resized(fine, 0.6, Image.Resampling.BICUBIC))).same
    other = ImageOps.pad(table({(3, 1): "1111"}, 40), (1700, 1300), color="white")
    assert not same(fine, other)


def test_huge_jpegs_decoded_at_a_fraction_match_their_png() -> None:
    scene = photograph().resize((3000, 2250), Image.Resampling.BICUBIC)
    assert compared(stored(scene, "JPEG", quality=90), stored(scene, compress_level=1)).same


def test_the_result_depends_on_nothing_but_the_two_pictures() -> None:
    pairs = [
        (prepare(stored(draw())), prepare(ALTERATIONS[name](draw())))
        for draw in PICTURES.values()
        for name in ("jpeg 30", "crop 2, jpeg", "resize 67")
    ]
    alone = [compare(*pair) for pair in pairs]
    threads = cv2.getNumThreads()
    try:
        for number in (1, 4):
            cv2.setNumThreads(number)
            with ThreadPoolExecutor(4) as pool:
                assert list(pool.map(lambda pair: compare(*pair), pairs)) == alone
    finally:
        cv2.setNumThreads(threads)
    again = [compare(*pickle.loads(pickle.dumps(pair))) for pair in reversed(pairs)]
    assert again == alone[::-1]
