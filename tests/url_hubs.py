"""Small hubs whose images are behind URLs of a server of the test, and recipes for them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from cauldron.core import storage
from cauldron.core.output.fetched import FetchManifest
from cauldron.core.output.manifests import CorpusManifest, read_manifest
from cauldron.pipeline.build import BuildOptions, build
from cauldron.recipe import Recipe
from tests.doubles.images import photo
from tests.hubs import write_dolly


class Linked(NamedTuple):
    """A row of a hub: where its image is, and the published digest, if there is one."""

    url: str
    sha256: str | None = None


def linked(port: int, number: int, host: str = "127.0.0.1", checked: bool = True) -> Linked:
    """A row with a photo of the test's server."""
    digest = hashlib.sha256(photo(number)).hexdigest() if checked else None
    return Linked(f"http://{host}:{port}/{number}.jpg", digest)


def write_pixelprose(root: Path, rows: Sequence[Linked], files: int = 2) -> None:
    """PixelProse, a row for each link, and a few rows of text beside it."""
    folder = root / "tomg-group-umd" / "pixelprose" / "data"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        table = pa.table(
            {
                "uid": [f"{number}-{i}" for i, _ in enumerate(rows[number::files])],
                "url": [row.url for row in rows[number::files]],
                "sha256": pa.array([row.sha256 for row in rows[number::files]], pa.string()),
                "status": ["success" for _ in rows[number::files]],
                "vlm_caption": [
                    f"This image displays: a plain card, number {row.url.rpartition('/')[2]}."
                    for row in rows[number::files]
                ],
            }
        )
        pq.write_table(table, folder / f"vlm_captions_cc12m_{number:02d}.parquet")
    write_dolly(str(root), rows=4)


def write_laion(root: Path, rows: Sequence[Linked]) -> None:
    folder = root / "laion" / "laion-coco"
    folder.mkdir(parents=True, exist_ok=True)
    captions = [f"a card at {row.url}" for row in rows]
    table = pa.table({"URL": [row.url for row in rows], "top_caption": captions})
    pq.write_table(table, folder / "part-00000.snappy.parquet")


def url_recipe(*sources: str, **fetch: Any) -> Recipe:
    """A recipe that mixes sources by URL with some text; `fetch` changes its rules."""
    rules = {"allowed_hosts": ["127.0.0.1", "localhost"], "attempts": 1, "max_failed": 1, **fetch}
    names = sources or ("pixelprose",)
    mixture = {"dolly": 1, **dict.fromkeys(names, 1)}
    return Recipe.model_validate(
        {
            "name": "urls",
            "tokenizer": "estimate",
            "fetch": rules,
            "stages": {"sft": {"mixture": mixture, "budget": {"samples": 8}}},
        }
    )


def build_urls(
    root: Path, output: Path | str, recipe: Recipe, *beam_args: str, **options: Any
) -> list[str]:
    """Build; returns what was said."""
    said: list[str] = []
    asked = BuildOptions(
        recipe=recipe,
        stages=(),
        root=str(root),
        output=str(output),
        beam_args=beam_args,
        **options,
    )
    build(asked, said.append)
    return said


def fetch_manifests(output: Path) -> dict[str, FetchManifest]:
    paths = sorted(output.glob("fetched/lists/**/manifest.json"))
    found = [read_manifest(FetchManifest, str(path.parent)) for path in paths]
    return {manifest.source: manifest for manifest in found}


def corpora(output: Path, source: str = "pixelprose") -> list[CorpusManifest]:
    """All corpora of a source, the newest last."""
    paths = sorted(output.glob(f"corpus/{source}/*/manifest.json"), key=lambda p: p.stat().st_mtime)
    return [read_manifest(CorpusManifest, str(path.parent)) for path in paths]


def corpus_files(output: Path, source: str = "pixelprose") -> dict[str, bytes]:
    """The files of the newest corpus of a source."""
    newest = corpora(output, source)[-1]
    folder = storage.join(str(output), "corpus", source, newest.fingerprint)
    return {Path(path).name: storage.read_bytes(path) for path in storage.list_files(folder)}
