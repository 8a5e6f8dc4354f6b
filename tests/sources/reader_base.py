"""The test base that every source must pass.

A test class names its source, writes a few rows in the source's exact published layout, and says
what should come out; the base checks everything that holds for any source.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cauldron.sources.base import BadRow, Piece, Row, Source
from cauldron.sources.catalog import registry
from cauldron.sources.repos.roots import open_root
from PIL import Image

from cauldron.core import reasons
from cauldron.core.errors import SourceUnavailable, UsageError
from tests.doubles.hub import FakeHub

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
TURN = pa.struct([("user", pa.string()), ("assistant", pa.string()), ("source", pa.string())])
HASHES = ("2ce340398c113b79", "37bee7c547e3fc8a", "ab894dd16896d4e3", "0d1f2a3b4c5d6e7f")


class Outcome(NamedTuple):
    """What became of one row: what a test expects, and what `outcome_of` makes of a result."""

    reason: str
    images: tuple[bytes, ...] = ()
    turns: tuple[tuple[str | None, str | None], ...] = ()
    system: str | None = None
    rows: int = 1
    document: tuple[str | None, ...] | None = None
    urls: tuple[tuple[str, str | None], ...] = ()


def kept(
    images: Iterable[bytes],
    turns: Iterable[tuple[str | None, str | None]],
    system: str | None = None,
    rows: int = 1,
) -> Outcome:
    return Outcome("", tuple(images), tuple(turns), system, rows)


def told(
    document: Sequence[str | None],
    images: Iterable[bytes] = (),
    urls: Iterable[str | tuple[str, str | None]] = (),
) -> Outcome:
    """A pre-training document; an image by URL may have its digest beside it."""
    addresses = [(url, None) if isinstance(url, str) else url for url in urls]
    return Outcome("", tuple(images), document=tuple(document), urls=tuple(addresses))


def bad(reason: str, rows: int = 1) -> Outcome:
    return Outcome(reason, rows=rows)


def outcome_of(row: Row | BadRow) -> Outcome:
    if isinstance(row, BadRow):
        return bad(row.reason, row.rows)
    if row.document is not None:
        images = [image.data for image in row.images if not image.url]
        urls = [(image.url, image.sha256) for image in row.images if image.url]
        return told(row.document, images, urls)
    images = [image.data for image in row.images]
    return kept(images, [(t.user, t.assistant) for t in row.turns], row.system, row.rows)


def shows(row: Row | BadRow, file: str) -> bool:
    """Whether a row shows an image that is a file of the repository."""
    images = row.images if isinstance(row, Row) else []
    return Path(file).name in {Path(image.path).name for image in images}


def must_be_noticed(path: str, damage: str) -> bool:
    """Whether a reader can tell that a file is damaged.

    Lines of JSON have no end mark, so what is left may be whole. Readers do not decode images.
    """
    if path.endswith((".jpg", ".png")):
        return damage == "emptied"
    return damage != "without its end" or path.endswith((".parquet", ".zip"))


def picture(
    name: str, kind: str = "PNG", size: tuple[int, int] = (24, 16), mode: str = "RGB"
) -> bytes:
    """An encoded image whose content depends on `name` alone."""
    noise = hashlib.shake_256(name.encode()).digest(size[0] * size[1] * 3)
    image = Image.frombytes("RGB", size, noise).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def write_parquet(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    schema: pa.Schema,
    rows_per_group: int = 2,
    **options: Any,
) -> None:
    """A parquet file as `datasets` writes it: snappy, small row groups."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=schema)
    pq.write_table(
        table, path, row_group_size=rows_per_group, **{"compression": "snappy"} | options
    )


def read_all(
    root_path: Path, source: Source, options: Mapping[str, Any], limit: int = -1
) -> list[Row | BadRow]:
    """Plan and read as a build does: pieces travel, and a worker finds the repository anew."""
    root = open_root(str(root_path))
    planned = source.pieces(root, root.repo(source.repo), options, limit)
    return [row for piece in planned for row in read_piece(root_path, source, options, piece)]


def read_piece(
    root_path: Path, source: Source, options: Mapping[str, Any], piece: Piece
) -> list[Row | BadRow]:
    root = open_root(str(root_path))
    repo = root.repo_at(source.repo, None)
    return list(source.read(root, repo, pickle.loads(pickle.dumps(piece)), options))


