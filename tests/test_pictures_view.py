"""The view `pictures`: hashes that imagehash reads, and keys that reviews take."""

from __future__ import annotations

import io

import imagehash
from PIL import Image

from cauldron.inspect.query import connect
from cauldron.pipeline.build import BuildOptions, build
from cauldron.recipe import load_recipe
from tests.hubs import photo, write_dolly, write_recipe, write_sharegpt


def test_hashes_are_hex_of_imagehash(tmp_path):
    """Up to 256 x 256 pixels the 64-bit hash is imagehash's own; the 256 bits differ more."""
    root = str(tmp_path / "hub")
    write_sharegpt(root, rows=6)
    write_dolly(root, rows=2)
    recipe = load_recipe(write_recipe(str(tmp_path / "r.json"))).model_copy(
        update={"duplicates": None}
    )
    build(BuildOptions(recipe, (), root, str(tmp_path / "out")), lambda line: None)
    sql = "SELECT p.*, c.origin, c.image_info FROM pictures p JOIN corpus c USING (source, id)"
    with connect(str(tmp_path / "out")) as connection:
        rows = connection.sql(sql).to_arrow_table().to_pylist()
    assert len(rows) == 6
    published = [Image.open(io.BytesIO(photo(number))) for number in range(6)]
    found = {str(imagehash.hex_to_hash(row["phash"])): row for row in rows}
    assert set(found) == {str(imagehash.phash(image)) for image in published}
    for image in published:
        row = found[str(imagehash.phash(image))]
        (info,) = row["image_info"]
        assert int(row["phash"], 16) == info["phash"]
        assert row["picture"] == (info["pixels"] or info["sha256"][:32])
        wide = imagehash.hex_to_hash(row["phash256"])
        assert wide.hash.shape == (16, 16)
        assert wide - imagehash.phash(image, hash_size=16) <= 40
        content = info["content"]
        assert (row["content_phash"] is None) == (content is None)
        if content is not None:
            assert int(row["content_phash"], 16) == content["phash"]
            assert imagehash.hex_to_hash(row["content_phash256"]).hash.shape == (16, 16)
