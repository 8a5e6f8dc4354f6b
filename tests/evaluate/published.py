"""The eight benchmarks in their published layouts, a few rows each, some of them broken."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.sources.benchmark_files import IMAGE, picture, struct, write_parquet

Columns = dict[str, list[Any]]
# A picture that ends before its pixels do, one that is nothing, and one that is not there.
TRUNCATED = {"bytes": picture(9)[:60], "path": "cut.png"}
NO_PICTURE = {"bytes": b"no picture", "path": "no.png"}
MISSING = {"bytes": None, "path": None}


def publish(root: Path) -> Path:
    """All of them below a root in the hub's layout."""
    for writer in PUBLISHERS.values():
        writer(root)
    return root


def mmmu(root: Path) -> None:
    for subject, key in (("Math", "validation_Math_"), ("Art_Theory", "validation_Art_Theory_")):
        columns: Columns = {
            "id": [f"{key}{number}" for number in range(1, 7)],
            "question": [
                "<image 1> Which is larger, see <image 2>?",
                "¿Qué sigue a <image 1>?",
                "  ",
                "Which of <image 3>?",
                "No answer to <image 1>",
                "A broken <image 1>?",
            ],
            "options": [
                "['the left', \"the 'right'\", '<image 2>']",
                *["[]"] * 2,
                "['x', 'y']",
                "[]",
                "[]",
            ],
            "answer": ["B", "['5', 'five']", "1", "A", "?", "2"],
            "question_type": ["multiple-choice", "open", "open", "multiple-choice", "open", "open"],
            "img_type": ["['Plots']"] * 6,
            "topic_difficulty": ["Easy"] * 6,
            **{f"image_{number}": [None] * 6 for number in range(3, 8)},
            "image_1": [struct(1), struct(3), struct(4), struct(5), struct(6), TRUNCATED],
            "image_2": [struct(2), *[None] * 5],
        }
        types = {f"image_{number}": IMAGE for number in range(1, 8)}
        folder = root / "MMMU/MMMU" / subject
        write_parquet(folder / "validation-00000-of-00001.parquet", columns, **types)
        test = {name: values[:1] for name, values in columns.items()}
        write_parquet(folder / "test-00000-of-00001.parquet", test, **types)


def mathvista(root: Path) -> None:
    columns: Columns = {
        "pid": ["1", "2", "3", "4"],
        "question": ["Which one?", "How much?", "多少?", "Which?"],
        "image": [f"images/{number}.jpg" for number in "1234"],
        "decoded_image": [struct(1), struct(2), struct(3), struct(4)],
        "choices": [["red", "blue"], None, None, ["red", "blue"]],
        "unit": [None, "$", None, None],
        "precision": [None, 1.0, None, None],
        "answer": ["blue", "1.5", "[1, 2]", "green"],
        "question_type": ["multi_choice", "free_form", "free_form", "multi_choice"],
        "answer_type": ["text", "float", "list", "text"],
        "query": [
            "Hint: …",
            "Hint: Give one decimal.\nQuestion: How much? (Unit: $)",
            "Hint: 给出列表",
            "…",
        ],
        "metadata": [{"task": "figure question answering", "grade": "elementary school"}] * 4,
    }
    write_parquet(root / "AI4Math/MathVista/data/testmini-00000-of-00001-725687.parquet", columns)


def mmstar(root: Path) -> None:
    columns: Columns = {
        "index": [0, 1, 2],
        "question": [
            "What is it?\nOptions: A: a cat, B: a dog, or so, C: a cow, D: none",
            "Which is right?\nOptions: as drawn",
            "Broken?\nOptions: A: 1, B: 2, C: 3, D: 4",
        ],
        "image": [struct(1), struct(2), NO_PICTURE],
        "answer": ["B", "d", "A"],
        "category": ["coarse perception", "math", "math"],
        "l2_category": ["image emotion", "geometry", "geometry"],
    }
    write_parquet(root / "Lin-Chen/MMStar/mmstar.parquet", columns)


def docvqa(root: Path) -> None:
    columns: Columns = {
        "questionId": ["337", "338", "339"],
        "question": ["What is the date?", "Who signed?", "Что это?"],
        "question_types": [["layout", "form"], None, None],
        "image": [struct(1), struct(2), struct(3)],
        "docId": [1, 2, 3],
        "answers": [["1/8/93", "Jan 8"], None, ["да"]],
    }
    folder = root / "lmms-lab/DocVQA"
    write_parquet(folder / "DocVQA/validation-00000-of-00001.parquet", columns)
    for other in ("DocVQA/test", "InfographicVQA/validation"):
        write_parquet(folder / f"{other}-00000-of-00001.parquet", columns)


def textvqa(root: Path) -> None:
    columns: Columns = {
        "question_id": [1, 2],
        "question": ["what is the brand?", "what does it say?"],
        "image": [struct(1), MISSING],
        "answers": [["nan", "", "dakota"] + ["dakota digital"] * 7, ["stop"] * 10],
    }
    for split in ("train", "validation"):
        path = root / f"lmms-lab/textvqa/data/{split}-00000-of-00001.parquet"
        write_parquet(path, columns, image=IMAGE)


def chartqa(root: Path) -> None:
    columns: Columns = {
        "type": ["human_test", "augmented_test"],
        "question": ["How high?", "Which years?"],
        "answer": ["14", "[2018, 2019]"],
        "image": [struct(1), struct(2)],
    }
    write_parquet(root / "lmms-lab/ChartQA/data/test-00000-of-00001.parquet", columns)


def ai2d(root: Path) -> None:
    columns: Columns = {
        "question": ["What eats grass?", "What is drawn?", "Which?"],
        "options": [["fox", "hare"], ["a", "b", "c", "d"], ["a", "b"]],
        "answer": ["1", "3", "2"],
        "image": [struct(1), struct(2), struct(3)],
    }
    write_parquet(root / "lmms-lab/ai2d/data/test-00000-of-00001.parquet", columns)


def mmbench(root: Path) -> None:
    columns: Columns = {
        "index": [7, 1_000_007, 8],
        "question": ["What is it?", "What is it?", "And this?"],
        "hint": ["A hint.", "A hint.", "nan"],
        "A": ["cat", "dog", "1"],
        "B": ["dog", "cat", "2"],
        "C": ["nan", "nan", "3"],
        "D": ["nan", "nan", "4"],
        "answer": ["A", "B", "E"],
        "category": ["image_scene"] * 3,
        "L2-category": ["coarse_perception"] * 3,
        "image": [struct(1), struct(1), struct(2)],
    }
    for part in ("en/dev", "en/test", "cn/dev"):
        write_parquet(root / f"lmms-lab/MMBench/{part}-00000-of-00001.parquet", columns)


PUBLISHERS: Mapping[str, Callable[[Path], None]] = {
    "mmmu": mmmu,
    "mathvista": mathvista,
    "mmstar": mmstar,
    "docvqa": docvqa,
    "textvqa": textvqa,
    "chartqa": chartqa,
    "ai2d": ai2d,
    "mmbench": mmbench,
}
