"""From predictions to scores, without the model and without the benchmark's files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cauldron.core import storage
from cauldron.core.errors import UsageError
from cauldron.core.output.evaluations import (
    PREDICTION_SCHEMA,
    BenchmarkResult,
    CleanPart,
    Mean,
    Part,
    items_file,
)
from cauldron.evaluate.benchmarks.aggregate import OVERALL, Scored
from cauldron.evaluate.benchmarks.catalog import BENCHMARKS, Benchmark
from cauldron.evaluate.predictions.files import Header, Record
from cauldron.evaluate.scores.contamination import Place, Shown
from cauldron.evaluate.scores.extractor import NOTHING, Extracted
from cauldron.evaluate.scores.intervals import Interval, interval


def scored(
    benchmark: Benchmark, records: Iterable[Record], extracted: Extracted = NOTHING
) -> list[Scored]:
    """The scores of the items that were answered."""
    return [
        Scored(record.id, _score(benchmark, record, extracted)[1], record.meta)
        for record in records
        if record.text is not None
    ]


def _score(benchmark: Benchmark, record: Record, extracted: Extracted) -> tuple[str, float]:
    """The answer that was read in the text, and its score."""
    assert record.text is not None
    item = record.item(benchmark.name)
    prediction = benchmark.parse(item, record.text, extracted.answers.get(record.index))
    return prediction, benchmark.score(item, prediction)


def score_benchmark(
    benchmark: Benchmark,
    records: Collection[Record],
    shown: Shown | None,
    extracted: Extracted = NOTHING,
) -> BenchmarkResult:
    """The result of a benchmark.

    Args:
        shown: by the training data; None if unknown.
        extracted: what another model found in the texts.
    """
    found = scored(benchmark, records, extracted)
    refused = [record for record in records if record.text is None]
    counts: Counter[str] = Counter()
    for record in refused:
        counts[record.reason] += max(record.rows, 0)
    parts = benchmark.aggregate(found)
    parts.pop(OVERALL, None)
    return BenchmarkResult(
        benchmark=benchmark.name,
        metric=benchmark.metric,
        split=benchmark.layout.split,
        overall=_mean(benchmark, found),
        parts={name: Part(value=value, size=size) for name, (value, size) in parts.items()},
        refused=dict(sorted(counts.items())),
        unreadable=sum(record.rows < 0 for record in refused),
        clean=None if shown is None else _clean(benchmark, records, shown, extracted),
        extractor=extracted.by,
        extracted=len(extracted.answers),
    )


def _clean(
    benchmark: Benchmark, records: Iterable[Record], shown: Shown, extracted: Extracted
) -> CleanPart:
    answered = [record for record in records if record.text is not None]
    clean = [record for record in answered if Place.of(record.origin) not in shown.rows]
    score = _mean(benchmark, scored(benchmark, clean, extracted))
    return CleanPart(
        score=score, not_clean=len(answered) - len(clean), not_compared=shown.not_compared
    )


def _mean(benchmark: Benchmark, found: Iterable[Scored]) -> Mean | None:
    units = benchmark.units(found)
    return mean_of(interval([unit.score for unit in units])) if units else None


def mean_of(found: Interval) -> Mean:
    return Mean(value=found.value, low=found.low, high=found.high, size=found.size)


def unit_scores(folder: Path, name: str) -> dict[str, float]:
    """The scores of a benchmark's units by id, for a paired comparison.

    Raises:
        UsageError: it is not scored yet.
    """
    path = str(folder / items_file(name))
    try:
        with storage.open_read(path) as file:
            rows = pq.read_table(file, columns=["id", "score", "meta"]).to_pylist()
    except FileNotFoundError:
        raise UsageError(f"{path} is missing: run `cauldron eval --score-only` for it") from None
    found = [
        Scored(row["id"], row["score"], dict(row["meta"]))
        for row in rows
        if row["score"] is not None
    ]
    return {unit.id: unit.score for unit in BENCHMARKS[name].units(found)}


def write_items(
    folder: Path,
    benchmark: Benchmark,
    records: Iterable[Record],
    header: Header,
    shown: Shown | None,
    extracted: Extracted = NOTHING,
) -> None:
    """Write ``items-<benchmark>.parquet``: every item with its score."""
    about: dict[str, Any] = {"evaluation": folder.resolve().name, "model": header.model}
    about["benchmark"] = benchmark.name
    rows = [about | _row(benchmark, record, shown, extracted) for record in records]
    table = pa.Table.from_pylist(rows, schema=PREDICTION_SCHEMA)
    with storage.atomic_write(str(folder / items_file(benchmark.name))) as file:
        pq.write_table(table, file)


def _row(
    benchmark: Benchmark, record: Record, shown: Shown | None, extracted: Extracted
) -> dict[str, Any]:
    is_scored = record.text is not None
    prediction, score = _score(benchmark, record, extracted) if is_scored else (None, None)
    return {
        "index": record.index,
        "id": record.id,
        "question": record.question,
        "choices": record.choices,
        "answers": record.answers,
        "text": record.text,
        "prediction": prediction,
        "score": score,
        "clean": None if shown is None else Place.of(record.origin) not in shown.rows,
        "reason": record.reason or None,
        "message": record.message or None,
        "meta": sorted(record.meta.items()),
        "origin": record.origin.model_dump(),
    }
