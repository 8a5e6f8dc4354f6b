"""Whether two questions share a run of words: n-gram overlap, n = 13 as in the GPT-3 paper.

A benchmark's questions on one picture become an index once; a row's questions are then looked up
in time that grows with their own words, however many questions the benchmark asks.

Words are runs of letters, marks and digits after NFKC and case folding; everything else, also
the underscores of a gap to be filled, separates. Scripts that write no spaces between words (Han,
kana, Thai, Lao, Burmese, Khmer) count every character as a word. Thirteen characters say less
than thirteen words, so the test is laxer there. That errs on the side of removing a row, and only
rows that show the benchmark's picture are ever asked.

Most questions of benchmarks are shorter than 13 words, and most rows add a line such as "Answer
with the letter." to theirs. A text shorter than n words therefore counts as shared when the other
text holds it whole and between ends of sentences or lines.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, groupby
from typing import NamedTuple

Run = tuple[str, ...]

_ASCII_WORD = re.compile(r"[a-z0-9]+")
# A dot inside a number or name ends nothing; CJK writes no space after a question mark.
_SENTENCE_END = re.compile(r"[!?\n\u3002]|[.:;](?=\s|$)")
# Thai and Lao; Burmese; Khmer; kana; Han with its extensions.
_UNSPACED = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x3005, 0x3007),
    (0x3040, 0x30FF),
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
_SEPARATES, _IN_WORD, _ALONE = range(3)


class Question(NamedTuple):
    """A text in normalised words.

    Attributes:
        ends: how many words each of its sentences and all before it have; the last is their
            number.
    """

    words: Run
    ends: tuple[int, ...]


def split_question(text: str) -> Question:
    """Normalise a text and cut it into words."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    sentences = [words_of(part) for part in _SENTENCE_END.split(text.lower())]
    sentences = [words for words in sentences if words]
    words = tuple(word for sentence in sentences for word in sentence)
    return Question(words, tuple(accumulate(len(sentence) for sentence in sentences)))


def words_of(text: str) -> list[str]:
    """The words of a text that is normalised already."""
    if text.isascii():
        return _ASCII_WORD.findall(text)
    words: list[str] = []
    # Soft hyphens and joiners are not seen and separate nothing.
    seen = (char for char in text if unicodedata.category(char) != "Cf")
    for kind, run in groupby(seen, _kind):
        if kind == _IN_WORD:
            words.append("".join(run))
        elif kind == _ALONE:
            words.extend(run)
    return words


@lru_cache(maxsize=65_536)
def _kind(char: str) -> int:
    # Vowel signs of Indic scripts are marks, which Python's \w leaves out.
    if not (char.isalnum() or unicodedata.category(char).startswith("M")):
        return _SEPARATES
    code = ord(char)
    return _ALONE if any(low <= code <= high for low, high in _UNSPACED) else _IN_WORD


class Runs(NamedTuple):
    """What a row's questions are looked up by.

    Attributes:
        parts: runs of n words, and shorter ones between ends of sentences, in order.
        wholes: questions shorter than n words.
    """

    parts: list[Run]
    wholes: list[Run]


def runs_of(questions: Iterable[Question], ngram: int) -> Runs:
    """The runs of a row's questions; of each question first those of n words."""
    parts: list[Run] = []
    wholes: list[Run] = []
    for question in questions:
        parts.extend(_ngrams(question, ngram))
        parts.extend(_sections(question, ngram))
        if 0 < len(question.words) < ngram:
            wholes.append(question.words)
    return Runs(parts, wholes)


def _ngrams(question: Question, ngram: int) -> Iterator[Run]:
    words = question.words
    return (words[start : start + ngram] for start in range(len(words) - ngram + 1))


def _sections(question: Question, ngram: int) -> Iterator[Run]:
    """Whole sentences in a row that are shorter than n words together."""
    for number, start in enumerate((0, *question.ends[:-1])):
        for end in question.ends[number:]:
            if end - start >= ngram:
                break
            yield question.words[start:end]


class QuestionIndex:
    """Questions of many rows, found by the runs of words they share with others.

    Args:
        rows: the questions of each row.
        ngram: words in a run, 1 or more.
        limit: rows that are remembered for one run, the first ones: a question that a benchmark
            asks ten thousand times about one picture costs no more than one it asks a few times.
    """

    def __init__(self, rows: Sequence[Sequence[Question]], ngram: int, limit: int) -> None:
        self._limit = limit
        self._parts: dict[Run, list[int]] = {}
        self._sections: dict[Run, list[int]] = {}
        for row, questions in enumerate(rows):
            for question in questions:
                self._add(self._parts, _ngrams(question, ngram), row)
                self._add(self._sections, _sections(question, ngram), row)
                if 0 < len(question.words) < ngram:
                    self._add(self._parts, [question.words], row)

    def _add(self, index: dict[Run, list[int]], runs: Iterable[Run], row: int) -> None:
        for run in runs:
            rows = index.setdefault(run, [])
            if len(rows) < self._limit and (not rows or rows[-1] != row):
                rows.append(row)

    def shared(self, runs: Runs) -> dict[int, str]:
        """The first run that each row shares, its words joined by spaces; rows without any are
        not in the result, nor those that come after `limit` others with the same run."""
        found: dict[int, str] = {}
        for index, wanted in ((self._parts, runs.parts), (self._sections, runs.wholes)):
            for run in wanted:
                for row in index.get(run, ()):
                    found.setdefault(row, " ".join(run))
        return found
