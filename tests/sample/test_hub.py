"""The miniature hub is the same every time and looks like what publishers ship."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow.parquet as pq
import pytest
import yaml
from cauldron.sources.base import Row
from cauldron.sources.catalog import registry
from cauldron.sources.repos.roots import open_root
from PIL import Image

from cauldron.core.errors import UsageError
from cauldron.recipe import load_recipe
from cauldron.sample import write_sample_hub
from cauldron.sample.hub import CONFIGS, OTHERS, PRETRAINING
from tests.sample.conftest import ROWS

Hub = tuple[str, dict[str, Any]]
CAULDRON = "HuggingFaceM4/the_cauldron"


def digests(folder: str) -> dict[str, str]:
    root = Path(folder)
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def readable_shards(folder: str) -> list[Path]:
    """Parquet files with a footer."""
    paths = sorted(Path(folder).rglob("*.parquet"))
    return [path for path in paths if path.read_bytes()[-4:] == b"PAR1"]


def test_same_seed_and_rows_give_the_same_bytes(hub: Hub, tmp_path: Path) -> None:
    write_sample_hub(str(tmp_path / "again"), rows=ROWS)
    assert digests(str(tmp_path / "again")) == digests(hub[0])


def test_every_source_of_the_recipe_is_there(hub: Hub) -> None:
    names = {f"the_cauldron/{config}" for config in CONFIGS} | set(OTHERS) | set(PRETRAINING)
    assert set(load_recipe("sample").stage("sft").mixture) <= names <= set(registry())
    assert set(hub[1]["sources"]) == names | {"docmatix:pdf"}


def test_every_source_has_its_ordinary_rows_on_top_of_what_is_planted(hub: Hub) -> None:
    for name, expected in hub[1]["sources"].items():
        planted = [p for p in hub[1]["planted"] if p["source"] == name and p["outcome"] == "kept"]
        merged = expected["merged"].get("same_image", 0)
        assert expected["kept"] + merged - len(planted) >= ROWS, name


def test_parquet_files_have_small_row_groups_and_features_in_the_footer(hub: Hub) -> None:
    for path in readable_shards(hub[0]):
        file = pq.ParquetFile(path)
        groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        assert max(groups) <= 10
        if file.schema_arrow.names == ["img", "caption"] or path.name.startswith("part-"):
            continue  # of another program than `datasets`
        features = json.loads(file.schema_arrow.metadata[b"huggingface"])["info"]["features"]
        assert list(features) == file.schema_arrow.names, path


def test_shards_are_named_as_push_to_hub_names_them(hub: Hub) -> None:
    paths = sorted((Path(hub[0]) / CAULDRON / "vqav2").iterdir())
    assert [path.name[:21] for path in paths] == ["train-00000-of-00002-", "train-00001-of-00002-"]
    assert all(len(path.stem) == 21 + 16 for path in paths)
    lnqa = sorted(path.name for path in (Path(hub[0]) / "vikhyatk/lnqa/data").iterdir())
    assert lnqa == ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]


def test_the_cauldron_card_lists_the_configurations(hub: Hub) -> None:
    text = (Path(hub[0]) / CAULDRON / "README.md").read_text()
    header = yaml.safe_load(text.split("---")[1])
    assert [entry["config_name"] for entry in header["configs"]] == sorted(CONFIGS)
    assert header["configs"][0]["data_files"] == [{"split": "train", "path": "ai2d/train-*"}]


def test_pictures_lie_where_their_publishers_put_them(hub: Hub) -> None:
    with zipfile.ZipFile(Path(hub[0]) / "coco/train2014.zip") as coco:
        assert all(name.startswith("train2014/COCO_train2014_") for name in coco.namelist())
        assert len(coco.namelist()) == 3 * ROWS
    with zipfile.ZipFile(Path(hub[0]) / "OpenGVLab/ShareGPT-4o/images.zip") as archive:
        inside = [name for name in archive.namelist() if not name.startswith("..")]
        assert all(name.startswith("mnt/petrelfs/wangwenhai/") for name in inside)
        assert all(info.date_time[0] == 2024 for info in archive.infolist())


def test_clevr_math_and_okvqa_ship_paths_only(hub: Hub) -> None:
    for config in ("clevr_math", "okvqa"):
        for path in (Path(hub[0]) / CAULDRON / config).iterdir():
            rows = pq.read_table(path, columns=["images"])["images"].to_pylist()
            assert all(image["bytes"] is None and image["path"] for row in rows for image in row)


def test_pictures_are_jpeg_where_photographed_and_png_where_drawn(hub: Hub) -> None:
    def formats(config: str) -> set[str | None]:
        path = min((Path(hub[0]) / CAULDRON / config).iterdir())
        rows = pq.read_table(path, columns=["images"])["images"].to_pylist()[: ROWS // 2]
        return {Image.open(io.BytesIO(row[0]["bytes"])).format for row in rows}

    assert formats("vqav2") == {"JPEG"}
    assert formats("chartqa") == formats("raven") == {"PNG"}


def test_every_url_leads_to_a_file_of_the_hub(hub: Hub) -> None:
    root, reached = open_root(hub[0]), set()
    for name in ("laion_coco", "pixelprose", "obelics"):
        source = registry()[name]
        repo = root.repo(source.repo)
        for piece in source.pieces(root, repo, {}):
            for row in source.read(root, repo, piece, {}):
                for image in row.images if isinstance(row, Row) else ():
                    if image.problem is not None:
                        continue
                    assert image.url.startswith("http://images.sample.invalid/")
                    path = Path(hub[0]) / "_images" / urlsplit(image.url).path.lstrip("/")
                    digest = hashlib.sha256(path.read_bytes()).hexdigest()
                    assert image.sha256 in (None, digest)
                    reached.add(path)
    # A page has two photographs, and there is one logo.
    assert len(reached) == 2 * ROWS + 2 * ROWS + 1
    assert reached == {*(Path(hub[0]) / "_images").rglob("*.jpg")}


def test_a_second_hub_does_not_go_into_the_folder_of_the_first(hub: Hub) -> None:
    with pytest.raises(UsageError, match="a hub of seed 0 and 6 rows"):
        write_sample_hub(hub[0], seed=1, rows=ROWS)


def test_a_hub_does_not_go_among_other_files(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("42")
    with pytest.raises(UsageError, match="other files"):
        write_sample_hub(str(tmp_path))


def test_too_few_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least 6 rows"):
        write_sample_hub(str(tmp_path / "hub"), rows=3)
