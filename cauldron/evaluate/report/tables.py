"""Scores as tables: text, and Markdown for a model card."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from cauldron.core.output.evaluations import BenchmarkResult, Mean
from cauldron.evaluate.benchmarks.catalog import BENCHMARKS, Benchmark
from cauldron.evaluate.scores.intervals import LEVEL, Interval

PUBLISHED = ("Idefics2-8B", "Idefics2-70B", "Idefics3-8B")
# Parts that stand in the table; all others are in the JSON and in the view `scores`.
_SHOWN = "discipline/"

Row = Sequence[str]


def score_rows(results: Mapping[str, BenchmarkResult]) -> list[Row]:
    """A header, then a row for each benchmark, in the order of the paper's table."""
    rows: list[Row] = [("benchmark", "split", "metric", "this model", "items", *PUBLISHED)]
    for name, benchmark in BENCHMARKS.items():
        if name not in results:
            continue
        result, split = results[name], benchmark.layout.split
        mean = result.overall
        size = f"{mean.size:,}" if mean else "0"
        known = [_published(benchmark, model) for model in PUBLISHED]
        rows.append((benchmark.title, split, benchmark.metric, shown(mean), size, *known))
        rows += [
            (f"- {part.removeprefix(_SHOWN)}", "", "", f"{100 * found.value:.1f}",
             f"{found.size:,}", "", "", "")
            for part, found in result.parts.items() if part.startswith(_SHOWN)
        ]  # fmt: skip
        if result.clean is not None and result.clean.not_clean:
            clean = result.clean.score
            size = f"{clean.size:,}" if clean else "0"
            rows.append(("- clean part", "", "", shown(clean), size, "", "", ""))
    return rows


def _published(benchmark: Benchmark, model: str) -> str:
    """A published score, with its split where it is another one than ours."""
    score = benchmark.published.get(model)
    if score is None:
        return ""
    split = benchmark.published_split
    return f"{score:.1f}" + ("" if split == benchmark.layout.split else f" ({split})")


def shown(mean: Mean | None) -> str:
    """Percent with its interval."""
    if mean is None:
        return "no item scored"
    return f"{100 * mean.value:.1f} ({100 * mean.low:.1f} to {100 * mean.high:.1f})"


def notes(results: Mapping[str, BenchmarkResult]) -> list[str]:
    """What must be said beside the table: intervals, splits, refused items, contamination."""
    found = [f"In brackets: {LEVEL:.0%} bootstrap intervals over items. Scores in percent."]
    known = {BENCHMARKS[name].title: result for name, result in results.items()}
    for name, result in results.items():
        benchmark = BENCHMARKS[name]
        if benchmark.published_split != benchmark.layout.split:
            ours, theirs = benchmark.layout.split, benchmark.published_split
            found.append(
                f"{benchmark.title}: scored on the {ours} split; the published scores are of the "
                f"{theirs} split, whose answers are not published."
            )
        if result.extractor:
            found.append(
                f"{benchmark.title}: {result.extractor} found the answers in {result.extracted:,} "
                "texts; the others are read by rules."
            )
        elif benchmark.note:
            found.append(f"{benchmark.title}: {benchmark.note}.")
        if result.refused:
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in result.refused.items())
            found.append(f"{benchmark.title}: items not scored: {reasons}.")
        if result.unreadable:
            found.append(f"{benchmark.title}: {result.unreadable} files that cannot be read.")
    for title, result in known.items():
        if result.clean is not None and result.clean.not_clean:
            count = result.clean.not_clean
            found.append(f"{title}: {count:,} items have pictures that the training data shows.")
    clean = [title for title, r in known.items() if r.clean is not None and not r.clean.not_clean]
    if clean:
        found.append(
            f"By the build's evidence the training data shows no picture of: {', '.join(clean)}."
        )
    return found + _not_compared(known)


def _not_compared(results: Mapping[str, BenchmarkResult]) -> list[str]:
    """Args: results: by title."""
    unknown = [title for title, result in results.items() if result.clean is None]
    parts: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for title, result in results.items():
        if result.clean is not None and result.clean.not_compared:
            parts[result.clean.not_compared].append(title)
    found = [f"Not compared with the training data: {', '.join(unknown)}."] if unknown else []
    return found + [
        f"Not compared with the training data of {', '.join(part)}: {', '.join(titles)}."
        for part, titles in parts.items()
    ]


def difference_rows(differences: Mapping[str, Interval]) -> list[Row]:
    """The paired differences to another evaluation, in points."""
    rows: list[Row] = [("benchmark", "difference", "shared items")]
    for name, found in differences.items():
        value = f"{100 * found.value:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
        rows.append((BENCHMARKS[name].title, value, f"{found.size:,}"))
    return rows


def ablation_rows(runs: Sequence[tuple[str, Mean]]) -> list[Row]:
    """Table 2 of the Idefics3 paper: DocVQA of a model without and with Docmatix.

    Args:
        runs: title and score, the run without Docmatix first.
    """
    base = runs[0][1].value
    rows: list[Row] = [("training data", "DocVQA (validation, ANLS)", "relative")]
    for title, mean in runs:
        relative = f"{100 * (mean.value / base - 1):+.1f} %" if base else ""
        rows.append((title, shown(mean), "" if mean is runs[0][1] else relative))
    return rows


def as_text(rows: Sequence[Row]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)


def as_markdown(rows: Sequence[Row]) -> str:
    head, *body = rows
    return "\n".join(_line(row) for row in (head, ["---"] * len(head), *body))


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
