"""The parsers and scores of each benchmark: `cauldron.evaluate.metrics` applied to items."""

from __future__ import annotations

from cauldron.evaluate.benchmarks.extraction import extraction_prompt, needs_no_model
from cauldron.evaluate.benchmarks.prompts import answer_of
from cauldron.evaluate.items.fields import LETTERS, MULTIPLE_CHOICE
from cauldron.evaluate.items.read import Item
from cauldron.evaluate.metrics import letters, mathvista, mmmu
from cauldron.evaluate.metrics.anls import anls
from cauldron.evaluate.metrics.chartqa import relaxed_accuracy
from cauldron.evaluate.metrics.vqa import vqa_accuracy

_MMSTAR_LETTERS = "ABCD"


def read_text(item: Item, text: str) -> str:
    return answer_of(text)


def read_mmmu(item: Item, text: str) -> str:
    """A letter, or of an open question the text: its parts are compared one by one."""
    if item.meta.get("type") == MULTIPLE_CHOICE:
        return mmmu.parse_choice(answer_of(text), item.choices, item.id)
    return answer_of(text)


def score_mmmu(item: Item, prediction: str) -> float:
    if item.meta.get("type") == MULTIPLE_CHOICE:
        return mmmu.score_choice(prediction, item.answers)
    return mmmu.score_open(mmmu.parse_open(prediction), item.answers)


def read_mathvista(item: Item, text: str) -> str:
    """In the form of the published answers; "" if it is not of their type."""
    problem = _problem(item)
    return mathvista.normalise(mathvista.extract(answer_of(text), problem), problem) or ""


def extract_mathvista(item: Item, text: str) -> str | None:
    """What to ask another model to find the answer in a text; None if the text is one."""
    text = answer_of(text)
    return None if needs_no_model(text, _problem(item)) else extraction_prompt(item, text)


def read_extracted_mathvista(item: Item, found: str) -> str:
    return mathvista.normalise(found.strip(), _problem(item)) or ""


def score_mathvista(item: Item, prediction: str) -> float:
    return float(any(mathvista.is_equal(prediction, answer) for answer in item.answers))


def _problem(item: Item) -> mathvista.Problem:
    # Published as a float, such as 1.0.
    precision = int(float(item.meta.get("precision", "0")))
    kind, answer_type = item.meta.get("type", ""), item.meta.get("answer_type", "")
    return mathvista.Problem(kind, answer_type, item.choices, precision)


def read_mmstar(item: Item, text: str) -> str:
    return letters.extract_letter(answer_of(text), _MMSTAR_LETTERS)


def read_mmbench(item: Item, text: str) -> str:
    text = answer_of(text)
    choices = {letter: words for letter, words in zip(LETTERS, item.choices, strict=False) if words}
    return letters.infer_letter(text, choices) or letters.extract_letter(text, sorted(choices))


def score_letter(item: Item, prediction: str) -> float:
    return float(prediction in item.answers)


def read_ai2d(item: Item, text: str) -> str:
    return letters.ai2d_answer(answer_of(text))


def score_ai2d(item: Item, prediction: str) -> float:
    return max(letters.score_exact(prediction, answer) for answer in item.answers)


def score_docvqa(item: Item, prediction: str) -> float:
    return anls(prediction, item.answers)


def score_textvqa(item: Item, prediction: str) -> float:
    return vqa_accuracy(prediction, item.answers)


def score_chartqa(item: Item, prediction: str) -> float:
    return max(relaxed_accuracy(prediction, answer) for answer in item.answers)
