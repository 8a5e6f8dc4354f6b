"""A grey copy merges only if the recipe says so, and is counted apart."""

from __future__ import annotations

import os
import zipfile

from cauldron.inspect.explain import explain
from cauldron.inspect.verify import verify
from tests.hubs import ZIP_PREFIX, write_dolly, write_sharegpt
from tests.test_reviews import build_with, rows_of
from tests.transforms.made_pictures import encoded, photograph


def write_hub(root: str) -> None:
    """Three rows with pictures: a photograph, another one, and the first in grey."""
    write_sharegpt(root, rows=3)
    image = photograph(1, 640, 480)
    pictures = [image, photograph(2, 640, 480), image.convert("L")]
    with zipfile.ZipFile(os.path.join(root, "OpenGVLab", "ShareGPT-4o", "images.zip"), "w") as file:
        for number, picture in enumerate(pictures):
            file.writestr(f"{ZIP_PREFIX}{number:06d}.jpg", encoded(picture, "JPEG", quality=90))
    write_dolly(root, rows=3)


def test_a_grey_copy_merges_only_if_the_recipe_says_so(tmp_path):
    write_hub(str(tmp_path / "hub"))
    out = tmp_path / "out"
    build_with(tmp_path)
    assert rows_of(out, "FROM clusters") == []
    (card,) = out.glob("mixtures/*/*/README.md")
    assert "other colours" not in card.read_text()
    said = build_with(tmp_path, other_colours=True)
    assert "match: done already" in said
    members = rows_of(out, "FROM clusters ORDER BY representative DESC")
    assert [(row["representative"], row["other_colours"]) for row in members] == [
        (True, False), (False, True),
    ]  # fmt: skip
    merged = rows_of(out, "SELECT id, reason FROM decisions WHERE decision = 'merge'")
    assert [row["reason"] for row in merged] == ["near_duplicate"]
    assert "in a cluster for this reason: 1." in card.read_text()
    assert "in other colours" in "\n".join(explain(str(out), merged[0]["id"]))
    assert verify(str(out)) == []
    build_with(tmp_path)
    assert rows_of(out, "FROM clusters") == []