class ReaderTests:
    """What holds for every source.

    Attributes:
        name: of the source.
        options: a recipe's options for the reader.
        published: the paths in the repository that `files` should list, sorted.
        unordered: rows do not come in file order (a join, a merge).
    """

    name: ClassVar[str]
    options: ClassVar[dict[str, Any]] = {}
    published: ClassVar[list[str]]
    unordered: ClassVar[bool] = False

    def publish(self, folder: Path, root: Path) -> None:
        """Write the source's layout: `folder` is ROOT/<org>/<name>, `root` is ROOT."""
        raise NotImplementedError

    def expected(self) -> list[Outcome]:
        """What comes out of the published rows, in file order."""
        raise NotImplementedError

    def survivors(self, rows: list[Row | BadRow], victim: str) -> list[Row | BadRow]:
        """Of the rows of an undamaged source, those that must not change when a file is damaged.

        By default those that are neither in that file nor show it. Override it if a file has
        something that other rows need, such as a zip of images.
        """
        return [row for row in rows if victim != row.origin.file and not shows(row, victim)]

    @property
    def source(self) -> Source:
        return registry()[self.name]

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        root = tmp_path / "root"
        folder = root / self.source.repo
        folder.mkdir(parents=True)
        self.publish(folder, root)
        return root

    def read(self, root: Path, limit: int = -1) -> list[Row | BadRow]:
        return read_all(root, self.source, self.options, limit)

    def plan(self, root: Path, limit: int = -1) -> list[Piece]:
        opened = open_root(str(root))
        return self.source.pieces(opened, opened.repo(self.source.repo), self.options, limit)

    def test_says_what_it_is(self) -> None:
        source = self.source
        assert source.title
        assert source.license
        assert source.published_rows
        assert source.repo.count("/") == 1

    def test_yields_exactly_what_was_published(self, root: Path) -> None:
        found = [outcome_of(row) for row in self.read(root)]
        expected = self.expected()
        if self.unordered:
            found, expected = sorted(found, key=repr), sorted(expected, key=repr)
        assert found == expected

    def test_every_reason_is_listed(self, root: Path) -> None:
        for row in self.read(root):
            if isinstance(row, BadRow):
                assert reasons.outcome_of(row.reason)
                assert row.message
                assert len(row.message) < 1000

    def test_every_turn_carries_the_source(self, root: Path) -> None:
        rows = [row for row in self.read(root) if isinstance(row, Row)]
        sources = {turn.source for row in rows for turn in row.turns}
        assert sources == {self.name} or all(row.document is not None for row in rows)

    def test_documents_have_a_place_for_each_image_and_no_turns(self, root: Path) -> None:
        for row in self.read(root):
            if isinstance(row, Row) and row.document is not None:
                assert row.document.count(None) == len(row.images)
                assert not row.turns
                usable = [image for image in row.images if image.problem is None]
                assert all(bool(image.data) != bool(image.url) for image in usable)
                assert {bool(image.url) for image in usable} <= {self.source.by_url}

    def test_origins_are_unique(self, root: Path) -> None:
        origins = [row.origin for row in self.read(root)]
        places = {(origin.file, origin.row_group, origin.row) for origin in origins}
        assert len(places) == len(origins)

    def test_pieces_are_deterministic_and_picklable(self, root: Path) -> None:
        pieces = self.plan(root)
        assert pieces == self.plan(root)
        assert pickle.loads(pickle.dumps(pieces)) == pieces
        assert {piece.source for piece in pieces} == {self.name}
        assert len(set(pieces)) == len(pieces)

    def test_reading_a_piece_twice_gives_the_same(self, root: Path) -> None:
        for piece in self.plan(root):
            first = read_piece(root, self.source, self.options, piece)
            assert read_piece(root, self.source, self.options, piece) == first

    def test_smaller_pieces_give_the_same_rows(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = self.read(root)
        for name, module in list(sys.modules.items()):
            if name.startswith("cauldron.sources.") and hasattr(module, "PIECE_BYTES"):
                monkeypatch.setattr(module, "PIECE_BYTES", 200)
        small = self.read(root)
        if self.unordered:
            whole, small = sorted(whole, key=repr), sorted(small, key=repr)
        assert small == whole

    @pytest.mark.parametrize("limit", [0, 1, 2, 3, 5, 1000])
    def test_a_limit_takes_the_first_rows(self, root: Path, limit: int) -> None:
        everything = self.read(root)
        total = sum(row.rows for row in everything)
        limited = self.read(root, limit)
        assert sum(row.rows for row in limited) == min(limit, total)
        if not self.unordered:
            assert limited == everything[: len(limited)]

    def test_an_unknown_option_is_told(self, root: Path) -> None:
        opened = open_root(str(root))
        repo = opened.repo(self.source.repo)
        with pytest.raises(UsageError, match="no_such_option"):
            self.source.pieces(opened, repo, {"no_such_option": 1})

    def test_lists_the_files_that_matter(self, root: Path) -> None:
        repo = open_root(str(root)).repo(self.source.repo)
        files = self.source.files(repo, self.options)
        assert [file.path for file in files] == self.published
        assert self.source.notes(repo, self.options) == []
        changed = root / self.source.repo / files[0].path
        changed.write_bytes(changed.read_bytes() + b" ")
        assert self.source.files(repo, self.options)[0] != files[0]

    def test_nothing_there_is_unavailable(self, root: Path) -> None:
        repo = open_root(str(root)).repo(self.source.repo)
        for path in self.published:
            (root / self.source.repo / path).unlink()
        with pytest.raises(SourceUnavailable, match=self.source.repo):
            self.source.files(repo, self.options)

    def test_the_hub_gives_the_same_rows(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        below = {
            k: str(root / v) if isinstance(v, str) and (root / v).exists() else v
            for k, v in {**self.source.default_options, **self.options}.items()
        }
        with FakeHub(root) as hub:
            hub.use(monkeypatch, token="a token")
            opened = open_root(None)
            repo = opened.repo(self.source.repo)
            planned = self.source.pieces(opened, repo, below)
            worker = open_root(opened.url).repo_at(repo.id, repo.commit)
            found = [row for p in planned for row in self.source.read(opened, worker, p, below)]
        assert [outcome_of(row) for row in found] == [outcome_of(row) for row in self.read(root)]

    @pytest.mark.parametrize("damage", ["emptied", "cut in half", "without its end"])
    def test_a_damaged_file_costs_nothing_else(self, root: Path, damage: str) -> None:
        before = self.read(root)
        for path in self.published:
            victim = root / self.source.repo / path
            whole = victim.read_bytes()
            length = {"emptied": 0, "cut in half": len(whole) // 2}.get(damage, len(whole) - 1)
            victim.write_bytes(whole[:length])
            after = self.read(root)
            if must_be_noticed(path, damage):
                assert [row for row in after if isinstance(row, BadRow) and row not in before], path
            for row in self.survivors(before, path):
                assert row in after, path
            for row in after:
                assert not isinstance(row, BadRow) or reasons.outcome_of(row.reason)
            victim.write_bytes(whole)
