"""Scores the made predictions with the reference implementations; keeps them beside this file.

lmms-eval and VQA's evaluation are neither installed nor copied; give a checkout of each. Modules
are loaded from their files, with stand-ins for packages that take no part in a score. An
environment with Levenshtein, loguru, numpy, pandas, pyyaml and requests is enough::

    python -m tests.evaluate.reference.make path/to/lmms-eval path/to/VQA

`README.md` names the commits that the kept scores come from.
"""

from __future__ import annotations

import ast
import contextlib
import gzip
import importlib
import io
import json
import random
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

from tests.evaluate.reference.predictions import Case, cases

HERE = Path(__file__).parent
STAND_INS = (
    *("lmms_eval.llm_judge", "lmms_eval.verifiers", "lmms_eval.verifiers.openai"),
    *("lmms_eval.filters.extraction", "sacrebleu"),
)
PACKAGES = (
    *("lmms_eval", "lmms_eval.api", "lmms_eval.tasks", "lmms_eval.tasks._task_utils"),
    *(f"lmms_eval.tasks.{name}" for name in ("mmmu", "mathvista", "mmbench")),
    *(f"lmms_eval.tasks.{name}" for name in ("ai2d", "chartqa", "textvqa")),
    "lmms_eval.filters",
)


class Reference:
    """lmms-eval's functions, a method for each metric."""

    def __init__(self, checkout: Path, vqa: Path) -> None:
        _prepare(checkout)
        self.vqa_eval = _vqa_eval(vqa)
        tasks = "lmms_eval.tasks"
        self.mmmu = importlib.import_module(f"{tasks}.mmmu.utils")
        self.mcq = importlib.import_module(f"{tasks}._task_utils.mcq_extract")
        self.textvqa = importlib.import_module(f"{tasks}.textvqa.utils")
        self.chartqa_utils = importlib.import_module(f"{tasks}.chartqa.utils")
        self.ai2d_utils = importlib.import_module(f"{tasks}.ai2d.utils")
        self.metrics = importlib.import_module("lmms_eval.api.metrics")
        mathvista = importlib.import_module(f"{tasks}.mathvista.mathvista_evals")
        self.evaluator = mathvista.MathVistaEvaluator()
        self.evaluator.get_chat_response = lambda *args, **kwargs: ""
        mmbench = importlib.import_module(f"{tasks}.mmbench.mmbench_evals")
        self.mmbench_evaluator = mmbench.MMBench_Evaluator()

    def mmmu_choice(self, case: Case) -> Any:
        """The letter; "" where the reference draws one."""
        index, letters = self.mmmu.get_multi_choice_info(case["choices"])
        return self.mmmu.parse_multi_choice_response(case["text"], letters, index)

    def mmmu_open(self, case: Case) -> Any:
        parsed = self.mmmu.parse_open_response(case["text"])
        correct = self.mmmu.eval_open(case["answers"], parsed)
        return {"parsed": sorted(parsed, key=repr), "score": float(correct)}

    def mmmu_scores(self, case: Case) -> Any:
        """What the reference prints: by subject and by discipline."""
        rows = [
            {
                "id": name,
                "subdomain": self.mmmu.extract_subset_name(name),
                "question_type": "multiple-choice",
                "answer": "A",
                "parsed_pred": ["A" if is_right else "B"],
            }
            for name, is_right in case["right"].items()
        ]
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            self.mmmu.mmmu_aggregate_results(rows)
        return ast.literal_eval(printed.getvalue())

    def mathvista(self, case: Case) -> Any:
        kinds = {"question_type": case["question_type"], "answer_type": case["answer_type"]}
        problem = {**kinds, "choices": case["choices"], "query": ""}
        text = case["text"].strip()
        extracted = self.evaluator.extract_answer(text, problem, quick_extract=True)
        # The published precision is a float, for which the reference would read no number at all.
        normalised = self.evaluator.normalize_extracted_answer(
            case["found"], case["choices"], *kinds.values(), case["precision"]
        )
        score = float(self.evaluator.safe_equal(normalised, case["answer"]))
        return {"extracted": extracted, "normalised": normalised, "score": score}

    def mmstar(self, case: Case) -> Any:
        """The letter that `mmstar.utils.exact_match` compares."""
        return self.mcq.extract_mcq_answer(case["text"], choices=["A", "B", "C", "D"])

    def mmbench(self, case: Case) -> Any:
        import pandas

        rows = [
            {"index": number, "prediction": row["text"], **_columns(row["choices"])}
            for number, row in enumerate(case["rows"])
        ]
        answers = {number: row["answer"] for number, row in enumerate(case["rows"])}
        table = pandas.DataFrame(rows)
        return float(self.mmbench_evaluator.eval_sub_data(table, answers, static_only=True))

    def ai2d(self, case: Case) -> Any:
        (text,) = self.ai2d_utils.MultiChoiceRegexFilter().apply([[case["text"]]], [{}])
        kept = {"ignore_case": True, "ignore_punctuation": True}
        found = self.metrics.exact_match_hf_evaluate([text], [case["answer"]], **kept)
        return float(found["exact_match"])

    def anls(self, case: Case) -> Any:
        return float(self.metrics.anls(case["answers"], [case["text"]])["anls"])

    def vqa(self, case: Case) -> Any:
        document = {"answers": list(case["answers"]), "question_id": 0}
        found = self.textvqa.textvqa_process_results(document, [case["text"]])
        return {
            "processed": found["submission"]["answer"],
            "score": float(found["exact_match"]),
            "official": self._official_vqa(case["text"]),
        }

    def _official_vqa(self, text: str) -> str | None:
        """What VQA's own evaluation makes of a text. None where it differs by design: EvalAI's
        processor removes these marks first."""
        if any(mark in text.lower() for mark in (",", "?", "'s")):
            return None
        text = text.replace("\n", " ").replace("\t", " ").strip()
        return str(self.vqa_eval.processDigitArticle(self.vqa_eval.processPunctuation(text)))

    def chartqa(self, case: Case) -> Any:
        return float(self.chartqa_utils.relaxed_correctness(case["text"], case["answer"]))


