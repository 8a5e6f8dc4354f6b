"""Clean published questions and answers.

Texts are changed in this order:

* Line ends ``\\r\\n`` become ``\\n``. NUL characters are removed. A lone surrogate, which UTF-8
  cannot hold, becomes U+FFFD. Mojibake is not changed.
* ``<image>`` placeholders are removed and the text is stripped, as in the authors' code. A text
  without a placeholder keeps its white space.
* "?." becomes "?" and "!." becomes "!" before white space, a closing quote or bracket, or the end.
  The authors replace them everywhere, which also changes ellipses ("?...") and code ("a?.b").

Then a turn is left out if its question or answer is empty, if the answer contains a refusal phrase,
or if either contains a special token. In the last two cases the authors drop the whole row.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from cauldron.sources.base import RawTurn

from cauldron.core.rules import TextRules

IMAGE_TOKEN = "<image>"

_WRONG_STOP = re.compile("([?!])\\.(?=$|[\\s\"'\u201d\u2019)\\]])")


@dataclass(slots=True)
class CleanText:
    """The cleaned turns of a row.

    Attributes:
        turns: (user, assistant, source) of each kept turn, in order.
        dropped: turns left out, by code (`cauldron.core.reasons.TURN_DROPPED`).
        problem: code and message if the whole row is rejected; `turns` is then empty.
    """

    turns: list[tuple[str, str, str]] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    problem: tuple[str, str] | None = None


def clean_turns(turns: Sequence[RawTurn], rules: TextRules) -> CleanText:
    """Clean the turns of a row and leave out bad ones."""
    result = CleanText()
    if len(turns) > rules.max_turns:
        result.problem = ("too_many_turns", f"{len(turns)} turns, the limit is {rules.max_turns}")
        return result
    refusals = [phrase.lower() for phrase in rules.refusals]
    limit = rules.max_turn_chars
    for number, turn in enumerate(turns):
        user = clean_text(turn.user or "", rules)
        assistant = clean_text(turn.assistant or "", rules)
        reason = _turn_problem(user, assistant, refusals, rules.special_tokens)
        if reason is not None:
            result.dropped[reason] += 1
            continue
        longest = max(len(user), len(assistant))
        if limit is not None and longest > limit:
            result.turns = []
            result.problem = ("long_turn", f"turn {number}: {longest} characters, limit {limit}")
            return result
        result.turns.append((user, assistant, turn.source))
    if not result.turns:
        left_out = ", ".join(f"{code} {count}" for code, count in sorted(result.dropped.items()))
        result.problem = ("no_turns", f"no turn left of {len(turns)}: {left_out or 'none given'}")
    return result


def clean_text(text: str, rules: TextRules) -> str:
    """Clean one question, answer or system prompt. The result can be written as UTF-8."""
    text = _encodable(text)
    if rules.strip_image_tokens and IMAGE_TOKEN in text:
        # Removing one can form another: "<ima<image>ge>".
        while IMAGE_TOKEN in text:
            text = text.replace(IMAGE_TOKEN, "")
        text = text.strip()
    if rules.fix_punctuation and ("?." in text or "!." in text):
        text = _WRONG_STOP.sub(r"\1", text)
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
