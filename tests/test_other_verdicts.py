"""Pictures in other colours and in another rendering merge only if the recipe says so."""

from __future__ import annotations

import os
import zipfile

import pytest

from benchmarks.duplicates.pages_dpi.__main__ import drawn_pages, rendered
from cauldron.inspect.explain import explain
from cauldron.inspect.verify import verify
from tests.hubs import ZIP_PREFIX, write_dolly, write_sharegpt
from tests.test_reviews import build_with, rows_of
from tests.transforms.made_pictures import encoded, photograph


def in_grey() -> list[bytes]:
    """A photograph, another one, and the first in grey."""
    image = photograph(1, 640, 480)
    pictures = image, photograph(2, 640, 480), image.convert("L")
    return [encoded(picture, "JPEG", quality=90) for picture in pictures]


def at_another_resolution() -> list[bytes]:
    """A page, another one, and the first at another resolution."""
    page, other = (one.pdf for one in drawn_pages(2, 7))
    return [rendered(page, 0, 80, 90), rendered(other, 0, 80, 90), rendered(page, 0, 60, 85)]


def write_hub(root: str, pictures: list[bytes]) -> None:
    """Three rows with pictures, and three without."""
    write_sharegpt(root, rows=3)
    with zipfile.ZipFile(os.path.join(root, "OpenGVLab", "ShareGPT-4o", "images.zip"), "w") as file:
        for number, data in enumerate(pictures):
            file.writestr(f"{ZIP_PREFIX}{number:06d}.jpg", data)
    write_dolly(root, rows=3)


@pytest.mark.parametrize(
    ("key", "pictures", "in_card", "in_explain"),
    [
        ("other_colours", in_grey, "other colours", "in other colours"),
        (
            "other_rendering",
            at_another_resolution,
            "another rendering",
            "another rendering",
        ),
    ],
)
def test_they_merge_only_if_the_recipe_says_so(tmp_path, key, pictures, in_card, in_explain):
    write_hub(str(tmp_path / "hub"), pictures())
    out = tmp_path / "out"
    build_with(tmp_path)
    assert rows_of(out, "FROM clusters") == []
    (card,) = out.glob("mixtures/*/*/README.md")
    assert in_card not in card.read_text()
    said = build_with(tmp_path, **{key: True})
    assert "match: done already" in said
    members = rows_of(out, "FROM clusters ORDER BY representative DESC")
    assert [(row["representative"], row[key]) for row in members] == [
        (True, False), (False, True),
    ]  # fmt: skip
    merged = rows_of(out, "SELECT id, reason FROM decisions WHERE decision = 'merge'")
    assert [row["reason"] for row in merged] == ["near_duplicate"]
    assert "in a cluster for this reason: 1." in card.read_text()
    assert in_explain in "\n".join(explain(str(out), merged[0]["id"]))
    assert verify(str(out)) == []
    build_with(tmp_path)
    assert rows_of(out, "FROM clusters") == []