def _vqa_eval(checkout: Path) -> Any:
    """VQA's own evaluation, which is in Python 2: its print statements are made calls."""
    path = checkout / "PythonEvaluationTools/vqaEvaluation/vqaEval.py"
    code = re.sub(r'print ("[^"]*")', r"print(\1)", path.read_text())
    names: dict[str, Any] = {}
    exec(code, names)
    return names["VQAEval"](MagicMock(), MagicMock())


def _columns(choices: list[str]) -> dict[str, Any]:
    return {letter: dict(enumerate(choices)).get(number) for number, letter in enumerate("ABCD")}


def _prepare(checkout: Path) -> None:
    """Make lmms-eval's modules importable without what its packages import."""
    for name in PACKAGES:
        module = ModuleType(name)
        module.__path__ = [str(checkout / name.replace(".", "/"))]
        sys.modules[name] = module
    for name in STAND_INS:
        sys.modules[name] = MagicMock()
    registry: Any = ModuleType("lmms_eval.api.registry")
    registry.register_aggregation = lambda *args, **kwargs: lambda function: function
    registry.register_metric = registry.register_aggregation
    sys.modules["lmms_eval.api.registry"] = registry
    filters: Any = sys.modules["lmms_eval.filters.extraction"]
    filters.ExtendedRegexFilter = object
    random.choice = lambda letters: ""  # MMMU draws a letter where a text names none


def main(checkout: Path, vqa: Path) -> None:
    made = cases()  # before anything that is drawn is replaced
    reference = Reference(checkout, vqa)
    for name, listed in made.items():
        score = getattr(reference, name)
        lines = [json.dumps([case, score(case)], ensure_ascii=False) for case in listed]
        data = "".join(f"{line}\n" for line in lines).encode()
        (HERE / f"{name}.jsonl.gz").write_bytes(gzip.compress(data, 9, mtime=0))
        print(f"{name}: {len(lines)} predictions")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
