"""A page at another resolution merges only if the recipe says so, and is counted apart."""

from __future__ import annotations

import os
import zipfile

from benchmarks.duplicates.pages_dpi.__main__ import drawn_pages, rendered
from cauldron.inspect.explain import explain
from cauldron.inspect.verify import verify
from tests.hubs import ZIP_PREFIX, write_dolly, write_sharegpt
from tests.test_reviews import build_with, rows_of


def write_hub(root: str) -> None:
    """Three rows with pictures: a page, another one, and the first at another resolution."""
    write_sharegpt(root, rows=3)
    page, other = (one.pdf for one in drawn_pages(2, 7))
    pictures = [
        rendered(page, 0, 80, 90), rendered(other, 0, 80, 90), rendered(page, 0, 60, 85),
    ]  # fmt: skip
    with zipfile.ZipFile(os.path.join(root, "OpenGVLab", "ShareGPT-4o", "images.zip"), "w") as file:
        for number, data in enumerate(pictures):
            file.writestr(f"{ZIP_PREFIX}{number:06d}.jpg", data)
    write_dolly(root, rows=3)


def test_a_page_at_another_resolution_merges_only_if_the_recipe_says_so(tmp_path):
    write_hub(str(tmp_path / "hub"))
    out = tmp_path / "out"
    build_with(tmp_path)
    assert rows_of(out, "FROM clusters") == []
    (card,) = out.glob("mixtures/*/*/README.md")
    assert "another rendering" not in card.read_text()
    said = build_with(tmp_path, other_rendering=True)
    assert "match: done already" in said
    members = rows_of(out, "FROM clusters ORDER BY representative DESC")
    assert [(row["representative"], row["other_rendering"]) for row in members] == [
        (True, False), (False, True),
    ]  # fmt: skip
    merged = rows_of(out, "SELECT id, reason FROM decisions WHERE decision = 'merge'")
    assert [row["reason"] for row in merged] == ["near_duplicate"]
    assert "in a cluster for this reason: 1." in card.read_text()
    assert "another rendering" in "\n".join(explain(str(out), merged[0]["id"]))
    assert verify(str(out)) == []
    build_with(tmp_path)
    assert rows_of(out, "FROM clusters") == []
