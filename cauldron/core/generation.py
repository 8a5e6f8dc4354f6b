"""What an evaluation asks of a model, whichever engine runs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

# `Decoding.longest_edge` is in pixels of a model with tiles of this side.
TILE = 364


@dataclass(frozen=True)
class Question:
    """A user message.

    Attributes:
        parts: in order; a text, or an encoded image.
    """

    parts: tuple[str | bytes, ...]


@dataclass(frozen=True)
class Decoding:
    """How an answer is generated. Decoding is always greedy.

    Attributes:
        longest_edge: of images, for a model with tiles of `TILE` pixels; other models get the same
            number of tiles.
        max_new_tokens: at most.
        stop_words: an answer ends before the first of them.
    """

    longest_edge: int
    max_new_tokens: int
    stop_words: tuple[str, ...] = ()

    def edge_for(self, tile: int) -> int:
        """The longest edge for a model with tiles of this side, in pixels."""
        return self.longest_edge * tile // TILE

    def cut(self, text: str) -> str:
        """The text before the first stop word."""
        ends = [place for word in self.stop_words if (place := text.find(word)) >= 0]
        return text[: min(ends, default=len(text))].strip()


@dataclass(frozen=True)
class Unanswered:
    """A question without an answer.

    Attributes:
        message: why, in one line.
        reason: a key of `cauldron.core.reasons.NO_ANSWER`. A question with `refused` would be
            refused again; one with another reason may be answered another time.
    """

    message: str
    reason: str = "refused"


class Engine(Protocol):
    """Answers questions. Equal calls give equal answers.

    Attributes:
        independent: an answer does not depend on the questions that are asked with it. With
            padding it does: sums are rounded otherwise, and now and then a word is another one.
    """

    independent: bool

    def length(self, question: Question, decoding: Decoding) -> int:
        """About how many tokens a question has, to put equally long ones into a batch."""
        ...

    def generate(self, questions: Sequence[Question], decoding: Decoding) -> list[str | Unanswered]:
        """An answer for each question, in order. Raises CauldronError if the model fails."""
        ...


@dataclass(frozen=True)
class Share:
    """Which part of the questions this process asks.

    Attributes:
        gather: from a list of every rank to one list of all of them, the same on all ranks.
        stop: whether to stop early; the scores are then not used.
    """

    rank: int = 0
    world: int = 1
    gather: Callable[[list[Any]], list[Any]] = lambda values: values
    stop: Callable[[], bool] = lambda: False


# Scores of a model by benchmark, 0 to 1, the same on all ranks.
Evaluation = Callable[[Engine, Share], dict[str, float]]
