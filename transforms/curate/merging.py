"""Merging: the turns of several samples on the same pictures become one conversation.

A question that two samples ask alike, with the same answer, is kept once; with another answer it
is a conflict, which the recipe settles. Texts are compared after normalising, because the sets
that share COCO's photographs differ in case, spaces and the full stop; what is kept is the text
as it was. Nothing is compared by meaning: "a dog" and "dog" are two answers.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from cauldron.core.rules import Conflicts
from cauldron.core.schema import Sample, Turn

# Signs that end a sentence or a clause, after NFKC has folded their wide forms. Others may carry
# the answer: 50 %, 5', C#.
_ENDING = ".,;:!?。、؟؛،।"

_JOIN = " AND "


def normalise_text(text: str) -> str:
    """What of a question or an answer is compared: NFKC, case folded, spaces collapsed, without
    the punctuation at its end. A text of nothing else stays as it is."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    spaced = " ".join(folded.split())
    return spaced.rstrip(_ENDING + " ") or spaced


def merge_samples(representative: Sample, others: Sequence[Sample], conflicts: Conflicts) -> Sample:
    """One sample with the turns of all; id, pictures, origin and system prompt are those of the
    representative.

    Its own turns come first and stay as they are, repetitions among them included; then those of
    the others, in the order given, that ask or answer something new.

    Args:
        conflicts: where two samples answer the same question differently, ``keep`` both answers;
            keep those of the ``first`` sample that asks; or ``drop`` the question, unless that
            would leave no turn at all: then the representative's own are kept.
    """
    pairs = [[_pair(turn) for turn in sample.turns] for sample in (representative, *others)]
    disputed = _disputed(pairs) if conflicts == "drop" else set()
    turns = [
        turn
        for turn, (question, _) in zip(representative.turns, pairs[0], strict=True)
        if question not in disputed
    ]
    seen = set(pairs[0])
    asked = {question for question, _ in seen}
    for sample, own in zip(others, pairs[1:], strict=True):
        taken = asked.copy() if conflicts == "first" else disputed
        for turn, pair in zip(sample.turns, own, strict=True):
            if pair not in seen and pair[0] not in taken:
                seen.add(pair)
                asked.add(pair[0])
                turns.append(turn)
    turns = turns or list(representative.turns)
    return representative.model_copy(
        update={"turns": tuple(turns), "license": _licence(turns, (representative, *others))}
    )


def _pair(turn: Turn) -> tuple[str, str]:
    return normalise_text(turn.user), normalise_text(turn.assistant)


def _disputed(pairs: Iterable[Iterable[tuple[str, str]]]) -> set[str]:
    """Questions that the samples which ask them do not answer alike. Several answers within one
    sample are no dispute: captions of one picture, say."""
    answers: dict[str, set[str]] = {}
    disputed = set()
    for own in pairs:
        mine: dict[str, set[str]] = {}
        for question, answer in own:
            mine.setdefault(question, set()).add(answer)
        for question, said in mine.items():
            if answers.setdefault(question, said) != said:
                disputed.add(question)
    return disputed


def _licence(turns: Iterable[Turn], samples: Sequence[Sample]) -> str:
    """The representative's licence, for its pictures, and those of all samples that gave turns,
    joined as in SPDX expressions: each of them holds for its part of the row."""
    gave = {id(turn) for turn in turns}
    names = {samples[0].license}
    names |= {s.license for s in samples[1:] if any(id(turn) in gave for turn in s.turns)}
    return _JOIN.join(sorted({part for name in names for part in name.split(_JOIN)}))
