"""A small matching on disk with verdicts chosen by the test, clustered by Beam and plainly."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from cauldron.transforms.arrays import range_of, write_array
from cauldron.transforms.matching.cluster.pipeline import ClusterJob, ClusterPictures
from cauldron.transforms.matching.cluster.representatives import COMPARED, MEMBER
from cauldron.transforms.matching.pictures import group_pictures
from cauldron.transforms.matching.records import OCCURRENCE, VERDICT, MatchJob, MatchSource
from cauldron.transforms.parts import PartNames

from cauldron.core import storage
from cauldron.core.schema import ORIGIN
from tests.transforms.matching.cluster.plain import Judge, Plain

RANGES, FILES = 3, 4


def truth(one: int, other: int) -> bool:
    return (one * 31 + other * 17) % 3 == 0


def make_judge(job: MatchJob) -> Judge:
    return Judge(truth)


@dataclass
class World:
    """Pictures by key, and the images that show them. Sources are in another order than names."""

    job: MatchJob
    keys: np.ndarray
    occurrences: np.ndarray
    numbers: dict[int, int] = field(default_factory=dict)
    verdicts: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=VERDICT))

    def judge(self, *pairs: tuple[int, int, bool]) -> None:
        """Write the verdict files; pictures are named by their place in `keys`."""
        found = {frozenset(pair[:2]): pair[2] for pair in pairs if pair[0] != pair[1]}
        records = np.zeros(len(found), dtype=VERDICT)
        for record, (pair, same) in zip(records, found.items(), strict=True):
            numbers = sorted(self.numbers[int(self.keys[place])] for place in pair)
            record["first"], record["second"] = numbers
            record["distance"], record["score"] = sum(numbers) % 9, 1 / (1 + sum(numbers) % 7)
            record["same"] = same
        self.verdicts = records[np.lexsort([records["second"], records["first"]])]
        for number in range(RANGES):
            here = self.verdicts["first"] >> np.uint64(32) == number
            write_array(self.job.verdicts(number), self.verdicts[here])


def make_world(
    folder: Path,
    pictures: int,
    images: list[tuple[int, int, int, int, int]],
    pixels: list[bytes] | None = None,
) -> World:
    """Corpora as far as clustering reads them.

    Args:
        images: (picture, source, part, row, image); rows are named by their place.
        pixels: of the pictures, which then get smaller from the first on.
    """
    sources = tuple(
        MatchSource(name, str(folder / name), 2, name == "mmmu") for name in ("vqa", "docs", "mmmu")
    )
    job = MatchJob(sources, str(folder / "matches"), RANGES, 8, 56, 0.035, 32)
    random = np.random.default_rng(pictures)
    keys = np.unique(random.integers(0, 1 << 63, pictures, dtype=np.uint64)) * np.uint64(2)
    keys = random.permutation(keys)
    shown = np.zeros(pictures, dtype=OCCURRENCE)
    shown["key_high"], shown["key_low"] = keys, keys ^ np.uint64(99)
    shown["phash"] = random.integers(0, 1 << 6, pictures)
    shown["width"], shown["height"] = random.integers(30, 33, (2, pictures))
    if pixels:
        shown["width"] = shown["height"] = np.arange(1000, 1000 - pictures, -1)
        shown["length"] = [len(data) for data in pixels]
        shown["offset"] = np.cumsum(shown["length"]) - shown["length"]
    occurrences = shown[[image[0] for image in images]]
    for record, (_, source, part, row, image) in zip(occurrences, images, strict=True):
        record["source"], record["part"], record["row"], record["image"] = source, part, row, image
        # Ids in another order than rows.
        record["id_high"], record["id_low"] = row * 7919 % 101, source << 32 | part << 16 | row
    world = World(job, keys, occurrences)
    for number in range(RANGES):
        here = occurrences[range_of(occurrences["key_high"], RANGES) == number]
        found, rows = group_pictures(here, frozenset([2]))
        write_array(job.pictures(number), found)
        write_array(job.occurrences(number), rows)
        for index, key in enumerate(found["key_high"]):
            world.numbers[int(key)] = number << 32 | index
    for source, part in {(source, part) for _, source, part, _, _ in images}:
        if pixels:
            pack = PartNames("", "", part, 2).record_file
            storage.write_bytes(storage.join(job.sources[source].corpus, pack), b"".join(pixels))
        write_origins(job, source, part, 1 + max(i[3] for i in images if i[1:3] == (source, part)))
    world.judge()
    return world


def origin(job: MatchJob, source: int, part: int, row: int) -> dict:
    name = job.sources[source].name
    return {"file": f"{name}-{part}.parquet", "row_group": part, "row": row, "key": f"k{row}"}


def write_origins(job: MatchJob, source: int, part: int, rows: int) -> None:
    known = job.sources[source]
    path = storage.join(known.corpus, PartNames(known.corpus, "", part, known.parts).parquet)
    values = [origin(job, source, part, row) for row in range(rows)]
    with storage.atomic_write(path) as file:
        pq.write_table(pa.table({"origin": pa.array(values, ORIGIN)}), file)


def cluster(world: World, folder: Path, *arguments: str, ranges=range(RANGES)) -> ClusterJob:
    job = ClusterJob(world.job, str(folder), FILES)
    options = PipelineOptions(["--runner=FnApiRunner", *arguments])
    with beam.Pipeline(options=options) as pipeline:
        _ = pipeline | beam.Create(list(ranges)) | ClusterPictures(job, make_judge)
    return job


def rows_of(job: ClusterJob) -> list[dict]:
    return pa.concat_tables([pq.read_table(job.file(n)) for n in range(job.files)]).to_pylist()


def markers(job: ClusterJob) -> list[dict]:
    return [storage.read_json(job.marker(number)) for number in range(job.files)]


def folder_bytes(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def plainly(world: World) -> tuple[list[tuple], Plain]:
    """Rows of all clusters, and the guard's search, from the world itself."""
    shown: dict[int, list[np.void]] = {}
    for record in world.occurrences:
        if not world.job.sources[record["source"]].benchmark:
            shown.setdefault(world.numbers[int(record["key_high"])], []).append(record)

    def rank(record: np.void) -> tuple:
        return tuple(int(record[name]) for name in ("source", "id_high", "id_low", "image"))

    members = np.zeros(len(shown), dtype=MEMBER)
    for member, (number, records) in zip(members, shown.items(), strict=True):
        best = min(records, key=rank)
        member["number"] = number
        for name in ("key_high", "key_low", "phash", "source", "id_high", "id_low", "image"):
            member[name] = best[name]
        member["pixels"] = int(best["width"]) * int(best["height"])
        member["aspect"] = round(1000 * np.log2(best["width"] / best["height"]))
    plain = Plain(members, world.verdicts[list(COMPARED.names)], truth)
    rows = []
    for number, records in shown.items():
        lead, distance, score = plain.lead.get(number, (number, 0, 1.0))
        if number not in plain.lead and len(records) < 2:
            continue
        for record in records:
            source, part, row = (int(record[name]) for name in ("source", "part", "row"))
            rows.append(
                (
                    "{:016x}{:016x}".format(*(shown[lead][0][f"key_{h}"] for h in ("high", "low"))),
                    lead != number or record is not min(records, key=rank),
                    world.job.sources[source].name,
                    f"{record['id_high']:016x}{record['id_low']:016x}",
                    int(record["image"]),
                    origin(world.job, source, part, row),
                    distance,
                    pytest.approx(score),
                )
            )
    return sorted(rows, key=lambda row: row[:5]), plain
