"""ANLS, the score of DocVQA: how much of an answer is right by edit distance, 0 below one half.

Average normalised Levenshtein similarity (arXiv 1907.00490). Equal to lmms-eval's `anls`, which
comes from DocVQA's own evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence

THRESHOLD = 0.5


def anls(prediction: str, answers: Sequence[str]) -> float:
    """The similarity to the nearest answer, from 0 to 1; 0 if it is below `THRESHOLD`.

    Case and the amount of white space do not matter to the distance. It is divided by the length
    of the texts as they stand.
    """
    distances = [_normalised_distance(prediction, answer) for answer in answers]
    similarity = 1 - min(distances)
    return similarity if similarity >= THRESHOLD else 0.0


def _normalised_distance(prediction: str, answer: str) -> float:
    # Lengths are of the upper case, which is longer for letters such as ß.
    length = max(len(answer.upper()), len(prediction.upper()))
    if length == 0:
        return 0.0
    plain = (" ".join(text.lower().split()) for text in (answer, prediction))
    return levenshtein(*plain) / length


def levenshtein(first: str, second: str) -> int:
    """Insertions, deletions and substitutions that make one text of the other."""
    if len(first) > len(second):
        first, second = second, first
    above = list(range(len(first) + 1))
    for row, right in enumerate(second, start=1):
        current = [row]
        for column, left in enumerate(first, start=1):
            substituted = above[column - 1] + (left != right)
            current.append(min(substituted, above[column] + 1, current[-1] + 1))
        above = current
    return above[-1]
