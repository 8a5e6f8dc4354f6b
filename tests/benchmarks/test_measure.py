"""Precision and recall, on an example that can be counted by hand."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.duplicates.labelled import Labelled
from benchmarks.duplicates.measure import Found, as_pairs, least_share, measured, pooled, within
from benchmarks.duplicates.report import as_json, as_text, dump


def _png(grey: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (8, 6), grey).save(buffer, "PNG")
    return buffer.getvalue()


# Two families of a base and two copies; the table has two look-alikes.
PICTURES = [
    Labelled("chart", 0, "base", "c0", _png(0)),
    Labelled("chart", 0, "jpeg 50", "c0", _png(1)),
    Labelled("chart", 0, "crop 2", "c0", _png(2)),
    Labelled("table", 0, "base", "t0", _png(3)),
    Labelled("table", 0, "jpeg 50", "t0", _png(4)),
    Labelled("table", 0, "crop 2", "t0", _png(5)),
    Labelled("table", 0, "negative:one digit", "t0:one digit", _png(6)),
    Labelled("table", 0, "negative:one cell", "t0:one cell", _png(7)),
]
# The chart lost its crop among the candidates; the table took in one look-alike.
FOUND = Found(
    candidates=as_pairs([(0, 1), (3, 4), (3, 5), (3, 6), (4, 6), (3, 7)]),
    accepted=as_pairs([(0, 1), (3, 4), (4, 6)]),
    merged=within([[0, 1], [3, 4, 6]]),
)


@pytest.fixture
def report():
    return measured(PICTURES, FOUND)


def test_precision_counts_merged_pairs_and_recall_all_equal_ones(report):
    # Merged: 0-1 right; 3-4 right, 3-6 and 4-6 wrong. Equal: three pairs a family.
    assert (report.overall.right, report.overall.wrong, report.overall.wanted) == (2, 2, 6)
    assert report.overall.precision == pytest.approx(0.5)
    assert report.overall.recall == pytest.approx(2 / 6)
    assert report.overall.f1 == pytest.approx(2 * 0.5 * (1 / 3) / (0.5 + 1 / 3))


def test_classes_are_counted_apart(report):
    chart, table = report.classes["chart"], report.classes["table"]
    assert (chart.precision, chart.recall) == (1.0, pytest.approx(1 / 3))
    assert (table.precision, table.recall) == (pytest.approx(1 / 3), pytest.approx(1 / 3))


def test_lost_pairs_are_told_by_stage(report):
    crop = pooled(report, ["crop 2"])
    assert (crop.wanted, crop.candidates, crop.accepted, crop.merged) == (2, 1, 0, 0)
    jpeg = pooled(report, ["jpeg 50"], "table")
    assert (jpeg.wanted, jpeg.candidates, jpeg.accepted, jpeg.merged) == (1, 1, 1, 1)
    assert sorted(report.lost) == [(0, 2), (3, 5)]


def test_false_merges_are_told_by_kind_of_look_alike(report):
    assert report.false_merges == {"table: one digit": [(3, 6), (4, 6)]}
    assert report.negatives == {"table: one digit": (1, 1), "table: one cell": (0, 1)}


def test_a_pair_of_two_classes_or_families_is_wrong_in_both():
    other = Labelled("table", 1, "base", "t1", b"")
    found = Found(as_pairs([]), as_pairs([]), as_pairs([(0, 3), (3, 8)]))
    report = measured([*PICTURES, other], found)
    assert report.overall.wrong == 2
    assert (report.classes["chart"].wrong, report.classes["table"].wrong) == (1, 2)
    assert set(report.false_merges) == {"chart and table", "table: another family"}


def test_nothing_found_is_precise_and_recalls_nothing():
    nothing = as_pairs([])
    report = measured(PICTURES, Found(nothing, nothing, nothing))
    assert (report.overall.precision, report.overall.recall, report.overall.f1) == (1.0, 0.0, 0.0)


def test_pairs_are_ordered_once_and_never_of_one_picture():
    assert as_pairs([(2, 1), (1, 2), (3, 3), (0, 5)]).tolist() == [[0, 5], [1, 2]]
    assert as_pairs([]).shape == (0, 2)
    assert within([[4, 2, 9], [1]]).tolist() == [[2, 4], [2, 9], [4, 9]]


def test_the_report_names_what_went_wrong(report):
    text = as_text(report, PICTURES)
    assert "chart-0000" not in text  # nothing wrong there
    assert "table-0000 base = table-0000 negative:one digit" in text
    assert "| all        |" in text
    figures = as_json(report, PICTURES)
    assert figures["classes"]["table"]["wrong"] == 2
    assert figures["negatives"]["table: one cell"] == {"merged": 0, "pictures": 1}


def test_errors_are_written_side_by_side(report, tmp_path: Path):
    assert dump(report, PICTURES, tmp_path) == 4
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [
        "lost-chart-crop-2-000.png",
        "lost-table-crop-2-000.png",
        "merged-table-one-digit-000.png",
        "merged-table-one-digit-001.png",
    ]
    sheet = np.asarray(Image.open(tmp_path / names[2]).convert("L"))
    assert sheet.shape == (6, 8 + 8 + 8)
    assert (sheet[0, 0], sheet[0, -1]) == (3, 6)


def test_a_share_of_few_pairs_has_a_low_bound():
    assert least_share(0, 0) == 0.0
    assert least_share(10, 10) == pytest.approx(0.7225, abs=1e-4)
    assert least_share(99, 100) == pytest.approx(0.9455, abs=1e-4)
    assert least_share(30_000, 30_000) > 0.9998
