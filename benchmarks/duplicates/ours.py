"""The project's own way from bytes to clusters, step by step in one process, without Beam.

Every step is the function that its Beam job calls, on the files that the jobs write: signatures
at ingest, unique pictures, the Hamming join, pixels read again from a pack, components, one
representative each. What is missing is a row's text, and the shuffles.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory

import numpy as np
from cauldron.sources.base import RawImage
from cauldron.transforms.arrays import Array, read_array, split_by
from cauldron.transforms.matching.arrays import BENCHMARK_PICTURE
from cauldron.transforms.matching.cluster.components import label
from cauldron.transforms.matching.cluster.members import (
    as_compared,
    read_compared,
    read_edges,
    read_members,
)
from cauldron.transforms.matching.cluster.representatives import (
    COMPARED,
    FOLLOWER,
    PASSES,
    REPRESENTATIVE,
    advance,
)
from cauldron.transforms.matching.compare import PictureComparer, batches
from cauldron.transforms.matching.compare.pipeline import write_verdicts
from cauldron.transforms.matching.join.crowds import prepare_range
from cauldron.transforms.matching.join.pipeline import distinct_pairs, join_key
from cauldron.transforms.matching.join.plan import plan_blocks
from cauldron.transforms.matching.pictures import write_range
from cauldron.transforms.matching.records import (
    OCCURRENCE,
    OTHER_RENDERING,
    PICTURE,
    SAME,
    VERDICT,
    MatchJob,
    MatchSource,
)
from cauldron.transforms.order import id_halves
from cauldron.transforms.parts import PartNames
from cauldron.transforms.pictures.prepare import prepare_image

from benchmarks.duplicates.measure import Found, Pairs, as_pairs, within
from cauldron.core import storage
from cauldron.core.sections.rules import DuplicateRules, ImageRules


@dataclass(frozen=True)
class Run:
    """What was found, and the core-seconds that each step took.

    Attributes:
        rerendered: pairs that are the same page in another rendering; not in clusters.
    """

    found: Found
    seconds: dict[str, float]
    rerendered: Pairs


def find(datas: Sequence[bytes]) -> Run:
    """Match pictures with the default rules; results are pairs of their places in `datas`."""
    seconds: dict[str, float] = {}
    with TemporaryDirectory(prefix="matching-") as folder:
        job = _job(folder)
        with _timed("signatures", seconds):
            occurrences = _ingest(datas, job)
            write_range(0, [occurrences.tobytes()], job)
        with _timed("join", seconds):
            pairs = _join(job)
        with _timed("verify", seconds):
            comparer = PictureComparer(job)
            verdicts = _verdicts_on(pairs, comparer)
            write_verdicts(0, [(True, verdicts.tobytes())], job)
        with _timed("clusters", seconds):
            clusters, asked = _clusters(job, comparer)
        pictures = read_array(job.pictures(0), PICTURE)
    of_picture = _places(occurrences, pictures)
    both = np.concatenate([verdicts, asked])
    same, rerendered = (both[both["same"] == one] for one in (SAME, OTHER_RENDERING))
    found = Found(
        _expanded([verdicts, asked], of_picture),
        _expanded([same], of_picture),
        within([n for number in cluster for n in of_picture[number]] for cluster in clusters),
    )
    return Run(found, seconds, _expanded([rerendered], of_picture))


def _job(folder: str) -> MatchJob:
    rules = DuplicateRules()
    return MatchJob(
        sources=(MatchSource("labelled", storage.join(folder, "corpus"), 1),),
        folder=storage.join(folder, "match"),
        ranges=1,
        radius=rules.radius,
        radius256=rules.radius256,
        aspect=rules.aspect,
        neighbours=rules.neighbours,
    )


@contextmanager
def _timed(step: str, seconds: dict[str, float]) -> Iterator[None]:
    start = time.process_time()
    yield
    seconds[step] = time.process_time() - start


def _ingest(datas: Sequence[bytes], job: MatchJob) -> Array:
    """Check and sign every picture and put it into the record file; `row` is its place."""
    rules, offset = ImageRules(), 0
    records = np.zeros(len(datas), dtype=OCCURRENCE)
    corpus = job.sources[0].corpus
    path = storage.join(corpus, PartNames(corpus, "", 0, 1).record_file)
    with storage.atomic_write(path) as record_file:
        for number, data in enumerate(datas):
            stored = prepare_image(RawImage(data), rules)
            info, signature, record = stored.info, stored.signature, records[number]
            record["key_high"], record["key_low"] = id_halves(
                [signature.pixels or info.sha256[:32]]
            )[0]
            record["row"], record["images"], record["id_low"] = number, 1, number
            record["phash"] = info.phash
            record["phash256"] = np.frombuffer(signature.phash256, dtype="<u8")
            record["ground"] = signature.ground
            record["width"], record["height"] = info.width, info.height
            content = signature.content
            if content is not None:
                for name in ("left", "top", "width", "height", "phash"):
                    record[f"content_{name}"] = getattr(content, name)
                record["content_phash256"] = np.frombuffer(content.phash256, dtype="<u8")
            record["offset"], record["length"] = offset, len(stored.data)
            record_file.write(stored.data)
            offset += len(stored.data)
    return records


def _join(job: MatchJob) -> Array:
    left = prepare_range(0, job, within_crowds=True)
    plan = plan_blocks(len(left.records), job.radius)
    found = [left.pairs]
    for sent in plan.assign(left.records["phash"]):
        for key, records in split_by(left.records[sent.rows], sent.keys):
            found.append(join_key(key, [records], plan, job)[0])
    return distinct_pairs(np.concatenate(found))


def _verdicts_on(pairs: Array, comparer: PictureComparer) -> Array:
    pieces = (comparer.compare(batch) for batch in batches(pairs))
    return np.concatenate([np.zeros(0, dtype=VERDICT), *pieces])


def _clusters(job: MatchJob, comparer: PictureComparer) -> tuple[list[list[int]], Array]:
    """Numbers of the pictures in each cluster, alone ones too; and the verdicts asked for late."""
    pictures = len(read_array(job.pictures(0), PICTURE))
    labels = label(read_edges(0, job, np.zeros(0, dtype=BENCHMARK_PICTURE)))
    members = read_members(labels, 0, job)
    pieces = [np.zeros(0, dtype=COMPARED), *(c for _, c in read_compared(labels, 0, job))]
    compared, late = np.concatenate(pieces), [np.zeros(0, dtype=VERDICT)]
    lead: dict[int, tuple[int, ...]] = {number: (number,) for number in range(pictures)}
    for left in reversed(range(PASSES)):
        done = advance(members, compared, job, last=not left)
        for one in done.settled[np.isin(done.settled["place"], (REPRESENTATIVE, FOLLOWER))]:
            lead[int(one["number"])] = (int(one["key_high"]), int(one["key_low"]))
        late.append(_verdicts_on(done.missing, comparer))
        members = done.members
        compared = np.concatenate([done.compared, as_compared(late[-1], job)])
    groups: dict[tuple[int, ...], list[int]] = {}
    for number, key in lead.items():
        groups.setdefault(key, []).append(number)
    return list(groups.values()), np.concatenate(late)


def _places(occurrences: Array, pictures: Array) -> list[list[int]]:
    """For each picture the images that show it, as places in what was given."""
    keys = {
        (int(high), int(low)): number
        for number, (high, low) in enumerate(pictures[["key_high", "key_low"]])
    }
    places: list[list[int]] = [[] for _ in range(len(pictures))]
    for number, (high, low) in enumerate(occurrences[["key_high", "key_low"]]):
        places[keys[int(high), int(low)]].append(number)
    return places


def _expanded(pieces: Sequence[Array], of_picture: Sequence[Sequence[int]]) -> Pairs:
    """Pairs of pictures as pairs of images; images of one picture are a pair already."""
    pairs = [pair for group in of_picture for pair in within([group]).tolist()]
    for verdicts in pieces:
        for first, second in zip(
            verdicts["first"].tolist(), verdicts["second"].tolist(), strict=True
        ):
            pairs += [(a, b) for a in of_picture[first] for b in of_picture[second]]
    return as_pairs(pairs)
