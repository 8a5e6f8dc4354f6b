"""Which items of a benchmark the training data shows, by the evidence of the build.

A run names its mixture, the mixture its curation, and the curation the rows that show a benchmark's
picture and were not removed (with `match_text`, rows that ask something else about it stay). Only
the mixture of the last stage is known: what an earlier stage showed is not in the evidence.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from cauldron.core import storage
from cauldron.core.errors import CauldronError
from cauldron.core.output.manifests import (
    CorpusManifest,
    CurationManifest,
    benchmark_folder,
    curation_folder,
    read_manifest,
)
from cauldron.core.output.mixture import load_mixture
from cauldron.core.output.runs import mixture_of_run, read_run
from cauldron.core.schema import Origin
from cauldron.evaluate.items.layouts import LAYOUTS

_COLUMNS = ["kind", "source", "benchmark", "benchmark_origin", "removed"]


class Place(NamedTuple):
    """A row of a benchmark: its file and its number there."""

    file: str
    row: int

    @classmethod
    def of(cls, origin: Origin) -> Place:
        return cls(origin.file, origin.row)


class TrainingData:
    """The mixture that a model was trained on.

    Args:
        folder: of the mixture, ``OUT/mixtures/<recipe>/<stage>``.
        only, exclude: sources, as the run was told.
        fingerprint: of the mixture as the run saw it; None if unknown.

    Raises:
        CauldronError: the mixture or its curation is not there, or it was built anew.
    """

    def __init__(
        self,
        folder: str,
        only: tuple[str, ...],
        exclude: tuple[str, ...],
        fingerprint: str | None = None,
    ) -> None:
        mixture = load_mixture(folder).manifest
        if fingerprint not in (None, mixture.fingerprint):
            raise CauldronError(f"{folder} was built anew since the model was trained on it")
        self.out = output_of(folder)
        self._sources = {
            name for name in mixture.sources if (not only or name in only) and name not in exclude
        }
        texts = mixture.recipe.get("against", {}).get("texts") or {}
        self._texts_flagged = texts.get("action") == "flag"
        where = curation_folder(self.out, mixture.curation)
        try:
            self._curation = read_manifest(CurationManifest, where)
        except FileNotFoundError:
            raise CauldronError(f"{where} is missing, which holds the evidence") from None

    def not_clean(self, benchmark: str) -> frozenset[Place] | None:
        """Rows of a benchmark that the training data shows; None if they were not compared."""
        names = [name for name in self._curation.benchmarks if self._is(name, benchmark)]
        if not names:
            return None
        found = set()
        for path in self._curation.paths(self._curation.contamination):
            with storage.open_read(storage.join(self.out, path)) as file:
                table = pq.read_table(file, columns=_COLUMNS)
            for row in table.to_pylist():
                # Text in common between rows with different pictures says nothing of the item.
                told = row["kind"] == "picture" or self._texts_flagged
                stays = told and not row["removed"] and row["source"] in self._sources
                if stays and row["benchmark"] in names:
                    origin = row["benchmark_origin"]
                    found.add(Place(origin["file"], origin["row"]))
        return frozenset(found)

    def _is(self, name: str, benchmark: str) -> bool:
        """Whether a benchmark of the curation is this one: by its name or its repository."""
        if name == benchmark:
            return True
        fingerprint = self._curation.benchmarks[name]
        try:
            manifest = read_manifest(CorpusManifest, benchmark_folder(self.out, name, fingerprint))
        except FileNotFoundError:
            return False
        return manifest.repo == LAYOUTS[benchmark].repo


def output_of(mixture: str) -> str:
    """The output folder of ``OUT/mixtures/<recipe>/<stage>``."""
    if storage.is_local(mixture):
        return storage.join(mixture, "..", "..", "..")
    return mixture.rstrip("/").rsplit("/", 3)[0]


def training_data(model: str) -> TrainingData | None:
    """The training data of a run's folder or of its exported model; None for other models.

    Raises:
        CauldronError: the run is known and its data is gone.
    """
    path = Path(model)
    for folder in (path, path.resolve().parent):
        config = read_run(str(folder)) if folder.is_dir() else None
        if config is not None:
            only, exclude = (tuple(config.get(name, ())) for name in ("only", "exclude"))
            return TrainingData(config["mixture"], only, exclude, mixture_of_run(str(folder)))
    return None
