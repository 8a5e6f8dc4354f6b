"""Writes the report files and yields the lines to print."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cauldron.core import storage
from cauldron.core.output.evaluations import EvaluationManifest
from cauldron.evaluate.command import differences, docvqa_of
from cauldron.evaluate.report.tables import (
    ablation_rows,
    as_markdown,
    as_text,
    difference_rows,
    notes,
    score_rows,
)


def write_report(
    folder: Path,
    manifest: EvaluationManifest,
    against: str | None = None,
    ablation: bool = False,
    json_file: str | None = None,
    markdown_file: str | None = None,
) -> Iterator[str]:
    """Write the files, and yield the lines to print.

    Args:
        against: folder of another evaluation.
        ablation: the other one is of the model that was trained without Docmatix.

    Raises:
        UsageError: the other evaluation has nothing in common with this one.
    """
    tables = [("Scores", score_rows(manifest.results))]
    if against is not None:
        other = Path(against)
        tables.append((f"Difference to {against}", difference_rows(differences(folder, other))))
        if ablation:
            runs = [("without Docmatix", other), ("with Docmatix", folder)]
            rows = ablation_rows([(title, docvqa_of(path)[1]) for title, path in runs])
            tables.append(("Docmatix", rows))
    said = notes(manifest.results)
    if json_file is not None:
        storage.write_json(json_file, manifest.model_dump(mode="json"))
    if markdown_file is not None:
        parts = [f"## {title}\n\n{as_markdown(rows)}\n" for title, rows in tables]
        text = "\n".join([*parts, *(f"- {line}" for line in said)]) + "\n"
        storage.write_bytes(markdown_file, text.encode())
    for title, rows in tables:
        yield from (f"{title}:", as_text(rows), "")
    yield from said
    yield f"evaluation: {folder}"
