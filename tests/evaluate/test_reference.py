"""Every metric gives what the reference implementation gave for the same predictions.

`reference/README.md` says which implementation, and how its results were made.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cauldron.evaluate.benchmarks.aggregate import Scored
from cauldron.evaluate.benchmarks.catalog import BENCHMARKS
from cauldron.evaluate.items.disciplines import discipline_of, subject_of
from cauldron.evaluate.metrics import letters, mathvista, mmmu
from cauldron.evaluate.metrics.anls import anls
from cauldron.evaluate.metrics.chartqa import relaxed_accuracy
from cauldron.evaluate.metrics.vqa import processed, vqa_accuracy

FOLDER = Path(__file__).parent / "reference"
Case = dict[str, Any]


def mmmu_choice(case: Case) -> Any:
    return mmmu.find_choice(case["text"], case["choices"])


def mmmu_open(case: Case) -> Any:
    parsed = mmmu.parse_open(case["text"])
    score = mmmu.score_open(parsed, case["answers"])
    return {"parsed": sorted(parsed, key=repr), "score": score}


def mathvista_answer(case: Case) -> Any:
    problem = mathvista.Problem(
        case["question_type"], case["answer_type"], case["choices"], case["precision"]
    )
    extracted = mathvista.quick_extract(case["text"].strip(), problem)
    normalised = mathvista.normalise(case["found"], problem)
    score = float(mathvista.is_equal(normalised, case["answer"]))
    return {"extracted": extracted, "normalised": normalised, "score": score}


def mmstar(case: Case) -> Any:
    return letters.extract_letter(case["text"], "ABCD")


def mmbench(case: Case) -> Any:
    def letter(row: Case) -> str:
        choices = dict(zip("ABCD", row["choices"], strict=False))
        found = letters.infer_letter(row["text"], choices)
        return found or letters.extract_letter(row["text"], sorted(choices))

    return float(all(letter(row) == row["answer"] for row in case["rows"]))


def ai2d(case: Case) -> Any:
    return letters.score_exact(letters.ai2d_answer(case["text"]), case["answer"])


def vqa(case: Case) -> Any:
    score, text = vqa_accuracy(case["text"], case["answers"]), processed(case["text"])
    is_same = not any(mark in case["text"].lower() for mark in (",", "?", "'s"))
    return {"processed": text, "score": score, "official": text if is_same else None}


OURS: dict[str, Callable[[Case], Any]] = {
    "mmmu_choice": mmmu_choice,
    "mmmu_open": mmmu_open,
    "mathvista": mathvista_answer,
    "mmstar": mmstar,
    "mmbench": mmbench,
    "ai2d": ai2d,
    "anls": lambda case: anls(case["text"], case["answers"]),
    "vqa": vqa,
    "chartqa": lambda case: relaxed_accuracy(case["text"], case["answer"]),
}


def test_mmmu_by_discipline_and_subject_is_that_of_the_reference() -> None:
    for case, expected in reference("mmmu_scores"):
        rows = []
        for name, is_right in case["right"].items():
            subject = subject_of(name)
            meta = {"subject": subject, "discipline": discipline_of(subject), "type": "open"}
            rows.append(Scored(name, float(is_right), meta))
        ours = BENCHMARKS["mmmu"].aggregate(rows)
        known = {_our_name(name): found for name, found in expected.items() if found["num"]}
        assert {name: (found["acc"], found["num"]) for name, found in known.items()} == {
            name: (round(score.value, 5), score.size)  # the reference rounds
            for name, score in ours.items()
            if not name.startswith("type/")
        }


def _our_name(name: str) -> str:
    if name == "Overall":
        return "overall"
    if name.startswith("Overall-"):
        return f"discipline/{name.removeprefix('Overall-').replace(' and ', ' & ')}"
    return f"subject/{name}"


def reference(name: str) -> list[tuple[Case, Any]]:
    lines = gzip.decompress((FOLDER / f"{name}.jsonl.gz").read_bytes()).decode().splitlines()
    return [(case, expected) for case, expected in map(json.loads, lines)]


@pytest.mark.parametrize("name", OURS)
def test_every_prediction_scores_as_in_the_reference(name: str) -> None:
    known = reference(name)
    # As JSON, in which a number that is not one equals itself.
    wrong = [
        (case, expected, ours)
        for case, expected in known
        if json.dumps(ours := OURS[name](case)) != json.dumps(expected)
    ]
    assert len(known) == 1_500
    assert not wrong, f"{len(wrong)} of {len(known)} differ, the first: {wrong[0]}"


@pytest.mark.parametrize("name", OURS)
def test_the_predictions_tell_right_from_wrong(name: str) -> None:
    """Predictions that are all right, or all wrong, would prove little."""
    results = [json.dumps(expected) for _, expected in reference(name)]
    scores = [
        expected["score"] if isinstance(expected, dict) else expected
        for _, expected in reference(name)
    ]
    assert len(set(results)) > 1
    if not isinstance(scores[0], str):
        right = sum(score > 0 for score in scores) / len(scores)
        assert 0.15 < right < 0.85, f"{right:.0%} are right"
