"""What the sample's model server answers: by rule, from the text of the request.

- A request that asks for pairs (``Q1:``, ``A1:``) about a text gets pairs whose answers stand word
  for word in the text, so all of them are true.
- A request that asks for a rating from 1 to 5 gets a digit, by a hash of the request. Models of
  different names agree on most of them.
- Any other request gets its own first words back.

A flaw spoils an answer in a known way, to measure what finds it.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Literal

Flaw = Literal["empty", "numbering", "language", "invented"]

_MAX_PAIRS = 8
_LABELLED = re.compile(r"^\s*([A-Z][^:\n]{1,60}):\s+(\S.*)$")
_PAIRS = re.compile(r"\bQ[1#]:")
_RATING = re.compile(r"\b1\b.*\b5\b", re.DOTALL)
_NUMBER = re.compile(r"\d+")


def answer_to(request: dict[str, Any], flaw: Flaw | None = None) -> str:
    """The answer to the body of a chat completion request."""
    texts = [text_of(message["content"]) for message in request["messages"]]
    if flaw == "empty":
        return ""
    if any(_PAIRS.search(text) for text in texts):
        return _as_text(pairs_about(texts[-1]), flaw)
    if any("rating" in text.lower() and _RATING.search(text) for text in texts):
        return _rating(request["model"], "\n".join(texts))
    return " ".join(texts[-1].split()[:20])


def text_of(content: str | list[dict[str, Any]]) -> str:
    """The text of a message, without its pictures."""
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if part["type"] == "text")


def pairs_about(text: str) -> list[tuple[str, str]]:
    """Questions about the lines of a text, whose answers are copied from it."""
    pairs = []
    for line in (line.strip() for line in text.splitlines()):
        labelled = _LABELLED.match(line)
        if labelled:
            pairs.append((f"What is given as {labelled[1].lower()}?", labelled[2].strip()))
        elif len(line.split()) >= 4:
            start = " ".join(line.split()[:2])
            pairs.append((f"What does the line that starts with {start} say?", line))
    return pairs[:_MAX_PAIRS]


def _as_text(pairs: list[tuple[str, str]], flaw: Flaw | None) -> str:
    if not pairs:
        return "unanswerable"
    if flaw == "language":
        pairs = [("Quel est le sujet de ce document ?", "Le document ne parle que de cela.")]
    if flaw == "invented":
        pairs = [(question, _invent(answer, number)) for number, (question, answer) in _each(pairs)]
    if flaw == "numbering":
        return "\n".join(f"Question {n}: {q}\nA{n + 1}) {a}" for n, (q, a) in _each(pairs))
    return "\n".join(f"Q{n}: {q}\nA{n}: {a}" for n, (q, a) in _each(pairs))


def _each(pairs: list[tuple[str, str]]) -> list[tuple[int, tuple[str, str]]]:
    return list(enumerate(pairs, 1))


def _invent(answer: str, number: int) -> str:
    """The answer with other numbers; one is added if there is none."""
    invented = str(73_911_000 + number)
    changed, count = _NUMBER.subn(invented, answer, count=1)
    return changed if count else f"{answer} {invented}"


def _rating(model: str, text: str) -> str:
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    rating = 1 + digest[0] % 5
    own = hashlib.blake2b(model.encode(), key=digest).digest()[0]
    return str(min(5, rating + 1) if own < 64 else rating)
