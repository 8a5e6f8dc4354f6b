"""What a source is: it knows its files, cuts them into pieces, and reads a piece row by row.

A reader yields each row as published (`Row`) or says why it cannot be read (`BadRow`). It neither
cleans text nor decodes images: `transforms` does. Readers do not use Beam. A piece is small and
made of plain values, so that any runner can send it to another machine.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cauldron.sources.formats.shards import Missing
from cauldron.sources.repos.files import FileInfo, Repo, Root

from cauldron.core.errors import UsageError
from cauldron.core.names import did_you_mean
from cauldron.core.schema import Origin

# Compressed bytes of a published file that go into a piece: large enough that opening the file is
# cheap against reading it, small enough that a 10 GB set keeps a hundred workers busy.
PIECE_BYTES = 64 * 1024 * 1024
# Larger pieces rather than more: the process that submits jobs keeps 2 kB for each (docs/scale.md).
# No published source comes near, at 6.7 TB.
MOST_PIECES = 100_000
# Of files whose rows are only known once they are read, one worker reads up to so many rows, file
# after file. A larger limit is divided among pieces, see `TarSource` and the source `obelics`.
IN_TURN_ROWS = 10_000
# The kind of a piece that stands for shards which are not there.
MISSING = "missing_shards"

Options = Mapping[str, Any]


def piece_bytes(total: int) -> int:
    """About how many bytes a piece of a source has, of `total` bytes."""
    return max(PIECE_BYTES, -(-total // MOST_PIECES))


class Piece(NamedTuple):
    """A part of a source that one worker reads from start to end.

    Attributes:
        source: the source's name.
        file: path inside the repository.
        kind: how to read it; each reader defines its own kinds.
        start, stop: first and one past the last row group, byte or member; 0, -1 for all.
        size: bytes that will be read, for balancing.
        limit: read at most this many rows, -1 for all. With a `reason`: how many rows the file
            holds, -1 if unknown.
        reason, message: set if planning found that the file cannot be read at all; the piece
            then yields one `BadRow` with them.
        detail: anything else that the reader needs, in a format of its own.
    """

    source: str
    file: str
    kind: str
    start: int = 0
    stop: int = -1
    size: int = 0
    limit: int = -1
    reason: str = ""
    message: str = ""
    detail: str = ""


@dataclass(slots=True)
class RawTurn:
    """A question and answer as published; either may be missing."""

    user: str | None
    assistant: str | None
    source: str


@dataclass(slots=True)
class RawImage:
    """An image as published.

    Attributes:
        data: the encoded bytes.
        path: the publisher's path or name, or "".
        digest: SHA-256 hex that identifies the content if `data` was made here (a rendered PDF
            page); None: `data` itself identifies it.
        url: where the image must be fetched from; `data` is then empty until that is done.
        sha256: SHA-256 hex of the bytes behind `url`, where the publisher states it.
        problem: a code of `cauldron.core.reasons` and a message, if the image cannot be had. A
            document is then kept without it, any other row is not kept.
    """

    data: bytes
    path: str = ""
    digest: str | None = None
    url: str = ""
    sha256: str | None = None
    problem: tuple[str, str] | None = None


@dataclass(slots=True)
class Row:
    """One row as published, or several that the reader merged into one conversation.

    Attributes:
        rows: the number of published rows in it; all but one count as merged, reason
            ``same_image``.
        document: a pre-training document instead of turns: its texts in the order of reading; None
            stands for the next of `images`. A row has `turns` or a `document`, never both.
    """

    origin: Origin
    images: list[RawImage]
    turns: list[RawTurn]
    system: str | None = None
    rows: int = 1
    document: list[str | None] | None = None


@dataclass(slots=True)
class BadRow:
    """A row that cannot be used, with a code from `cauldron.core.reasons`.

    Attributes:
        rows: how many published rows it stands for.
        whole_piece: nothing of its piece can be read.
    """

    origin: Origin
    reason: str
    message: str
    rows: int = 1
    whole_piece: bool = False


@dataclass(frozen=True)
class Source(abc.ABC):
    """A dataset as its publisher ships it.

    Attributes:
        name: its name in recipes and rows, e.g. ``the_cauldron/vqav2``.
        repo: ``<org>/<name>`` on the hub, and the folder under a local root.
        title: for people.
        license: SPDX id in small letters, ``other`` for terms without one, or ``unknown``.
        license_note: where the licence is stated, or why it is unknown.
        published_rows: rows at the publisher, None if unknown.
        published_bytes: bytes to download, None if unknown; the reader's docstring says if it is
            an estimate.
        gated: the hub asks for accepted terms and a token.
        ships_images: False if the images must be fetched elsewhere; None for text-only sets.
        by_url: some images are known by their URL (`RawImage.url`): a build fetches them first.
        dialogue: turns build on each other, so their order must stay.
        default_options: every option of the reader, with its default.
    """

    name: str
    repo: str
    title: str
    license: str
    published_rows: int | None = None
    published_bytes: int | None = None
    gated: bool = False
    ships_images: bool | None = True
    dialogue: bool = False
    by_url: bool = False
    default_options: Mapping[str, Any] = field(default_factory=dict)
    license_note: str = ""

    def settled(self, options: Options) -> Options:
        """The reader's options: its defaults, overridden by the recipe's.

        Raises:
            cauldron.core.errors.UsageError: an option that the reader does not have.
        """
        unknown = sorted(options.keys() - self.default_options.keys())
        if unknown:
            known = ", ".join(sorted(self.default_options)) or "none"
            hint = did_you_mean(unknown[0], self.default_options)
            raise UsageError(
                f"{self.name} has no option {', '.join(unknown)}; it has: {known}{hint}"
            )
        return {**self.default_options, **options}

    @abc.abstractmethod
    def files(self, repo: Repo, options: Options) -> list[FileInfo]:
        """The files that the corpus is made of, sorted by path; their versions go into the
        fingerprint.

        Raises:
            cauldron.core.errors.SourceUnavailable: nothing of this source is there.
        """

    @abc.abstractmethod
    def pieces(self, root: Root, repo: Repo, options: Options, limit: int = -1) -> list[Piece]:
        """Cut the source into pieces, in an order that depends on the files alone.

        A file that cannot be opened becomes a piece with a `reason`; it raises nothing.

        Args:
            limit: read the first rows of the source, so many in all; -1 for all. The pieces and
                the rows of each follow from the files and the limit alone. Files that are not
                needed for it are not opened. Where a limit of more than `IN_TURN_ROWS` rows is
                divided among pieces, fewer rows may come out, never more.
        """

    @abc.abstractmethod
    def rows(
        self, root: Root, repo: Repo, piece: Piece, options: Options
    ) -> Iterator[Row | BadRow]:
        """The rows of a piece without a `reason`, streamed: memory does not grow with the file.

        Args:
            options: settled.
        """

    def read(
        self, root: Root, repo: Repo, piece: Piece, options: Options
    ) -> Iterator[Row | BadRow]:
        """Read a piece: its rows, or why it has none."""
        if piece.reason:
            return lost_rows(piece)
        return self.rows(root, repo, piece, self.settled(options))

    def extra_files(self, root: Root, options: Options) -> list[FileInfo]:
        """Files outside the repository that the rows depend on (a recipe's image archive)."""
        return []

    def notes(self, repo: Repo, options: Options) -> list[str]:
        """For readers of the manifest, a line each: files that are left unread on purpose, and
        why."""
        return []


def missing_piece(source: str, slot: Missing) -> Piece:
    """The piece that stands for a run of shards which are not there."""
    message = "by the numbers of the shards beside them, some are missing"
    piece = Piece(source, slot.pattern, MISSING, slot.start, slot.stop)
    return piece._replace(reason="missing_shard", message=message)


def lost_rows(piece: Piece) -> Iterator[BadRow]:
    """What a piece with a `reason` yields: one record, or one for each missing shard."""
    if piece.kind == MISSING:
        for name in Missing(piece.file, piece.start, piece.stop).names():
            message = f"there is no {name}"
            yield BadRow(Origin(file=name), piece.reason, message, whole_piece=True)
        return
    rows = max(1, piece.limit)
    yield BadRow(Origin(file=piece.file), piece.reason, piece.message, rows, whole_piece=True)
