"""A measured run as tables for people, as JSON for scripts, and its errors as pictures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.duplicates.alterations import ALTERATIONS, GROUPS, opened
from benchmarks.duplicates.labelled import Labelled
from benchmarks.duplicates.measure import Report, pooled

EXAMPLES = 3


def as_text(report: Report, pictures: Sequence[Labelled]) -> str:
    """All tables."""
    parts = [
        _classes(report),
        _by_class(report, "merged"),
        _by_class(report, "candidates"),
        _by_alteration(report),
        _false_merges(report, pictures),
    ]
    return "\n\n".join(parts)


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Markdown; the first row is the header, all columns but the first stand right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        for row in rows
    ]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (lines[0], rule, *lines[1:]))


def _classes(report: Report) -> str:
    rows = [["class", "pairs merged", "wrong", "precision %", "at least", "recall %", "F1 %"]]
    every = [*report.classes.items(), ("all", report.overall), ("pairs alone", report.accepted)]
    for name, score in every:
        shares = (score.precision, score.least_precision, score.recall, score.f1)
        figures = [_percent(share) for share in shares]
        rows.append([name, f"{score.right + score.wrong:,}", f"{score.wrong:,}", *figures])
    return (
        "Pairs that end in one cluster, altered against altered too; pairs alone: found the same\n"
        "by themselves. At least: precision by Wilson's lower bound, 95 %\n\n" + table(rows)
    )


def _names(report: Report) -> list[str]:
    return sorted({class_name for class_name, _ in report.stages}, key=list(report.classes).index)


def _by_class(report: Report, what: str) -> str:
    """Args: `what`: the stage of `Stages` that is told."""
    names = _names(report)
    rows = [[f"{what} %", *names, "all"]]
    for group, alterations in GROUPS.items():
        pools = [pooled(report, alterations, name) for name in (*names, None)]
        cells = [_percent(getattr(p, what) / p.wanted) if p.wanted else "" for p in pools]
        rows.append([group, *cells])
    return f"Base against altered copy, by class: {what}\n\n" + table(rows)


def _by_alteration(report: Report) -> str:
    rows = [["alteration", "pairs", "candidates %", "same %", "merged %"]]
    named = [(name, (name,)) for name in ALTERATIONS]
    for name, alterations in [*named, ("all", tuple(ALTERATIONS))]:
        stages = pooled(report, alterations)
        if stages.wanted:
            counts = (stages.candidates, stages.accepted, stages.merged)
            shares = [_percent(count / stages.wanted) for count in counts]
            rows.append([name, str(stages.wanted), *shares])
    return (
        "Where pairs of base and copy are lost: not compared, not the same, not in one cluster\n\n"
        + (table(rows))
    )


def _false_merges(report: Report, pictures: Sequence[Labelled]) -> str:
    lines = []
    kinds = sorted({*report.negatives, *report.false_merges})
    for kind in kinds:
        pairs = report.false_merges.get(kind, [])
        hit, total = report.negatives.get(kind, (0, 0))
        if not pairs:
            lines.append(f"- {kind}: none, {total} pictures")
        else:
            shown = "; ".join(
                f"{pictures[a].name} = {pictures[b].name}" for a, b in pairs[:EXAMPLES]
            )
            of = f", {hit} of {total} pictures" if total else ""
            lines.append(f"- {kind}: {len(pairs)} pairs{of}. {shown}")
    clean = sum(hit == 0 for hit, _ in report.negatives.values())
    lines.append(f"- {clean} of {len(report.negatives)} kinds of look-alikes without any")
    return "False merges\n\n" + "\n".join(lines)


def as_json(report: Report, pictures: Sequence[Labelled]) -> dict[str, Any]:
    """The same, for scripts."""
    return {
        "pictures": len(pictures),
        "overall": _score(report.overall),
        "classes": {name: _score(score) for name, score in report.classes.items()},
        "alterations": [
            {"class": class_name, "alteration": name, **vars(stages)}
            for (class_name, name), stages in report.stages.items()
        ],
        "false_merges": {
            kind: [[pictures[a].name, pictures[b].name] for a, b in pairs]
            for kind, pairs in report.false_merges.items()
        },
        "negatives": {
            kind: {"merged": hit, "pictures": total}
            for kind, (hit, total) in report.negatives.items()
        },
    }


def _score(score: Any) -> dict[str, float]:
    figures = {"precision": score.precision, "recall": score.recall, "f1": score.f1}
    return {**vars(score), **{name: round(value, 6) for name, value in figures.items()}}


def dump(report: Report, pictures: Sequence[Labelled], folder: Path, most: int = 40) -> int:
    """Write pairs that were judged wrongly side by side; returns how many.

    At most `most` false merges of a kind and as many lost pairs of an alteration.
    """
    folder.mkdir(parents=True, exist_ok=True)
    errors = {f"merged {kind}": pairs for kind, pairs in report.false_merges.items()}
    for first, second in report.lost:
        picture = max(pictures[first], pictures[second], key=lambda p: p.variant != "base")
        errors.setdefault(f"lost {picture.class_name} {picture.variant}", []).append(
            (first, second)
        )
    written = 0
    for kind, pairs in errors.items():
        for number, (first, second) in enumerate(pairs[:most]):
            name = re.sub(r"\W+", "-", f"{kind} {number:03d}") + ".png"
            _beside(pictures[first], pictures[second]).save(folder / name)
            written += 1
    return written


def _beside(first: Labelled, second: Labelled) -> Image.Image:
    images = [opened(picture.data).convert("RGB") for picture in (first, second)]
    sheet = Image.new(
        "RGB", (sum(i.width for i in images) + 8, max(i.height for i in images)), (255, 0, 255)
    )
    sheet.paste(images[0], (0, 0))
    sheet.paste(images[1], (images[0].width + 8, 0))
    return sheet
