"""The two Beam jobs of ratings: ask every question once, then write the tables.

`AskForRatings` gives every question to one part: of the parts that ask it, the first. So equal
turns of several parts are paid for once. Only keys cross the shuffle, 24 bytes for a question;
texts are read again and images fetched by range where the question is asked. `WriteRatings` then
finds the answers in the store, and its files depend on nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from cauldron.transforms.arrays import Array, from_bytes, range_of, split_by, starts
from cauldron.transforms.models.ask import Outcome, ask_all
from cauldron.transforms.models.budget import Limits
from cauldron.transforms.models.endpoint import Endpoint
from cauldron.transforms.models.questions import Answer, Failure
from cauldron.transforms.ratings.prompts import NOT_A_RATING, parse_rating
from cauldron.transforms.ratings.turns import RatedTurn, rated_turns

from cauldron.core import storage
from cauldron.core.output.markers import marker_path
from cauldron.core.schema import RATING_SCHEMA
from cauldron.core.sections.models import ModelRules
from cauldron.core.sections.ratings import SCALES, TEXT_SCALES, VISION_SCALES, Scale

_RANGES = 64
_ROW_GROUP_ROWS = 65_536

# A question: its key, and its place as number of the part in the job and of the question in it.
_ASKED = np.dtype([("high", "<u8"), ("low", "<u8"), ("part", "<u4"), ("number", "<u4")])
_Keyed = tuple[int, bytes]


class RatePart(NamedTuple):
    """A corpus part to rate.

    Attributes:
        number: of the part among all of the job.
        corpus: the corpus's folder; `parquet` is the file in it.
        ratings: the folder that its ratings go to.
    """

    number: int
    source: str
    corpus: str
    parquet: str
    ratings: str
    part: int
    parts: int

    @property
    def marker(self) -> str:
        return marker_path(self.ratings, "part", self.part, self.parts)


@dataclass(frozen=True)
class RateJob:
    """The settings that workers need.

    Attributes:
        text, vision: the endpoints of the scales; None: these are not rated.
        answers: the folder of the store.
        share: of the rows of each source, 0 to 1.
    """

    text: Endpoint | None
    vision: Endpoint | None
    answers: str
    limits: Limits
    share: float = 1.0

    def endpoint(self, scale: Scale) -> Endpoint | None:
        return self.text if scale in TEXT_SCALES else self.vision

    @property
    def scales(self) -> list[Scale]:
        return [scale for scale in SCALES if self.endpoint(scale) is not None]

    def turns(self, part: RatePart) -> Iterator[RatedTurn]:
        return rated_turns(part.corpus, part.parquet, self.scales, self.share)

    def model(self, scale: Scale) -> ModelRules:
        endpoint = self.endpoint(scale)
        assert endpoint is not None
        return endpoint.model


def ask_part(job: RateJob, part: RatePart, own: Container[int] | None) -> dict[int, Outcome]:
    """The outcomes of a part's questions, by their numbers.

    Args:
        own: the numbers of those to ask; None: all.
    """
    outcomes: dict[int, Outcome] = {}
    for endpoint, scales in ((job.text, TEXT_SCALES), (job.vision, VISION_SCALES)):
        if endpoint is None:
            continue
        questions = (
            turn.question
            for turn in job.turns(part)
            if turn.scale in scales and (own is None or turn.number in own)
        )
        for question, outcome in ask_all(questions, endpoint, job.answers, job.limits):
            outcomes[int(question.name)] = outcome
    return outcomes


def keys_of(part: RatePart, job: RateJob) -> Array:
    """`_ASKED` records of a part's questions."""
    keys = [bytes.fromhex(turn.question.key(job.model(turn.scale))) for turn in job.turns(part)]
    asked = np.zeros(len(keys), _ASKED)
    halves = np.frombuffer(b"".join(keys), ">u8").reshape(-1, 2)
    asked["high"], asked["low"] = halves[:, 0], halves[:, 1]
    asked["part"], asked["number"] = part.number, np.arange(len(keys))
    return asked


def owners(pieces: Iterable[bytes]) -> Array:
    """`_ASKED` records, each key once: for the first part that asks it."""
    asked = from_bytes(pieces, _ASKED)
    asked = asked[np.lexsort([asked[name] for name in ("number", "part", "low", "high")])]
    return asked[starts(asked, "high", "low")]


