"""A run of the peers as one table for people, or as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.duplicates.measure import Report, Score
from benchmarks.duplicates.report import table

# By tool, and by the setting that it ran with, the default first.
Reports = Mapping[str, Mapping[str, Report]]
Results = Mapping[str, Mapping[str, Any]]


def as_text(results: Results, reports: Reports, pictures: int) -> str:
    """Quality by class and setting, then cost by tool."""
    settings = {
        setting: {**report.classes, "all": report.overall}
        for of_tool in reports.values()
        for setting, report in of_tool.items()
    }
    names = next(iter(settings.values()))
    rows = [[name, *(_score(scores[name]) for scores in settings.values())] for name in names]
    rows.insert(0, ["F1 (precision / recall), %", *settings])
    costs = [
        ["one core each", *results],
        ["version", *(str(result["version"]) for result in results.values())],
    ]
    for what, key in (
        ("start-up: imports and the first files, s of CPU", "starting"),
        ("files to pairs, s", "seconds"),
        ("files to pairs, s of CPU", "busy"),
    ):
        costs.append([what, *(f"{result[key]:.1f}" for result in results.values())])
    speeds = (pictures / result["busy"] for result in results.values())
    costs.append(["images/s of CPU", *(f"{speed:.0f}" for speed in speeds)])
    more = [
        f"{tool}: {name} {value:,.1f}"
        for tool, result in results.items()
        for name, value in result["more"].items()
    ]
    return "\n\n".join([f"{pictures:,} image files", table(rows), table(costs), "; ".join(more)])


def _score(score: Score) -> str:
    shares = (score.f1, score.precision, score.recall)
    f1, precision, recall = (f"{100 * share:.1f}" for share in shares)
    return f"{f1} ({precision} / {recall})"


def as_json(results: Results, reports: Reports) -> dict[str, Any]:
    """The same by tool; pairs are left out."""
    return {
        tool: {
            **{key: value for key, value in result.items() if key != "pairs"},
            "settings": {
                setting: {
                    name: {"f1": score.f1, "precision": score.precision, "recall": score.recall}
                    for name, score in {**report.classes, "all": report.overall}.items()
                }
                for setting, report in reports[tool].items()
            },
        }
        for tool, result in results.items()
    }
