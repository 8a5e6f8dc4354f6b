"""Which items of a benchmark the training data shows, by the evidence of the build.

A model's lineage names the mixtures that it was trained on, of all stages. A mixture names its
curation, and the curation the rows that show a benchmark's picture and were not removed (with
`match_text`, rows that ask something else about it stay). An item that one of the mixtures shows is
not clean. Mixtures that are gone or were not compared with a benchmark, and a published model that
the first training started from, are told beside the score.
"""

from __future__ import annotations

from collections.abc import Callable
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
from cauldron.core.output.runs import Training, lineage_of
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


class Shown(NamedTuple):
    """What the training data shows of a benchmark.

    Attributes:
        rows: of the benchmark that it shows.
        not_compared: parts of the training data that nobody compared with the benchmark.
    """

    rows: frozenset[Place]
    not_compared: tuple[str, ...] = ()


class TrainingData:
    """All that a model was trained on, as far as it is known.

    Args:
        evidence: of each training, by its stage.
        unknown: parts of the training data of which nothing is known.
    """

    def __init__(self, evidence: list[tuple[str, Evidence]], unknown: tuple[str, ...] = ()) -> None:
        self._evidence, self._unknown = evidence, unknown

    def shown(self, benchmark: str) -> Shown | None:
        """None if no part of the training data was compared with the benchmark."""
        found = [(stage, known.not_clean(benchmark)) for stage, known in self._evidence]
        rows = [places for _, places in found if places is not None]
        if not rows:
            return None
        missing = [stage for stage, places in found if places is None]
        return Shown(frozenset().union(*rows), (*self._unknown, *dict.fromkeys(missing)))


class Evidence:
    """The evidence of the build of a mixture.

    Raises:
        CauldronError: the mixture or its curation is not there, or it was built anew.
    """

    def __init__(self, training: Training) -> None:
        folder, only, exclude = training.mixture, training.only, training.exclude
        mixture = load_mixture(folder).manifest
        if training.fingerprint not in (None, mixture.fingerprint):
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
        """Rows of a benchmark that the mixture shows; None if they were not compared."""
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


def training_data(model: str, say: Callable[[str], None]) -> TrainingData | None:
    """The training data of a run's folder or of an exported model; None for other models.

    Raises:
        CauldronError: the file that tells it is damaged.
    """
    lineage = lineage_of(model)
    if lineage is None:
        return None
    evidence, unknown = [], [] if lineage.base is None else [lineage.base]
    for training in lineage.trainings:
        try:
            evidence.append((f"stage {training.stage}", Evidence(training)))
        except CauldronError as error:
            say(f"contamination by stage {training.stage} is not known: {error}")
            unknown.append(f"stage {training.stage}")
    return TrainingData(evidence, tuple(unknown))
