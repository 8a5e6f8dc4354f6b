"""Clean published questions and answers.

Texts are changed in this order:

* Line ends ``\\r\\n`` become ``\\n``. NUL characters are removed. A lone surrogate, which UTF-8
  cannot hold, becomes U+FFFD. Mojibake is not changed.
* ``<image>`` placeholders are removed from a question of a row with images, where sets put them: at
  its start or end. The question is then stripped, as in the authors' code. A question without a
  placeholder keeps its white space. Anywhere else ``<image>`` is text: in answers and system
  prompts, inside a question, in XML (with ``</image>``), and in rows without images.
* "?." becomes "?" and "!." becomes "!" before white space, a closing quote or bracket, or the end.
  The authors replace them everywhere, which also changes ellipses ("?...") and code ("a?.b").

A turn is bad if its question or answer is empty, if the answer contains a refusal phrase, or if
either contains a special token. If the questions of a row are independent, a bad turn is left out.
In a dialogue, later turns speak of earlier ones, so a bad turn takes its row; only a last question
that is not answered is left out. The authors drop every row with a refusal or a special token.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from cauldron.sources.base import RawTurn

from cauldron.core.sections.rules import TextRules

IMAGE_TOKEN = "<image>"

_WRONG_STOP = re.compile("([?!])\\.(?=$|[\\s\"'\u201d\u2019)\\]])")


@dataclass(slots=True)
class CleanText:
    """The cleaned turns of a row.

    Attributes:
        turns: (user, assistant, source) of each kept turn, in order.
        dropped: bad turns, by code (`cauldron.core.reasons.TURN_DROPPED`).
        problem: code and message if the whole row is rejected; `turns` is then empty.
    """

    turns: list[tuple[str, str, str]] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    problem: tuple[str, str] | None = None


def clean_turns(
    turns: Sequence[RawTurn], rules: TextRules, images: int = 0, *, dialogue: bool = False
) -> CleanText:
    """Clean the turns of a row and leave out bad ones.

    Args:
        images: number of the row's images, which its placeholders must match.
        dialogue: turns build on each other.
    """
    result = CleanText()
    if len(turns) > rules.max_turns:
        result.problem = ("too_many_turns", f"{len(turns)} turns, the limit is {rules.max_turns}")
        return result
    questions, result.problem = _questions(turns, rules, images)
    if result.problem is None:
        result.problem = _collect(questions, turns, rules, result, dialogue)
    if result.problem is not None:
        result.turns = []
    elif not result.turns:
        left_out = ", ".join(f"{code} {count}" for code, count in sorted(result.dropped.items()))
        result.problem = ("no_turns", f"no turn left of {len(turns)}: {left_out or 'none given'}")
    return result


def _collect(
    questions: Sequence[str],
    turns: Sequence[RawTurn],
    rules: TextRules,
    result: CleanText,
    dialogue: bool,
) -> tuple[str, str] | None:
    """Fill `result` with good turns and count bad ones; what rejects the row, or None."""
    refusals = [phrase.lower() for phrase in rules.refusals]
    limit = rules.max_turn_chars
    bad_turn = None
    for number, (user, turn) in enumerate(zip(questions, turns, strict=True)):
        assistant = clean_text(turn.assistant or "", rules)
        reason = _turn_problem(user, assistant, refusals, rules.special_tokens)
        if reason is not None:
            result.dropped[reason] += 1
            is_open_end = reason == "empty_answer" and number == len(turns) - 1
            if dialogue and not is_open_end:
                bad_turn = bad_turn or ("bad_turn", f"turn {number} of a dialogue: {reason}")
            continue
        longest = max(len(user), len(assistant))
        if limit is not None and longest > limit:
            return "long_turn", f"turn {number}: {longest} characters, limit {limit}"
        result.turns.append((user, assistant, turn.source))
    return bad_turn if result.turns else None


def _questions(
    turns: Sequence[RawTurn], rules: TextRules, images: int
) -> tuple[list[str], tuple[str, str] | None]:
    """The cleaned questions; and a reason and message if placeholders and images disagree.

    Either every turn that has placeholders has one for each image (independent questions), or all
    turns together do (a dialogue that shows an image when it speaks of it).
    """
    questions, counts = [], []
    for turn in turns:
        text, count = _encodable(turn.user or ""), 0
        if images and rules.strip_image_tokens:
            text, count = _without_placeholders(text)
        questions.append(_punctuated(text, rules))
        if count:
            counts.append(count)
    if any(count != images for count in counts) and sum(counts) != images:
        message = f"{sum(counts)} placeholders in {len(counts)} questions, {images} images"
        return [], ("image_placeholders", message)
    return questions, None


def _without_placeholders(text: str) -> tuple[str, int]:
    """The text without the ``<image>`` at its start and end, and how many there were."""
    if IMAGE_TOKEN not in text or "</image>" in text:
        return text, 0
    size, start, end = len(IMAGE_TOKEN), 0, len(text)
    bare_start, bare_end, count = 0, end, 0
    while True:
        while start < end and text[start].isspace():
            start += 1
        if not text.startswith(IMAGE_TOKEN, start, end):
            break
        start += size
        bare_start, count = start, count + 1
    while True:
        while end > bare_start and text[end - 1].isspace():
            end -= 1
        if not text.endswith(IMAGE_TOKEN, bare_start, end):
            break
        end -= size
        bare_end, count = end, count + 1
    return (text[bare_start:bare_end].strip(), count) if count else (text, 0)


def clean_text(text: str, rules: TextRules) -> str:
    """Clean one answer or system prompt. The result can be written as UTF-8."""
    return _punctuated(_encodable(text), rules)


def _punctuated(text: str, rules: TextRules) -> str:
    if rules.fix_punctuation and ("?." in text or "!." in text):
        return _WRONG_STOP.sub(r"\1", text)
    return text


def _encodable(text: str) -> str:
    if "\r\n" in text:
        text = text.replace("\r\n", "\n")
    if "\0" in text:
        text = text.replace("\0", "")
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        # Through UTF-16, so that a pair of surrogates becomes its character.
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _turn_problem(
    user: str, assistant: str, refusals: Sequence[str], special_tokens: Sequence[str]
) -> str | None:
    if not user.strip():
        return "empty_question"
    if not assistant.strip():
        return "empty_answer"
    if refusals:
        lowered = assistant.lower()
        if any(phrase in lowered for phrase in refusals):
            return "refusal"
    if any(token in user or token in assistant for token in special_tokens):
        return "special_token"
    return None
