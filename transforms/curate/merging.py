"""Merging: the turns of several samples with the same pictures become one conversation.

If two samples ask the same question, it is kept once if the answers are the same; else it is a
conflict, for which the recipe has a rule. Texts are normalised before they are compared, because
sets with the same COCO photographs differ in case, spaces and full stops; the original text is
kept. Meaning is not compared: "a dog" and "dog" are different answers.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from cauldron.core.schema import Sample, Turn
from cauldron.core.sections.rules import Conflicts

# Signs that end a sentence or a clause, after NFKC. Other signs may be part of the answer: 50 %,
# 5', C#.
_ENDING = ".,;:!?。、؟؛،।"

_JOIN = " AND "


def normalise_text(text: str) -> str:
    """The form of a text that is compared: NFKC, case folded, spaces collapsed, and without
    punctuation at the end, unless the text is only punctuation."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    spaced = " ".join(folded.split())
    return spaced.rstrip(_ENDING + " ") or spaced


def merge_samples(representative: Sample, others: Sequence[Sample], conflicts: Conflicts) -> Sample:
    """One sample with the turns of all. Everything else is the representative's.

    The representative's turns come first, with repetitions. Then the turns of the others follow,
    in the given order, if their question or their answer is new.

    Args:
        conflicts: if samples answer the same question differently, ``keep`` all answers; keep
            those of the ``first`` sample with the question; or ``drop`` the question. If no turn
            would be left, the representative's are kept.
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
    """Questions that samples answer differently. Several answers within one sample, such as
    captions of one picture, are no conflict."""
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
    """The licences of the representative's pictures and of all turns, as an SPDX expression."""
    gave = {id(turn) for turn in turns}
    names = {samples[0].license}
    names |= {s.license for s in samples[1:] if any(id(turn) in gave for turn in s.turns)}
    return _JOIN.join(sorted({part for name in names for part in name.split(_JOIN)}))
