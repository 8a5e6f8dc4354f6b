"""From a published row to question, choices, answers, and what scores are told apart by."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from cauldron.evaluate.items.disciplines import discipline_of, subject_of
from cauldron.evaluate.items.layouts import Layout
from cauldron.evaluate.items.tables import TableRow
from cauldron.sources.benchmarks.layouts import Roles
from cauldron.sources.benchmarks.values import python_list, text_of
from cauldron.sources.values.rows import RowProblem

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MULTIPLE_CHOICE = "multiple-choice"

# What publishers write for an answer that they keep to themselves.
_WITHHELD = ("", "?", "nan", "None")
# A text like "['5', '6']" is several accepted answers; elsewhere such a text is one answer.
_WRITTEN_LISTS = ("mmmu", "docvqa", "textvqa")
# MMStar's choices stand in its question: "…\nOptions: A: red, B: blue, C: green, D: white".
_OPTIONS = re.compile(
    r"\s*\n?Options:\s*A[:.] ?(.*?),?\s+B[:.] (.*?),?\s+C[:.] (.*?),?\s+D[:.] (.*)", re.S
)
# MMBench asks each question several times, its choices rotated; the later ones have this added to
# their index.
_ROTATED = 1_000_000


class Fields(NamedTuple):
    """The texts of an item; see `cauldron.evaluate.items.read.Item`."""

    question: str
    choices: tuple[str, ...]
    answers: tuple[str, ...]
    meta: dict[str, str]


def fields_of(benchmark: str, layout: Layout, row: TableRow) -> Fields:
    """Raises RowProblem: ``empty_question``, ``empty_answer``, ``bad_row``."""
    roles = row.roles
    fields = Fields(
        _text(row.values.get(roles.question)),
        _choices(row.values, roles),
        _answers(_listed(row.values.get(roles.answer), benchmark)),
        _meta(layout, row.values),
    )
    fields = _SPECIAL.get(benchmark, _as_published)(fields, row)
    if not fields.question:
        raise RowProblem("empty_question", "it has no question")
    if not fields.answers:
        raise RowProblem("empty_answer", "its answer is empty or not published")
    return fields


def _text(value: Any) -> str:
    return text_of(value).replace("\0", "").strip()


def _choices(values: Mapping[str, Any], roles: Roles) -> tuple[str, ...]:
    if len(roles.options) > 1:
        texts = [_text(values.get(column)) for column in roles.options]
        while texts and not texts[-1]:
            texts.pop()
        return tuple(texts)
    value = values.get(roles.options[0]) if roles.options else None
    if isinstance(value, str):
        value = python_list(value)
    return tuple(_text(item) for item in value) if isinstance(value, list) else ()


def _listed(value: Any, benchmark: str) -> Any:
    is_list = benchmark in _WRITTEN_LISTS and isinstance(value, str)
    return python_list(value) if is_list else value


def _answers(value: Any) -> tuple[str, ...]:
    """Every accepted answer, equal ones as often as they are published; () if it is withheld."""
    items = value if isinstance(value, list) else [value]
    found = [item if isinstance(item, str) else text_of(item) for item in items]
    return () if all(text.strip() in _WITHHELD for text in found) else tuple(found)


def _meta(layout: Layout, values: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for name, columns in (layout.meta or {}).items():
        value = next((values[column] for column in columns if column in values), None)
        found[name] = text_of(value).replace("\n", "; ")
    for column in layout.structs:
        inner = values.get(column)
        pairs = inner.items() if isinstance(inner, dict) else ()
        found |= {name: text_of(value).replace("\n", "; ") for name, value in pairs}
    return {name: text for name, text in found.items() if text}


def _as_published(fields: Fields, row: TableRow) -> Fields:
    return fields


def _letter_answer(fields: Fields, row: TableRow) -> Fields:
    """The answer is a letter, or the number of a choice from 0 (AI2D)."""
    if not fields.answers:
        return fields
    answer = fields.answers[0].strip()
    if answer.isdecimal() and int(answer) < len(LETTERS):
        answer = LETTERS[int(answer)]
    known = LETTERS[: len(fields.choices)] if fields.choices else LETTERS
    if len(answer) != 1 or answer.upper() not in known:
        raise RowProblem("bad_row", f"the answer {answer[:40]!r} is none of its choices")
    return fields._replace(answers=(answer.upper(),))


def _mmmu(fields: Fields, row: TableRow) -> Fields:
    kind = fields.meta.get("type") or (MULTIPLE_CHOICE if fields.choices else "open")
    subject = subject_of(_text(row.values.get(row.roles.key)))
    meta = {**fields.meta, "type": kind, "subject": subject, "discipline": discipline_of(subject)}
    fields = fields._replace(meta={name: text for name, text in meta.items() if text})
    if kind != MULTIPLE_CHOICE:
        return fields._replace(choices=())
    if not fields.choices:
        raise RowProblem("bad_row", "a multiple-choice question without choices")
    return _letter_answer(fields, row)


def _mathvista(fields: Fields, row: TableRow) -> Fields:
    is_choice = fields.meta.get("type") == "multi_choice"
    answer = _text(row.values.get(row.roles.answer))  # "[1, 2]" is one answer, not two
    answers = () if answer in _WITHHELD else (answer,)
    if is_choice and answers and answer not in fields.choices:
        raise RowProblem("bad_row", f"the answer {answer[:40]!r} is none of its choices")
    return fields._replace(choices=fields.choices if is_choice else (), answers=answers)


def _mmstar(fields: Fields, row: TableRow) -> Fields:
    match = None if fields.choices else _OPTIONS.search(fields.question)
    if match is not None:
        choices = tuple(text.strip() for text in match.groups())
        fields = fields._replace(question=fields.question[: match.start()], choices=choices)
    return _letter_answer(fields, row)


def _mmbench(fields: Fields, row: TableRow) -> Fields:
    index = _text(row.values.get(row.roles.key))
    group = str(int(index) % _ROTATED) if index.isdecimal() else index
    return _letter_answer(fields._replace(meta={**fields.meta, "group": group}), row)


def _chartqa(fields: Fields, row: TableRow) -> Fields:
    # HuggingFaceM4/ChartQA has a class label, 0 for human.
    named = {"0": "human", "1": "augmented", "human_test": "human", "augmented_test": "augmented"}
    kind = fields.meta.get("type", "")
    return fields._replace(meta={"type": named.get(kind, kind)} if kind else {})


_SPECIAL: Mapping[str, Callable[[Fields, TableRow], Fields]] = {
    "mmmu": _mmmu,
    "mathvista": _mathvista,
    "mmstar": _mmstar,
    "ai2d": _letter_answer,
    "mmbench": _mmbench,
    "chartqa": _chartqa,
}
