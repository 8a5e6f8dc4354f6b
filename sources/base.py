"""What a source is: it knows its files, cuts them into pieces, and reads a piece row by row.

A reader yields rows as published (`Row`), or says why one cannot be read (`BadRow`). It neither
cleans text nor touches pixels: that is `transforms`' work. Readers know no Beam; a piece is small
and made of plain values, so that any runner can carry it to another machine.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cauldron.sources.files import FileInfo, Repo, Root

from cauldron.core.schema import Origin

# A piece is about this much of a published file, compressed: large enough that opening it costs
# nothing against reading it, small enough that a hundred workers have work on a 10 GB set.
PIECE_BYTES = 64 * 1024 * 1024

Options = Mapping[str, Any]


class Piece(NamedTuple):
    """A part of a source that one worker reads from start to end.

    Attributes:
        source: the source's name.
        file: path inside the repository.
        kind: what the reader should do with it; readers define their own words.
        start, stop: first and one past the last row group, byte or member; 0, -1 for all.
        size: bytes that will be read, for balancing.
        limit: read at most this many rows, -1 for all. With a `reason`: how many rows the file
            holds, -1 where nobody can tell.
        reason, message: set where planning found that the file cannot be read at all; the piece
            then yields one `BadRow` that says so.
        detail: what else the reader must know, in its own words.
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
        digest: SHA-256 hex that stands for the content where `data` was made here (a rendered
            PDF page); None: the bytes speak for themselves.
    """

    data: bytes
    path: str = ""
    digest: str | None = None


@dataclass(slots=True)
class Row:
    """One row as published, or several that the reader merged into one conversation.

    Attributes:
        rows: how many published rows stand behind it; those above one count as merged,
            reason ``same_image``.
    """

    origin: Origin
    images: list[RawImage]
    turns: list[RawTurn]
    system: str | None = None
    rows: int = 1


@dataclass(slots=True)
class BadRow:
    """A row that cannot be used, with a code from `cauldron.core.reasons`."""

    origin: Origin
    reason: str
    message: str
    rows: int = 1


@dataclass(frozen=True)
class Source(abc.ABC):
    """A dataset as its publisher ships it.

    Attributes:
        name: how recipes and rows call it, e.g. ``the_cauldron/vqav2``.
        repo: ``<org>/<name>`` on the hub, and the folder under a local root.
        title: for people.
        license: SPDX id where there is one.
        published_rows: rows at the publisher, None when unknown.
        published_bytes: bytes to download, None when unknown; an estimate where marked so in the
            reader's docstring.
        gated: the hub asks for accepted terms and a token.
        ships_images: False where pixels lie elsewhere; None for text-only sets.
        dialogue: turns build on each other, so their order must stay.
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
    default_options: Mapping[str, Any] = field(default_factory=dict)

    @abc.abstractmethod
    def files(self, repo: Repo, options: Options) -> list[FileInfo]:
        """The files whose content makes the corpus, sorted by path; their versions go into the
        fingerprint.

        Raises:
            cauldron.core.errors.SourceUnavailable: nothing of this source is there.
        """

    @abc.abstractmethod
    def pieces(self, root: Root, repo: Repo, options: Options, limit: int = -1) -> list[Piece]:
        """Cut the source into pieces, in an order that depends on the files alone.

        A file that cannot be opened becomes a piece with a `reason`; nothing raises for it.

        Args:
            limit: read about this many rows of the source in all and no more; -1 for all.
        """

    @abc.abstractmethod
    def read(
        self, root: Root, repo: Repo, piece: Piece, options: Options
    ) -> Iterator[Row | BadRow]:
        """Read a piece, streaming: memory does not grow with the size of the file."""

    def extra_files(self, root: Root, options: Options) -> list[FileInfo]:
        """Files outside the repository that the rows depend on (a recipe's image archive)."""
        return []

    def notes(self, repo: Repo, options: Options) -> list[str]:
        """What a reader of the manifest should know about the files found, a line each: files
        that were left unread on purpose, and why."""
        return []


_REGISTRY: dict[str, Source] = {}


def register(source: Source) -> Source:
    """Add a source to the registry. Raises ValueError for a name taken already."""
    if source.name in _REGISTRY:
        raise ValueError(f"source {source.name!r} is registered twice")
    _REGISTRY[source.name] = source
    return source


def registry() -> Mapping[str, Source]:
    """Every known source by name, in the order of registration."""
    from cauldron.sources import catalog  # noqa: F401 - importing the readers registers them

    return _REGISTRY
