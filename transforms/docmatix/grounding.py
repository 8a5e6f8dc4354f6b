"""Whether an answer is grounded: its numbers, dates and proper names stand in the document.

A model that writes pairs from a text sometimes invents a sum, a date or a person. Such an answer
teaches a vision-language model to read what is not on the page. The check compares with the text of
all pages, after both are normalised: notation of numbers and dates, case, accents, possessives,
hyphens at line ends, acronyms. It judges facts, not sense: an answer with the wrong one of two sums
on the page passes.

What counts as a name: capitalised words inside a sentence, and at its start if another one follows.
Languages without capitals have none, and German nouns all are.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from cauldron.transforms.docmatix.numbers import MONTHS, Numbers, facts, month_number

_WORD = re.compile(r"[^\W\d_](?:[^\W_]|['&](?=[^\W\d_]))*")
_HYPHEN_AT_LINE_END = re.compile(r"(\w)[-\u00ad][^\S\n]*+\n\s*+(\w)")
# What a sentence begins after, and what may stand between that and its first word, beside space.
_SENTENCE_ENDS, _SENTENCE_SIGNS = '.!?:;\n\u2022"(-', "'*"
# Between the capitalised words of one name.
_CONNECTORS = frozenset(
    re.findall(r"\S+", "of the and for in on de la le du des van von der den di da & y e")
)
# Words that may be capitalised without being names.
_COMMON = frozenset(
    re.findall(
        r"\w+",
        """
        a an the this that these those it its he she they we you i his her their our your my yes no
        not none both all each every some any one two three there here who what when where why how
        which and or but if as at by for from in into of off on over to up with without within
        between during after before since until according based because although while additionally
        however moreover furthermore therefore thus also overall please mr mrs ms miss dr prof
        professor sir doctor street st avenue ave road rd apartment apt inc ltd llc gmbh co corp
        company corporation usd eur gbp chf cad aud jpy euro euros dollar dollars pound pounds q
        section page document table figure appendix chapter part article no nos vs etc pm am gmt
        utc est pdf faq ceo
        """,
    )
)
_MONTH_NAMES = frozenset([*MONTHS, *(name[:3] for name in MONTHS), "sept"])
_WEEKDAYS = frozenset(
    ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
)
_SUFFIXES = ("s", "es", "ian", "an", "n", "ish", "ese", "i", "a", "y")
_SIGNS = str.maketrans(
    {"\u2019": "'", "\u2018": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-"}
    # Without its dot it is an "i" to a pattern that ignores case, and to nothing else.
    | {"\u0131": "i"}
)
_SHORTEST_STEM = 4
# A word this long may also stand inside another ("JohnSmith", a word cut by the layout).
_INSIDE = 6


class Document:
    """The text that answers are compared with."""

    def __init__(self, pages: list[str]) -> None:
        text = _normal(_HYPHEN_AT_LINE_END.sub(r"\1\2", "\n".join(pages)))
        self.numbers = Numbers(text)
        # As they stand, cut at hyphens, and the possessive as well as the bare form.
        self._words = {word.casefold() for word in _WORD.findall(text)}
        self._words |= {_bare(word) for word in self._words}
        self._text = "".join(text.casefold().split())
        self._initials = "".join(word[0] for word in _WORD.findall(text.casefold()))
        self._acronyms = {word for word in _WORD.findall(text) if word.isupper() and len(word) > 1}

    def missing(self, answer: str) -> tuple[list[str], int]:
        """What of an answer is not in the document.

        Returns:
            the numbers, dates and names that are nowhere, and how many the answer has in all.
        """
        answer = _normal(answer)
        checks = [(fact.text, self.numbers.has(fact)) for fact in facts(answer)]
        checks += [(" ".join(name), self._has_name(name)) for name in _names(answer)]
        return [text for text, is_there in checks if not is_there], len(checks)

    def _has_name(self, name: list[str]) -> bool:
        initials = "".join(word[0] for word in name if word[0].isupper())
        if len(initials) > 1 and initials in self._acronyms:
            return True
        words = [word for word in name if len(word) > 1 and word.lower() not in _CONNECTORS]
        return all(self._has_word(word) for word in words)

    def _has_word(self, word: str) -> bool:
        small = word.casefold()
        if small in _MONTH_NAMES:
            return month_number(small) in self.numbers.months
        if small in self._words or _bare(small) in self._words:
            return True
        if small in _WEEKDAYS:
            return small[:3] in self._words
        if word.isupper() and len(word) > 1 and small in self._initials:
            return True  # an acronym of words that stand there
        if len(small) >= _INSIDE and small in self._text:
            return True
        stems = [small.removesuffix(end) for end in _SUFFIXES if small.endswith(end)]
        return any(
            known.startswith(stem)
            for stem in stems
            if len(stem) >= _SHORTEST_STEM
            for known in self._words
        )


def _names(answer: str) -> Iterator[list[str]]:
    """The names in an answer, each as its words."""
    name: list[str] = []
    is_first, end = False, 0
    for match in [*_WORD.finditer(answer), None]:
        gap = answer[end : match.start()] if match else "."
        continues = bool(name) and not gap.strip(" \n-/&.") and "\n" not in gap
        word = match[0] if match else ""
        is_name = _is_name(word) or (match is not None and _is_initial(answer, match))
        if continues and (is_name or (word in _CONNECTORS and "." not in gap)):
            name.append(word)
        else:
            yield from _complete(name, is_first)
            name = []
            if match and is_name:
                name = [word]
                is_first = _is_sentence_start(answer, match.start())
        end = match.end() if match else end


def _complete(name: list[str], is_first: bool) -> Iterator[list[str]]:
    """The name, unless it is only a word at the start of a sentence."""
    while name and name[-1] in _CONNECTORS:
        name.pop()
    capitals = [word for word in name if word not in _CONNECTORS]
    acronym = bool(capitals) and len(capitals[0]) > 1 and capitals[0].isupper()
    if len(capitals) > 1 or (capitals and (not is_first or acronym)):
        yield name


def _is_name(word: str) -> bool:
    small = word.lower()
    # "May" and "March" are also verbs; their dates are compared by day and year.
    is_word = small in _COMMON or small in ("may", "march")
    return len(word) > 1 and word[0].isupper() and not is_word


def _is_initial(answer: str, match: re.Match[str]) -> bool:
    """Whether a letter is short for a first name: "J. Smith", not "$2M"."""
    before, after = (
        answer[max(0, match.start() - 1) : match.start()],
        answer[match.end() : match.end() + 1],
    )
    return match[0].isupper() and len(match[0]) == 1 and after == "." and not before.isdigit()


def _is_sentence_start(answer: str, place: int) -> bool:
    """Whether a sentence begins at a place."""
    for at in range(place - 1, -1, -1):
        if answer[at] in _SENTENCE_ENDS:
            return True
        if not answer[at].isspace() and answer[at] not in _SENTENCE_SIGNS:
            return False
    return True


def _bare(word: str) -> str:
    return word.removesuffix("'s")


def _normal(text: str) -> str:
    """One form of equal characters, quotes and dashes, without accents."""
    text = unicodedata.normalize("NFKD", text).translate(_SIGNS)
    return "".join(sign for sign in text if not unicodedata.combining(sign))
