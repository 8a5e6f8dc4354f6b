"""Questions and answers as published in, turns fit for training out.

What is changed, in this order:

* Line ends ``\\r\\n`` become ``\\n``; NUL characters go; a lone surrogate, which no UTF-8 file can
  hold, becomes U+FFFD. Mojibake is data and stays.
* ``<image>`` placeholders are taken out and the text around them stripped, as published code does
  (replace, then strip); a text without one keeps its white space.
* "?." becomes "?" and "!." becomes "!" where the full stop ends a sentence: before white space,
  a closing quote or bracket, or the end. The authors replace these two characters wherever they
  stand; that would also break ellipses ("?...") and code ("a?.b"), so both stay as they are here.

Then a turn is left out when its question or answer is empty, when the answer holds a refusal
phrase, or when either holds a special token. The authors drop the whole row for the last two.
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
    """What is left of a row's turns.

    Attributes:
        turns: (user, assistant, source) of each turn that stays, in order.
        dropped: turns left out, by code (`cauldron.core.reasons.TURN_DROPPED`).
        problem: code and message when the whole row cannot stay; `turns` is then empty.
    """

    turns: list[tuple[str, str, str]] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    problem: tuple[str, str] | None = None


def clean_turns(turns: Sequence[RawTurn], rules: TextRules) -> CleanText:
    """Clean every turn of a row and leave out the bad ones."""
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
    """One question, answer or system prompt, cleaned; it can always be written as UTF-8."""
    text = _encodable(text)
    if rules.strip_image_tokens and IMAGE_TOKEN in text:
        # Taking one out can put another together: "<ima<image>ge>".
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
        # Through UTF-16, so that two halves standing side by side become their character.
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
