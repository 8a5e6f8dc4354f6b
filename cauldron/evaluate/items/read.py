"""The items of a benchmark: pictures, question, choices, answers, as its publisher ships them.

Items are read one at a time, so memory holds one item and a batch of rows, however large the
benchmark is. Pictures are prepared as ingest prepares those that are trained on: checked, turned
by their EXIF orientation, flattened to RGB or L. An item that cannot be asked or scored becomes a
`Refused` with a code of `cauldron.core.reasons`, and the rest is read.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from cauldron.core.errors import UsageError
from cauldron.core.names import did_you_mean
from cauldron.core.schema import Origin
from cauldron.core.sections.rules import ImageRules
from cauldron.evaluate.items.fields import fields_of
from cauldron.evaluate.items.layouts import LAYOUTS
from cauldron.evaluate.items.tables import TableRow, read_tables
from cauldron.sources.base import BadRow
from cauldron.sources.benchmarks import find_place
from cauldron.sources.benchmarks.places import Place
from cauldron.sources.benchmarks.values import find_in, first_text, images_in, text_of
from cauldron.sources.repos.roots import open_root
from cauldron.sources.values.rows import RowProblem
from cauldron.transforms.pictures.opening import ImageProblem
from cauldron.transforms.pictures.prepare import prepare_image

_IMAGE_NUMBER = re.compile(r"<image (\d+)>")


@dataclass(frozen=True)
class Item:
    """One question of a benchmark.

    Attributes:
        benchmark: its name in `BENCHMARKS`.
        id: unique in the benchmark, the publisher's own where there is one.
        images: encoded pictures (JPEG, PNG or WebP; RGB or L), in the publisher's order.
        question: as published, without the choices; may hold ``<image 1>`` (MMMU).
        choices: the texts of the choices, in order of their letters; () for an open question.
        answers: accepted answers. One letter for a question with choices, but the text of the
            choice for MathVista; ten annotators' answers for TextVQA.
        meta: values that scores are told apart by, and what a prompt or a metric needs.
        origin: the row's place, equal to ``benchmark_origin`` of the contamination evidence.
    """

    benchmark: str
    id: str
    images: tuple[bytes, ...]
    question: str
    choices: tuple[str, ...]
    answers: tuple[str, ...]
    meta: Mapping[str, str] = field(default_factory=dict)
    origin: Origin = field(default_factory=lambda: Origin(file=""))


@dataclass(frozen=True)
class Refused:
    """An item that is not scored.

    Attributes:
        reason: a code of `cauldron.core.reasons`.
        rows: how many items are lost; -1 if unknown (a table that cannot be read).
    """

    benchmark: str
    id: str
    reason: str
    message: str
    origin: Origin
    rows: int = 1


def read_items(
    benchmark: str, root: str | None = None, place: str | None = None
) -> Iterator[Item | Refused]:
    """The items of a benchmark, in the order of its files.

    Args:
        benchmark: a name in `BENCHMARKS`.
        root: the hub for None, or a folder or bucket in its layout, ``ROOT/<org>/<name>/…``.
        place: a file, folder or repository to read instead of the published repository.

    Raises:
        UsageError: no such benchmark, or nothing at `place`.
        SourceUnavailable: the repository or the split is not there, or a shard is missing.
    """
    if benchmark not in LAYOUTS:
        raise UsageError(f"no benchmark {benchmark!r}{did_you_mean(benchmark, LAYOUTS)}")
    layout = LAYOUTS[benchmark]
    where = find_place(place or layout.repo, open_root(root))
    seen: Counter[str] = Counter()
    for row in read_tables(benchmark, layout, where):
        found = (
            _refused(benchmark, row) if isinstance(row, BadRow) else _item(benchmark, row, where)
        )
        seen[found.id] += 1
        # An id that comes again is numbered, because predictions are kept by id.
        again = seen[found.id]
        yield found if again == 1 else replace(found, id=f"{found.id}#{again}")


def _item(benchmark: str, row: TableRow, place: Place) -> Item | Refused:
    origin = row.origin.model_copy(update={"key": text_of(row.values.get(row.roles.key))})
    name = origin.key or _place_name(origin)
    try:
        fields = fields_of(benchmark, LAYOUTS[benchmark], row)
        images = _images(row, place)
        texts = "\n".join((fields.question, *fields.choices))
        wanted = [int(number) for number in _IMAGE_NUMBER.findall(texts)]
        if max(wanted, default=0) > len(images):
            message = f"its text names picture {max(wanted)}; there are {len(images)}"
            raise RowProblem("missing_image", message)
    except RowProblem as problem:
        return Refused(benchmark, name, problem.reason, problem.message, origin)
    except ImageProblem as problem:
        return Refused(benchmark, name, problem.reason, str(problem), origin)
    return Item(
        benchmark=benchmark,
        id=name,
        images=images,
        question=fields.question,
        choices=fields.choices,
        answers=fields.answers,
        meta=fields.meta,
        origin=origin,
    )


def _images(row: TableRow, place: Place) -> tuple[bytes, ...]:
    """Raises RowProblem, ImageProblem."""
    find = find_in(place.repo, row.origin.file)
    columns = row.roles.images
    found = [image for name in columns for image in images_in(row.values.get(name), find)]
    if not found:
        raise RowProblem("no_images", "it has no picture")
    return tuple(prepare_image(image, ImageRules()).data for image in found)


def _refused(benchmark: str, row: BadRow) -> Refused:
    name = first_text(row.origin.key, _place_name(row.origin))
    return Refused(benchmark, name, row.reason, row.message, row.origin, row.rows)


def _place_name(origin: Origin) -> str:
    """The name of a row whose publisher gave it none: folder and split, and its number."""
    path = PurePosixPath(origin.file)
    return f"{path.with_suffix('')}" + (f":{origin.row}" if origin.row >= 0 else "")
