"""Parts of benchmark pictures as evidence of contamination, in a Beam job."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.options.pipeline_options import PipelineOptions
from cauldron.transforms.arrays import write_array
from cauldron.transforms.matching.contamination import ContaminationJob, FindContamination
from cauldron.transforms.matching.records import REVIEWED
from PIL import ImageOps

from tests.transforms.made_pictures import chart, encoded, photograph
from tests.transforms.matching.contamination.world import (
    RANGES,
    Matching,
    Row,
    Verdict,
    evidence,
    row_id,
    set_up,
)


def find(matching: Matching, folder: Path, parts: bool = True, *arguments: str) -> list[dict]:
    job = ContaminationJob(matching.job, str(folder), 2, False, 13, 400 * parts)
    options = PipelineOptions(["--runner=FnApiRunner", *arguments])
    with beam.Pipeline(options=options) as pipeline:
        _ = pipeline | beam.Create(list(range(RANGES))) | FindContamination(job)
    return evidence(job)


def told(records: list[dict[str, Any]]) -> set[tuple]:
    return {(row["kind"], row["id"], row["benchmark_id"], row["removed"]) for row in records}


def test_rows_that_show_a_part_are_removed_with_evidence(tmp_path):
    tested, other = photograph(1, 640, 480), chart(2)
    bordered = encoded(ImageOps.expand(tested, 60, "white"), "JPEG", quality=85)
    grey = encoded(tested.convert("L"), "JPEG", quality=85)
    clean = [encoded(photograph(n, 640, 480), "JPEG", quality=85) for n in (7, 8)]
    matching = set_up(
        tmp_path,
        {
            "vqa": [
                [Row("border", [clean[0], bordered]), Row("clean", clean)],
                [Row("grey", [grey])],
            ]
        },
        {"mmmu": [[Row("t", [encoded(tested, "PNG")]), Row("o", [encoded(other, "PNG")])]]},
    )
    assert find(matching, tmp_path / "without", parts=False) == []
    found = find(matching, tmp_path / "out")
    assert told(found) == {
        ("part", row_id("border"), row_id("t"), True),
        ("colours", row_id("grey"), row_id("t"), True),
    }
    (part,) = (row for row in found if row["kind"] == "part")
    assert (part["image"], part["benchmark_image"]) == (1, 0)
    assert 0.5 <= part["score"] <= 1
    assert all(one["bytes"] for one in part["thumbnails"])
    again = find(matching, tmp_path / "two", True, "--direct_num_workers=2")
    assert again == found


def test_a_copy_of_a_part_leaks_too_and_reviews_hold(tmp_path):
    tested = photograph(1, 640, 480)
    crop = encoded(tested.crop((96, 72, 544, 408)), "PNG")
    copy = encoded(photograph(30, 64, 48), "PNG")
    matching = set_up(
        tmp_path,
        {"vqa": [[Row("crop", [crop]), Row("copy", [copy])]]},
        {"mmmu": [[Row("t", [encoded(tested, "PNG")])]]},
    )
    matching.judge(Verdict(crop, copy))
    kinds = {(row["kind"], row["id"]) for row in find(matching, tmp_path / "out")}
    assert kinds == {("part", row_id("crop")), ("part", row_id("copy"))}
    pair = sorted([matching.numbers[crop], matching.numbers[encoded(tested, "PNG")]])
    path = str(tmp_path / "obeyed.parquet")
    write_array(path, np.array([(*pair, 3, False)], dtype=REVIEWED))
    reviewed = Matching(replace(matching.job, reviews=path), matching.numbers)
    assert find(reviewed, tmp_path / "reviewed") == []
