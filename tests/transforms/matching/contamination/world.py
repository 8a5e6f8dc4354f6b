"""A small matching on disk for tests: corpora, benchmarks, and verdicts chosen by the test."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.options.pipeline_options import PipelineOptions
from cauldron.sources.base import RawImage
from cauldron.transforms.arrays import range_of, write_array
from cauldron.transforms.matching.contamination import ContaminationJob, FindContamination
from cauldron.transforms.matching.pictures import group_pictures
from cauldron.transforms.matching.records import OCCURRENCE, VERDICT, MatchJob, MatchSource
from cauldron.transforms.normalise import Kept
from cauldron.transforms.parts import PartNames, PartWriter
from cauldron.transforms.pictures.prepare import prepare_image
from cauldron.transforms.pictures.signatures import Signature

from cauldron.core import storage
from cauldron.core.schema import ImageInfo, Origin, Sample, Turn
from cauldron.core.sections.rules import ImageRules
from tests.transforms.made_pictures import encoded, photograph

RANGES = 3


def make(seed: int, width: int = 64, height: int = 48) -> bytes:
    """A photograph unlike any other seed's."""
    return encoded(photograph(seed, width, height), "JPEG", quality=85)


def row_id(name: str) -> str:
    return hashlib.blake2b(name.encode(), digest_size=16).hexdigest()


@dataclass
class Row:
    """`name` gives its id; a part of a corpus is a list of these."""

    name: str
    images: Sequence[bytes]
    questions: Sequence[str] = ("What is this?",)


@dataclass
class Verdict:
    first: bytes
    second: bytes
    distance: int = 4
    score: float = 0.75
    same: int = True


@dataclass
class Matching:
    """What a test has set up.

    Attributes:
        numbers: of pictures, by their bytes.
    """

    job: MatchJob
    numbers: dict[bytes, int] = field(default_factory=dict)

    def judge(self, *verdicts: Verdict) -> None:
        """Write the verdict files."""
        records = np.zeros(len(verdicts), dtype=VERDICT)
        for record, verdict in zip(records, verdicts, strict=True):
            pair = sorted([self.numbers[verdict.first], self.numbers[verdict.second]])
            record["first"], record["second"] = pair
            record["distance"], record["score"] = verdict.distance, verdict.score
            record["same"] = verdict.same
        records = records[np.lexsort([records["second"], records["first"]])]
        for number in range(self.job.ranges):
            here = records[records["first"] >> np.uint64(32) == number]
            write_array(self.job.verdicts(number), here)


def set_up(
    folder: Path, training: dict[str, list[list[Row]]], benchmarks: dict[str, list[list[Row]]]
) -> Matching:
    """Write the parts of corpora and benchmarks, and their pictures and occurrences."""
    corpora = [(name, parts, False) for name, parts in training.items()]
    corpora += [(name, parts, True) for name, parts in benchmarks.items()]
    sources = tuple(
        MatchSource(name, str(folder / "corpus" / name), len(parts), benchmark)
        for name, parts, benchmark in corpora
    )
    job = MatchJob(sources, str(folder / "matches"), RANGES, 8, 56, 0.035, 32)
    contents: dict[tuple[int, int], bytes] = {}
    images = [
        record
        for source, (_, parts, _) in enumerate(corpora)
        for part, rows in enumerate(parts)
        for record in _write_part(job, source, part, rows, contents)
    ]
    occurrences = np.array(images, dtype=OCCURRENCE)
    matching = Matching(job)
    known = frozenset(n for n, source in enumerate(sources) if source.benchmark)
    for number in range(RANGES):
        here = occurrences[range_of(occurrences["key_high"], RANGES) == number]
        pictures, shown = group_pictures(here, known)
        write_array(job.pictures(number), pictures)
        write_array(job.occurrences(number), shown)
        for index, record in enumerate(pictures):
            data = contents[int(record["key_high"]), int(record["key_low"])]
            matching.numbers[data] = number << 32 | index
    matching.judge()
    return matching


def _write_part(
    job: MatchJob, source: int, part: int, rows: list[Row], contents: dict[tuple[int, int], bytes]
) -> list[np.void]:
    corpus = job.sources[source]
    names = PartNames(corpus.corpus, corpus.corpus + "-quarantine", part, corpus.parts)
    infos: dict[bytes, ImageInfo] = {}
    signatures: dict[bytes, Signature] = {}
    with PartWriter(names, corpus.name) as writer:
        for row in rows:
            for data in row.images:
                if data not in infos:
                    stored = prepare_image(RawImage(data), ImageRules())
                    infos[data], signatures[data] = stored.info, stored.signature
            sample = Sample(
                id=row_id(row.name),
                source=corpus.name,
                system=None,
                turns=tuple(Turn(user=q, assistant="yes", source="x") for q in row.questions),
                images=tuple(infos[data] for data in row.images),
                origin=Origin(file=f"{corpus.name}.parquet", key=row.name),
                license="mit",
                language=None,
            )
            writer.add(Kept(sample, list(row.images), [signatures[d] for d in row.images]), 1)
    table = pq.read_table(storage.join(corpus.corpus, names.parquet))
    records = []
    for number, (row, stored) in enumerate(zip(rows, table.to_pylist(), strict=True)):
        for image, (data, info) in enumerate(zip(row.images, stored["image_info"], strict=True)):
            record = np.zeros(1, dtype=OCCURRENCE)[0]
            digest = info["sha256"]
            record["key_high"], record["key_low"] = int(digest[:16], 16), int(digest[16:32], 16)
            contents[int(record["key_high"]), int(record["key_low"])] = data
            record["id_high"], record["id_low"] = (
                int(stored["id"][:16], 16),
                int(stored["id"][16:], 16),
            )
            record["source"], record["part"], record["row"] = source, part, number
            record["image"], record["images"] = image, len(row.images)
            for name in ("ground", "width", "height", "offset", "length"):
                record[name] = info[name]
            records.append(record)
    return records


def find(
    matching: Matching,
    folder: Path,
    *arguments: str,
    match_text: bool = False,
    files: int = 2,
    ranges: Sequence[int] = range(RANGES),
) -> ContaminationJob:
    """Run the job."""
    job = ContaminationJob(matching.job, str(folder), files, match_text, 13)
    options = PipelineOptions(["--runner=FnApiRunner", *arguments])
    with beam.Pipeline(options=options) as pipeline:
        _ = pipeline | beam.Create(list(ranges)) | FindContamination(job)
    return job


def evidence(job: ContaminationJob) -> list[dict]:
    """All records, files in order."""
    tables = [pq.read_table(job.file(number)) for number in range(job.files)]
    return pa.concat_tables(tables).to_pylist()
