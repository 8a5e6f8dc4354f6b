"""What a model is asked, for each benchmark: the prompts of training.

Multiple choice: the template of AI2D, ScienceQA and others in the Cauldron, which the authors also
evaluate with (Idefics2 paper, arXiv 2405.02246, A.3; Idefics3 paper, arXiv 2408.12637, A.1). A
model trained on it answers ``Answer: B``. MMMU, MathVista and MMBench follow the wrapper of these
models in VLMEvalKit (`vlmeval/vlm/idefics.py`, commit e8e78f0); the authors ran MMMU and MathVista
with it.
DocVQA, TextVQA and ChartQA: one instruction before the question, the same as in training.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from cauldron.evaluate.items.fields import LETTERS
from cauldron.evaluate.items.read import Item
from cauldron.sources.the_cauldron.new_prompts import INSTRUCTIONS, QUESTION

IMAGE, TEXT = "image", "text"
_LETTER_PROMPT = "Answer with the letter."
# VLMEvalKit's wrapper asks MMBench in these words.
_MMBENCH_PROMPT = "Answer with a letter."
# What Idefics2 adds to an open question (arXiv 2405.02246, A.3.1).
_BRIEF_PROMPT = "Give a very brief answer."
# Before or after a reference to an image, where no space is.
_NO_SPACE = re.compile(r"(?<=\S)(?=<image \d>)|(?<=<image \d>)(?=\S)")
_ANSWER = re.compile(r"\s*(?:answer\s*:)?\s*", re.IGNORECASE)


class Part(NamedTuple):
    """A part of a user message.

    Attributes:
        kind: `IMAGE` or `TEXT`.
        text: "" for an image.
        image: which of the item's images, from 0; -1 for a text.
    """

    kind: str
    text: str = ""
    image: int = -1


def multiple_choice(item: Item, ask: str = _LETTER_PROMPT) -> list[Part]:
    return [*_images(item), Part(TEXT, _question(item.question, item.choices, ask))]


def mmbench(item: Item) -> list[Part]:
    hint = item.meta.get("hint", "")
    question = f"{item.question}\nHint: {hint}" if hint else item.question
    return [*_images(item), Part(TEXT, _question(question, item.choices, _MMBENCH_PROMPT))]


def mmmu(item: Item) -> list[Part]:
    """All images stand first, each with its name; the text refers to them by these names."""
    ask = _LETTER_PROMPT if item.choices else _BRIEF_PROMPT
    text = _question(item.question, item.choices, ask)
    text = _NO_SPACE.sub(" ", text.removeprefix("Question: "))
    parts: list[Part] = []
    for number in range(len(item.images)):
        before = "Question: " if number == 0 else "\n"
        parts += [Part(TEXT, f"{before}<image {number + 1}>:"), Part(IMAGE, image=number)]
    return [*parts, Part(TEXT, f"\n{text}")]


def mathvista(item: Item) -> list[Part]:
    """Of an open question the published query, which names the form of the answer."""
    if item.choices:
        unit = item.meta.get("unit", "")
        question = f"{item.question} (Unit: {unit})" if unit else item.question
        return [*_images(item), Part(TEXT, _question(question, item.choices, _LETTER_PROMPT))]
    query = item.meta.get("query") or f"Question: {item.question}"
    return [*_images(item), Part(TEXT, query.removeprefix("Hint: "))]


def docvqa(item: Item) -> list[Part]:
    return _instructed(item, "docvqa")


def textvqa(item: Item) -> list[Part]:
    return _instructed(item, "textvqa")


def chartqa(item: Item) -> list[Part]:
    return _instructed(item, "chartqa")


def _instructed(item: Item, benchmark: str) -> list[Part]:
    text = INSTRUCTIONS[benchmark].replace(QUESTION, item.question)
    return [*_images(item), Part(TEXT, text)]


def _images(item: Item) -> list[Part]:
    return [Part(IMAGE, image=number) for number in range(len(item.images))]


def _question(question: str, choices: Sequence[str], ask: str) -> str:
    """Choices without a text are left out; the others keep their letters."""
    lines = [f"{letter}. {text}" for letter, text in zip(LETTERS, choices, strict=False) if text]
    return "\n".join([f"Question: {question}", *(["Choices:", *lines] if lines else []), ask])


def answer_of(text: str) -> str:
    """A model's text without white space around it and without ``Answer:`` before it.

    Metrics of the field do not expect the form ``Answer: B`` that the Cauldron trains; some would
    count it wrong.
    """
    text = text.strip()
    match = _ANSWER.match(text)
    return text[match.end() :] if match else text
