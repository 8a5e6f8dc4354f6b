"""RenderedText: text rendered on paper by Blender, the full set (Chris Wendler, LAION).

Where: ``wendlerc/RenderedText``, WebDataset, ``<six digits>.tar`` at the root and in
``remaining/``. Licence: none stated; the page was asked for one in 2024. Size: about 12 million
images; no total of bytes is published, the catalogue's 12.7 TB are an estimate by 5 GB for 4,700
rows in the hub's partial conversion.

A sample is ``<key>.png``, 1024 x 1024 pixels, and ``<key>.json`` with ``ocr_annotation: {text:
[line], …}``. It becomes the document [image, lines], one line under the other, as the authors of
Idefics2 and 3 read it. The Cauldron's ``rendered_text`` is 10,000 of these rows as questions and
answers; the paper's mixture had 999,000. `max_bad_fraction` and `--limit` count images.

Quirks handled here:

- A line that is null or no text is left out; an image without any line is ``empty_document``.
- A sample without its image is ``missing_image``, one without a usable annotation is ``bad_row`` or
  ``bad_json``. A tar that is cut off is told once; what stands before the cut is read.
- The image is a PNG; copies with JPEG or WebP are read too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from cauldron.sources.base import BadRow, Options, RawImage, Row
from cauldron.sources.formats.archives import Member
from cauldron.sources.formats.tar_source import TarSource
from cauldron.sources.formats.webdataset import TarSample
from cauldron.sources.values.conversations import text_of
from cauldron.sources.values.documents import described
from cauldron.sources.values.rows import RowProblem

from cauldron.core.schema import Origin

_IMAGES = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class RenderedText(TarSource):
    """RenderedText, a document an image; takes no options."""

    max_member_bytes: ClassVar[int] = 64 * 1024 * 1024
    suffixes: ClassVar[tuple[str, ...]] = (".json", *_IMAGES)

    def sample_rows(
        self, sample: TarSample, origin: Origin, options: Options
    ) -> Iterator[Row | BadRow]:
        place = origin.model_copy(update={"key": sample.name})
        image, annotation = _image(sample), sample.find(".json")
        if sample.error is not None and not (image and annotation):
            return  # cut in two: the record of the tar stands for it
        try:
            picture = _picture(image, sample.name)
            yield described(place, picture, _lines(annotation, sample.name), "annotation")
        except RowProblem as problem:
            yield problem.bad_row(place)


def _image(sample: TarSample) -> Member | None:
    found = (sample.find(suffix) for suffix in _IMAGES)
    return next((member for member in found if member is not None), None)


def _picture(member: Member | None, name: str) -> RawImage:
    if member is None:
        raise RowProblem("missing_image", f"the tar has no image {name}")
    if member.error is not None:
        raise member.error
    if not member.data:
        raise RowProblem("missing_image", f"{member.name} is empty")
    return RawImage(member.data, member.name)


def _lines(member: Member | None, name: str) -> str:
    """The lines of an image. Raises RowProblem (``bad_row``, ``bad_json``)."""
    if member is None:
        raise RowProblem("bad_row", f"the tar has no {name}.json")
    if member.error is not None:
        raise member.error
    try:
        published: Any = json.loads(member.data)
    except (ValueError, RecursionError) as error:
        raise RowProblem("bad_json", f"{member.name} is not JSON ({str(error)[:200]})") from error
    found = published.get("ocr_annotation") if isinstance(published, dict) else None
    lines = found.get("text") if isinstance(found, dict) else None
    if not isinstance(lines, list):
        raise RowProblem("bad_row", f"{member.name} has no list ocr_annotation.text")
    return "\n".join(text_of(line) or "" for line in lines if isinstance(line, str))


SOURCE = RenderedText(
    name="rendered_text_full",
    repo="wendlerc/RenderedText",
    title="RenderedText: text rendered on paper, the full set",
    license="unknown",
    license_note="the dataset's page states none",
    published_rows=12_000_000,
    published_bytes=12_700_000_000_000,
)
