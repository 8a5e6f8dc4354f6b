"""Conversations as token ids and labels, as Idefics3's chat template and processor make them.

The whole conversation is encoded once with one ``<image>`` for each image, and that id is then
replaced by the ready ids of the image's grid: 0.15 ms for a conversation of 3,062 tokens, an
image of 17 tiles among them, where encoding the written-out markers, as the processor does, takes
1.6 ms.

Text is only text: a question that contains "<image>" keeps its characters and gets no image.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from cauldron.training.data.bad_rows import BadRow
from tokenizers import Tokenizer

from cauldron.core.errors import UsageError

IMAGE = "<image>"
FAKE = "<fake_token_around_image>"
END = "<end_of_utterance>"
GLOBAL = "<global-img>"
IGNORED = -100

Ids = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]
Grid = tuple[int, int]
# Role and content; None stands for an image.
Message = tuple[str, Sequence[str | None]]


def messages_of_row(messages: Sequence[dict[str, Any]]) -> list[Message]:
    """The `messages` of a mixture row as Python values, in the form that `TokenLayout` takes."""
    return [
        (
            message["role"],
            [None if part["type"] == "image" else part["text"] for part in message["content"]],
        )
        for message in messages
    ]


@dataclass(frozen=True, slots=True)
class Text:
    """An encoded conversation in which each image is still one token.

    Attributes:
        ids: shape (n,).
        supervised: shape (n,); tokens of answers and the end of each.
        images: number of ``<image>`` tokens.
    """

    ids: Ids
    supervised: Mask
    images: int


@dataclass(frozen=True, slots=True)
class Document:
    """A conversation as the model reads it.

    Attributes:
        ids: shape (n,).
        labels: shape (n,): the target at each position, which is the next token of the document,
            or -100 where none is learned; the last position has none.
        image_positions: shape (tiles x tokens per tile,): where the ``<image>`` tokens are.
    """

    ids: Ids
    labels: Ids
    image_positions: npt.NDArray[np.int64]


class TokenLayout:
    """How a model's conversations are laid out in tokens.

    Args:
        tokenizer: a ``tokenizers.Tokenizer``, or the fast tokenizer of transformers around one.
        tile: side of a tile, pixels.
        tokens_per_tile: tokens that stand for one tile.
        bos: what the chat template begins with. None: the tokenizer's `bos_token`, which is what
            Idefics3 (``<|begin_of_text|>``) and SmolVLM (``<|im_start|>``) begin with, or nothing.

    Raises:
        UsageError: the tokenizer lacks one of the tokens around images.
    """

    def __init__(
        self, tokenizer: Any, tile: int, tokens_per_tile: int, bos: str | None = None
    ) -> None:
        self.tile = tile
        self.tokens_per_tile = tokens_per_tile
        self._bos = (getattr(tokenizer, "bos_token", None) or "") if bos is None else bos
        backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
        self._set_up(backend.to_str())

    def _set_up(self, description: str) -> None:
        self._description = description
        self._tokenizer = Tokenizer.from_str(description)
        # Both may be switched on inside the description, and would change ids.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        added = self._tokenizer.get_added_tokens_decoder().values()
        ours = [token for token in (self._bos, IMAGE, FAKE, END) if token]
        ids = self._tokenizer.get_vocab(with_added_tokens=True)
        missing = [token for token in ours if token not in ids]
        if missing:
            raise UsageError(f"the tokenizer has no token {missing[0]}; add it before training")
        marks = re.compile(r"<row_\d+_col_\d+>|<global-img>")
        reserved = {t.content for t in added if t.special or marks.fullmatch(t.content)} | {*ours}
        self._is_reserved = np.zeros(max(ids.values()) + 1, dtype=np.bool_)
        self._is_reserved[[ids[token] for token in reserved]] = True
        longest_first = sorted(reserved, key=len, reverse=True)
        self._literals = re.compile("|".join(map(re.escape, longest_first)))
        self._image, self._end = ids[IMAGE], ids[END]
        self._block = lru_cache(maxsize=None)(self._image_block)

    def __getstate__(self) -> dict[str, Any]:
        return {
            "tile": self.tile,
            "tokens_per_tile": self.tokens_per_tile,
            "_bos": self._bos,
            "_description": self._description,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._set_up(state["_description"])

    @property
    def identity(self) -> str:
        """Equal for layouts that give equal ids."""
        text = f"{self.tile} {self.tokens_per_tile} {self._bos} {self._description}"
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    @property
    def filler(self) -> Document:
        """The shortest document, with nothing to learn, for a sequence whose rows were all bad."""
        ids = np.array([self._end], dtype=np.int32)
        return Document(ids, np.array([IGNORED], dtype=np.int32), np.zeros(0, dtype=np.int64))

    def encode(self, messages: Sequence[Message]) -> Text:
        """Encode a conversation.

        Raises:
            BadRow: nothing in it is learned, or its text cannot be kept apart from the tokens
                that have a meaning here.
        """
        if not any(_has_text(parts) for role, parts in messages if role == "assistant"):
            raise BadRow("no_answer", "no assistant message has text")
        pieces, answers = self._written(messages)
        ids, ends = self._encoded(pieces)
        supervised = np.zeros(len(ids), dtype=np.bool_)
        for start, end in answers:
            first, last = np.searchsorted(ends, [start, end], side="right")
            supervised[first:last] = True
        return Text(ids, supervised, sum(piece == (IMAGE, True) for piece in pieces))

    def length(self, text: Text, grids: Sequence[Grid]) -> int:
        """Tokens of the document that `expand` makes."""
        return len(text.ids) - text.images + sum(len(self._block(*grid)[0]) for grid in grids)

    def block_length(self, rows: int, columns: int) -> int:
        """Tokens of an image, markers included, that is cut into this grid."""
        return len(self._block(rows, columns)[0])

    def expand(self, text: Text, grids: Sequence[Grid]) -> Document:
        """Put each image's tokens in its place. There is one grid for each image."""
        places = np.flatnonzero(text.ids == self._image)
        blocks = [self._block(*grid) for grid in grids]
        parts, marks, start = [], [], 0
        shift, images = 0, []
        for place, (block, positions) in zip(places.tolist(), blocks, strict=True):
            parts += [text.ids[start:place], block]
            marks += [text.supervised[start:place], np.zeros(len(block), dtype=np.bool_)]
            images.append(positions + (place + shift))
            shift += len(block) - 1
            start = place + 1
        ids = np.concatenate([*parts, text.ids[start:]])
        supervised = np.concatenate([*marks, text.supervised[start:]])
        labels = np.full(len(ids), IGNORED, dtype=np.int32)
        np.copyto(labels[:-1], ids[1:], where=supervised[1:])
        none = np.zeros(0, dtype=np.int64)
        return Document(ids, labels, np.concatenate(images) if images else none)

    def _written(
        self, messages: Sequence[Message]
    ) -> tuple[list[tuple[str, bool]], list[tuple[int, int]]]:
        """The conversation in pieces (text, is a special token), and where answers are learned.

        The template: role capitalised, ":" and, unless an image follows, a space. An answer is
        learned from that space to its ``<end_of_utterance>``.
        """
        pieces = [(self._bos, True)] if self._bos else []
        at, answers, before = len(self._bos), [], ""
        for role, parts in messages:
            head = before + role.capitalize() + ":"
            learned = at + len(head)
            content = [(part, False) if part is not None else (IMAGE, True) for part in parts]
            if not parts or parts[0] is not None:
                content.insert(0, (" ", False))
            body = [*_joined([(head, False), *content]), (END, True)]
            pieces += body
            at += sum(len(text) for text, _ in body)
            if role == "assistant":
                answers.append((learned, at))
            before = "\n"
        return [*pieces, ("\n", False)], answers

    def _encoded(self, pieces: Sequence[tuple[str, bool]]) -> tuple[Ids, npt.NDArray[np.int64]]:
        """Ids, and for each the character that it ends at."""
        ids, ends = self._plain("".join(text for text, _ in pieces))
        specials = sum(special for _, special in pieces)
        if self._is_reserved[ids].sum() != specials:
            ids, ends = self._apart(pieces)
            if self._is_reserved[ids].sum() != specials:
                raise BadRow("special_tokens", "its text contains the model's special tokens")
        return ids, np.maximum.accumulate(ends)

    def _plain(self, text: str) -> tuple[Ids, npt.NDArray[np.int64]]:
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        offsets = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
        return np.array(encoding.ids, dtype=np.int32), offsets[:, 1]

    def _apart(self, pieces: Sequence[tuple[str, bool]]) -> tuple[Ids, npt.NDArray[np.int64]]:
        """Encode piece by piece, cutting through whatever reads like a special token."""
        parts, at = [], 0
        for text, special in pieces:
            inner = [] if special else self._cuts(text)
            for start, end in itertools.pairwise([0, *inner, len(text)]):
                ids, ends = self._plain(text[start:end])
                parts.append((ids, ends + (at + start)))
            at += len(text)
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    def _cuts(self, text: str) -> list[int]:
        cuts, found = [], self._literals.search(text)
        while found:
            cuts.append(found.start() + 1)
            found = self._literals.search(text, cuts[-1])
        return cuts

    def _image_block(self, rows: int, columns: int) -> tuple[Ids, npt.NDArray[np.int64]]:
        """Ids of an image, as the processor writes it, and where its ``<image>`` tokens are."""
        tile = IMAGE * self.tokens_per_tile
        text = ""
        if rows * columns > 1:
            for row in range(1, rows + 1):
                for column in range(1, columns + 1):
                    text += f"{FAKE}<row_{row}_col_{column}>{tile}"
                text += "\n"
            text += "\n"
        ids, _ = self._plain(f"{text}{FAKE}{GLOBAL}{tile}{FAKE}")
        return ids, np.flatnonzero(ids == self._image)


def _has_text(parts: Sequence[str | None]) -> bool:
    return any(part is not None and part.strip() for part in parts)


def _joined(pieces: Sequence[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """Neighbouring texts as one."""
    result: list[tuple[str, bool]] = []
    for text, special in pieces:
        if result and not special and not result[-1][1]:
            result[-1] = (result[-1][0] + text, False)
        else:
            result.append((text, special))
    return result
