"""MathVista's extraction: what another model is asked to find the answer in a model's text.

MathVista's authors give five examples, the question and the text, and ask a language model for the
answer alone (arXiv 2310.02255, appendix; their code's ``extract_answer``). The form here is theirs,
the examples are our own. A text that is an answer already needs no model.
"""

from __future__ import annotations

import re

from cauldron.evaluate.items.fields import LETTERS
from cauldron.evaluate.items.read import Item
from cauldron.evaluate.metrics import mathvista

# What an extracted answer may be long at most: a list of a few numbers, or the text of a choice.
MAX_TOKENS = 64
_TASK = (
    "A question and a model's response follow some examples. Find the final answer in the response "
    'and write it after the last "Extracted answer:", and nothing else.'
)
# One for each form that answers have: integer, two floats of given decimals, list, letter.
_EXAMPLES = (
    (
        "Hint: Answer with an integer.\nQuestion: How many of the bars are taller than 20?",
        "Looking at the chart, the bars of May, June and July are above the line of 20, so 3 are.",
        "3",
    ),
    (
        "Hint: Answer with a number that has one decimal.\nQuestion: What share of the year is it?",
        "A quarter of the year has passed, which makes it 0.3 after rounding.",
        "0.3",
    ),
    (
        "Hint: Answer with a number that has two decimals.\nQuestion: How much do both cost? "
        "(Unit: $)",
        "The cup is $2.40 and the plate is $3.15. Together that comes to $5.55.",
        "5.55",
    ),
    (
        "Hint: Answer with a list of numbers, such as [1, 2].\nQuestion: Between which years did "
        "it fall?",
        "It fell from 1994 on and rose again after 1997, so the years are 1994 and 1997.",
        "[1994, 1997]",
    ),
    (
        "Hint: Answer with the letter of the choice.\nQuestion: Which angle is the largest?\n"
        "Choices:\n(A) at P\n(B) at Q\n(C) at R",
        "The longest side lies opposite Q, so the angle there is the largest.",
        "B",
    ),
)
_ONE_LETTER = re.compile(r"\(?([A-Za-z])\)?\.?")


def needs_no_model(text: str, problem: mathvista.Problem) -> bool:
    """Whether a text is an answer already: of the type that is asked for, or a choice's letter."""
    if not text or mathvista.quick_extract(text, problem):
        return True
    letter = _ONE_LETTER.fullmatch(text)
    known = LETTERS[: len(problem.choices)]
    return problem.question_type == mathvista.MULTI_CHOICE and bool(letter and letter[1] in known)


def extraction_prompt(item: Item, text: str) -> str:
    """The message to the model that extracts."""
    asked = item.meta.get("query") or _query(item)
    shown = [_shown(*example) for example in _EXAMPLES]
    return "\n\n".join([_TASK, *shown, _shown(asked, text, "")]).rstrip()


def _query(item: Item) -> str:
    choices = [f"({letter}) {text}" for letter, text in zip(LETTERS, item.choices, strict=False)]
    return "\n".join([f"Question: {item.question}", *(["Choices:", *choices] if choices else [])])


def _shown(query: str, response: str, answer: str) -> str:
    return f"{query}\n\nResponse: {response}\n\nExtracted answer: {answer}"
