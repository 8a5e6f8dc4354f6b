"""Evaluations on disk: ``OUT/evaluations/<name>/``.

predictions/<benchmark>/rank-*.jsonl    what the model said, as it came
items-<benchmark>.parquet               every item with its score
manifest.json                           scores; written last, again at every scoring
"""

from __future__ import annotations

from typing import Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError

from cauldron.core import storage
from cauldron.core.errors import CauldronError
from cauldron.core.output.manifests import MANIFEST
from cauldron.core.schema import ORIGIN

EVALUATIONS = "evaluations"

# `score` is null for a refused item; `clean` is null if the training data is unknown.
PREDICTION_SCHEMA = pa.schema(
    [
        ("evaluation", pa.string()),
        ("model", pa.string()),
        ("benchmark", pa.string()),
        ("index", pa.int64()),
        ("id", pa.string()),
        ("question", pa.string()),
        ("choices", pa.list_(pa.string())),
        ("answers", pa.list_(pa.string())),
        ("text", pa.string()),
        ("prediction", pa.string()),
        ("score", pa.float64()),
        ("clean", pa.bool_()),
        ("reason", pa.string()),
        ("message", pa.string()),
        ("meta", pa.map_(pa.string(), pa.string())),
        ("origin", ORIGIN),
    ]
)

# One row per evaluation, benchmark and part of it. The interval is known for ``overall`` only.
SCORE_SCHEMA = pa.schema(
    [
        ("evaluation", pa.string()),
        ("model", pa.string()),
        ("benchmark", pa.string()),
        ("split", pa.string()),
        ("metric", pa.string()),
        ("part", pa.string()),
        ("score", pa.float64()),
        ("size", pa.int64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("clean_score", pa.float64()),
        ("not_clean", pa.int64()),
    ]
)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Mean(_Frozen):
    """A mean score, 0 to 1, of `size` units; `low` and `high` are its bootstrap interval."""

    value: float
    low: float
    high: float
    size: int


class Part(_Frozen):
    """The mean score of a part of a benchmark, such as a discipline."""

    value: float
    size: int


class CleanPart(_Frozen):
    """The part of a benchmark whose pictures the training data does not show.

    Attributes:
        score: None if nothing is clean.
        not_clean: items with a picture that rows of the training data show.
        not_compared: parts of the training data that were not compared with the benchmark, such as
            ``stage stage1``, or the hub id of the model that training started from.
    """

    score: Mean | None
    not_clean: int
    not_compared: tuple[str, ...] = ()


class BenchmarkResult(_Frozen):
    """The scores of one benchmark.

    Attributes:
        split: of the benchmark; "" in an evaluation of an earlier version.
        overall: None if no item was scored.
        parts: by name, such as ``discipline/Business``.
        refused: items that are not scored, by reason.
        unreadable: files of which nobody knows how many items they hold.
        clean: None if the training data is unknown, or was not compared with the benchmark.
        extractor: the model that found the answers in the texts; "" if rules did.
        extracted: the texts that it was asked about; rules read the others.
    """

    benchmark: str
    metric: str
    split: str = ""
    overall: Mean | None
    parts: dict[str, Part]
    refused: dict[str, int]
    unreadable: int = 0
    clean: CleanPart | None = None
    extractor: str = ""
    extracted: int = 0


class EvaluationManifest(_Frozen):
    """``manifest.json`` of an evaluation.

    Attributes:
        model, weights, engine: as in the header of its predictions.
        results: by benchmark.
    """

    format: Literal[1] = 1
    model: str
    weights: str | None
    engine: str
    results: dict[str, BenchmarkResult]

    @property
    def files(self) -> list[str]:
        return [items_file(benchmark) for benchmark in self.results]


def items_file(benchmark: str) -> str:
    return f"items-{benchmark}.parquet"


def find_evaluations(out: str) -> dict[str, EvaluationManifest]:
    """The scored evaluations of an output folder, by name.

    Raises:
        CauldronError: a manifest is invalid.
    """
    found = {}
    root = storage.join(out, EVALUATIONS)
    for name in storage.list_folders(root):
        path = storage.join(root, name, MANIFEST)
        if not storage.exists(path):
            continue
        try:
            found[name] = EvaluationManifest.model_validate_json(storage.read_bytes(path))
        except ValidationError as error:
            what = error.errors()[0]["msg"]
            raise CauldronError(
                f"{path} is not the manifest of an evaluation ({what}); delete it and score again"
            ) from None
    return found


def score_table(evaluations: dict[str, EvaluationManifest]) -> pa.Table:
    """`SCORE_SCHEMA` rows."""
    rows = []
    for name, manifest in evaluations.items():
        for result in manifest.results.values():
            about = {"evaluation": name, "model": manifest.model, "metric": result.metric}
            about |= {"benchmark": result.benchmark, "split": result.split}
            if result.overall is not None:
                rows.append(about | _overall(result, result.overall))
            rows += [
                about | {"part": part, "score": mean.value, "size": mean.size}
                for part, mean in result.parts.items()
            ]
    return pa.Table.from_pylist(rows, schema=SCORE_SCHEMA)


def _overall(result: BenchmarkResult, mean: Mean) -> dict[str, object]:
    clean = result.clean
    return {
        "part": "overall",
        "score": mean.value,
        "size": mean.size,
        "low": mean.low,
        "high": mean.high,
        "clean_score": clean.score.value if clean and clean.score else None,
        "not_clean": clean.not_clean if clean else None,
    }
