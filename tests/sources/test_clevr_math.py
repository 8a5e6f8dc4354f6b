"""CLEVR-Math: questions joined by name to the images of clevr."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
from cauldron.sources.base import BadRow, Row
from cauldron.sources.roots import open_root

from tests.sources.reader_base import (
    Outcome,
    ReaderTests,
    bad,
    kept,
    outcome_of,
    picture,
    write_parquet,
)
from tests.sources.test_the_cauldron import REPO, SAID, SCHEMA, image, row, shard, turn


def clevr_name(number: int) -> str:
    return f"CLEVR_train_{number:06d}.png"


class TestClevrMath(ReaderTests):
    """Joined by name to the images of clevr; clevr has two shards and one name twice."""

    name = "the_cauldron/clevr_math"
    unordered = True
    published: ClassVar = [
        shard("clevr", 0, 2),
        shard("clevr", 1, 2),
        shard("clevr_math", 0, 2),
        shard("clevr_math", 1, 2),
    ]

    def publish(self, folder: Path, root: Path) -> None:
        def solids(numbers: list[int]) -> list[dict[str, Any]]:
            return [row([image(picture(f"clevr {i}"), clevr_name(i))]) for i in numbers]

        def asked(number: int, *turns: Any) -> dict[str, Any]:
            return row([image(None, f"/fsx/x/clevr/images/train/{clevr_name(number)}")], *turns)

        write_parquet(folder / self.published[0], solids([3, 1, 4, 0, 5]), SCHEMA)
        again = row([image(picture("another 1"), clevr_name(1))])
        lost = row([image(None, clevr_name(7))])
        write_parquet(folder / self.published[1], [again, *solids([2, 6]), lost], SCHEMA)
        write_parquet(
            folder / self.published[2],
            [asked(i, turn(f"How many in {i}?", f"{i}.", "CLEVR-Math")) for i in range(4)],
            SCHEMA,
        )
        rest = [
            asked(1, turn("Again 1?", "Yes.")),
            asked(50),
            row([image(picture("own"), clevr_name(0))]),
            {"images": None, "texts": [turn("q", "a")]},
            asked(7),
            {"images": [image(None, clevr_name(2))], "texts": None},
            row([image(None, clevr_name(0)), image(None, clevr_name(1))]),
        ]
        write_parquet(folder / self.published[3], rest, SCHEMA)

    def expected(self) -> list[Outcome]:
        return [
            *(kept([picture(f"clevr {i}")], [(f"How many in {i}?", f"{i}.")]) for i in range(4)),
            kept([picture("clevr 1")], [("Again 1?", "Yes.")]),
            bad("image_not_shipped"),
            kept([picture("own")], [SAID]),
            bad("bad_row"),
            bad("image_not_shipped"),
            bad("bad_row"),
            bad("image_not_shipped"),
        ]

    def survivors(self, rows: list[Row | BadRow], victim: str) -> list[Row | BadRow]:
        if not victim.startswith("clevr/"):
            return super().survivors(rows, victim)
        own = [picture("own")]
        return [r for r in rows if isinstance(r, Row) and [i.data for i in r.images] == own]

    def test_origins_are_those_of_the_questions(self, root: Path) -> None:
        assert {r.origin.file for r in self.read(root)} == set(self.published[2:])

    def test_without_clevr_every_row_is_accounted_for(self, root: Path) -> None:
        for path in self.published[:2]:
            (root / REPO / path).unlink()
        found = self.read(root)
        assert len(found) == 11
        reasons = [outcome_of(r).reason for r in found]
        assert reasons.count("image_not_shipped") == 9
        notes = self.source.notes(open_root(str(root)).repo(REPO), {})
        assert "clevr is not there" in notes[0]

    def test_a_lost_shard_of_clevr_loses_only_its_rows(self, root: Path) -> None:
        (root / REPO / self.published[0]).unlink()
        found = self.read(root)
        assert len(found) == 11
        first = [r for r in found if isinstance(r, Row) and r.turns[0].user == "Again 1?"]
        assert [r.images[0].data for r in first] == [picture("another 1")]

    def test_a_row_group_of_clevr_that_breaks_is_told_by_the_rows(self, root: Path) -> None:
        file = root / REPO / self.published[0]
        data = bytearray(file.read_bytes())
        spot = data.index(picture("clevr 4")[:200])
        # A wrong length in the page's data: 3 and 1 are in the row group before.
        data[spot - 4 : spot] = b"\xff\xff\xff\x7f"
        file.write_bytes(bytes(data))
        found = sorted((outcome_of(r) for r in self.read(root)), key=repr)
        expected = self.expected()
        expected[0] = bad("unreadable_row_group")
        assert found == sorted(expected, key=repr)

    def test_images_of_a_list_spelled_the_old_way_are_found(self, root: Path) -> None:
        file = root / REPO / self.published[0]
        rows = [row([image(picture(f"clevr {i}"), clevr_name(i))]) for i in range(5)]
        write_parquet(file, rows, SCHEMA, use_compliant_nested_type=False)
        found = [outcome_of(r) for r in self.read(root)]
        assert kept([picture("clevr 3")], [("How many in 3?", "3.")]) in found

    def test_images_without_names_join_nothing(self, root: Path) -> None:
        schema = pa.schema([("images", pa.list_(pa.struct([("bytes", pa.binary())])))])
        for path in self.published[:2]:
            write_parquet(root / REPO / path, [{"images": [{"bytes": b"x"}]}], schema)
        assert len(self.read(root)) == 11