def write_ratings(part: RatePart, job: RateJob) -> str | None:
    """Write the table of a part and its marker; None if a limit left questions open."""
    outcomes = ask_part(job, part, None)
    if any(isinstance(item, Failure) and item.reason == "not_asked" for item in outcomes.values()):
        return None
    rows = [
        _row(part, turn, job.model(turn.scale), outcomes[turn.number]) for turn in job.turns(part)
    ]
    name = f"part-{part.part:05d}-of-{part.parts:05d}.parquet"
    with storage.atomic_write(storage.join(part.ratings, name)) as file:
        table = pa.Table.from_pylist(rows, schema=RATING_SCHEMA)
        pq.write_table(table, file, compression="zstd", row_group_size=_ROW_GROUP_ROWS)
    marker = {"part": part.part, "file": file.entry(name, len(rows)), "counts": _counts(rows)}
    storage.write_json(part.marker, marker)
    return part.marker


def _row(part: RatePart, turn: RatedTurn, model: ModelRules, outcome: Outcome) -> dict[str, Any]:
    answer = outcome if isinstance(outcome, Answer) else None
    rating = None if answer is None else parse_rating(answer.text)
    reason = outcome.reason if isinstance(outcome, Failure) else NOT_A_RATING
    return {
        "source": part.source,
        "id": turn.id,
        "turn": turn.turn,
        "scale": turn.scale,
        "model": model.name,
        "revision": model.revision,
        "rating": rating,
        "reason": None if rating is not None else reason,
        "tokens_in": answer and answer.tokens_in,
        "tokens_out": answer and answer.tokens_out,
    }


def _counts(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What a manifest says of a part: ratings or reasons by scale, rows, tokens."""
    ratings: dict[str, Counter[str]] = {}
    for row in rows:
        said = row["reason"] or str(row["rating"])
        ratings.setdefault(row["scale"], Counter())[said] += 1
    return {
        "ratings": {scale: dict(sorted(counter.items())) for scale, counter in ratings.items()},
        "rows": len({row["id"] for row in rows}),
        "tokens_in": sum(row["tokens_in"] or 0 for row in rows),
        "tokens_out": sum(row["tokens_out"] or 0 for row in rows),
    }


def _keyed(part: RatePart, job: RateJob) -> Iterator[_Keyed]:
    asked = keys_of(part, job)
    yield from split_by(asked, range_of(asked["high"], _RANGES))


def _by_part(group: tuple[int, Iterable[bytes]]) -> Iterator[_Keyed]:
    owned = owners(group[1])
    yield from split_by(owned, owned["part"])


def _ask_own(group: tuple[int, Iterable[bytes]], job: RateJob, parts: Sequence[RatePart]) -> int:
    own = from_bytes(group[1], _ASKED)["number"]
    return len(ask_part(job, parts[group[0]], frozenset(own.tolist())))


class AskForRatings(beam.PTransform):
    """`RatePart` in, the number of questions asked or found for each part out.

    Args:
        parts: all of the job, by number.
    """

    def __init__(self, job: RateJob, parts: Sequence[RatePart]) -> None:
        super().__init__()
        self._job = job
        self._parts = list(parts)

    def expand(self, parts: beam.PCollection[RatePart]) -> beam.PCollection[int]:
        return (
            parts
            | "Spread parts" >> beam.Reshuffle()
            | "Key questions" >> beam.FlatMap(_keyed, self._job).with_output_types(_Keyed)
            | "Group by key" >> beam.GroupByKey()
            | "Give to first part" >> beam.FlatMap(_by_part).with_output_types(_Keyed)
            | "Group by part" >> beam.GroupByKey()
            | "Ask" >> beam.Map(_ask_own, self._job, self._parts)
        )


class WriteRatings(beam.PTransform):
    """`RatePart` in, the paths of the markers of those that are finished out."""

    def __init__(self, job: RateJob) -> None:
        super().__init__()
        self._job = job

    def expand(self, parts: beam.PCollection[RatePart]) -> beam.PCollection[str | None]:
        return (
            parts
            | "Spread parts" >> beam.Reshuffle()
            | "Write ratings" >> beam.Map(write_ratings, self._job)
        )
