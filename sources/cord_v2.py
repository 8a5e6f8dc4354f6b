"""CORD v2: photographs of Indonesian receipts, to be read into JSON (Clova AI, NAVER).

Where: ``naver-clova-ix/cord-v2``, ``data/{train,validation,test}-<i>-of-<n>-<hash>.parquet``.
Licence: CC-BY-4.0. Size: 800 receipts in train, 1.83 GB, mostly PNG; 100 each in validation
(242 MB) and test (234 MB).

A row is ``{image: {bytes, path}, ground_truth}``; `ground_truth` is JSON with the parsed receipt
in ``gt_parse``, and text boxes. The answer is ``gt_parse`` as JSON with an indent of four and
non-ASCII text escaped, as the authors of Idefics3 made it. The question is one of 19 requests for
JSON in our own words (the authors also drew from 19, at random). A hash of the answer picks it, so
a receipt that is there twice gets the same question twice.

Option ``splits``: which splits to read, default ``[train]`` as in the mixture.

Quirks handled here:

- ``menu`` is a list for several items and an object for one; any leaf may be a list; ``menu``,
  ``sub_total`` and ``total`` may be absent. The answer keeps them as published.
- Receipts parsed in several ways have a list ``gt_parses`` instead; it is the answer then.
- Row groups of 100 receipts are single pages of 230 MB: reading them takes 520 MB (measured).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from cauldron.sources.base import Options, RawTurn, Row
from cauldron.sources.formats.parquet import ParquetRow
from cauldron.sources.formats.parquet_files import Columns
from cauldron.sources.formats.parquet_source import ParquetSource
from cauldron.sources.values.prompts import draw
from cauldron.sources.values.rows import RowProblem, image_of

PROMPTS = (
    "Extract the content of this receipt as JSON.",
    "Read the receipt and return its fields as a JSON object.",
    "Turn this receipt into JSON.",
    "Convert what is printed on the receipt to JSON.",
    "What does this receipt say? Answer in JSON.",
    "Give me the items and totals of this receipt in JSON format.",
    "Parse the document and output the result as JSON.",
    "List everything that was bought, with prices and totals, as JSON.",
    "Produce a JSON representation of this receipt.",
    "Transcribe the key information of the receipt into JSON.",
    "Write the purchase shown here as structured JSON.",
    "I need the data on this receipt as JSON. Please extract it.",
    "Capture the menu items, subtotal and total of the receipt in JSON.",
    "Summarise this receipt as a JSON object with all amounts.",
    "Fill a JSON structure with the information found in the image.",
    "Extract item names, counts and prices from the image, formatted as JSON.",
    "Return a JSON with the details of this bill.",
    "Digitise this receipt: output JSON only.",
    "Read all fields in the picture and answer with JSON.",
)

_COLUMNS = Columns(("image", "ground_truth"))


@dataclass(frozen=True)
class CordV2(ParquetSource):
    """CORD v2. Option ``splits``: names out of train, validation, test."""

    def columns(self, options: Options) -> Columns:
        return _COLUMNS

    def row(self, row: ParquetRow, options: Options) -> Row:
        truth = _truth(row.values["ground_truth"])
        answer = json.dumps(_parsed(truth), indent=4)
        image = image_of(row.values["image"])
        origin = row.origin.model_copy(update={"key": _key(truth)})
        return Row(origin, [image], [RawTurn(draw(PROMPTS, answer), answer, self.name)])


def _truth(text: Any) -> dict[str, Any]:
    if not isinstance(text, str):
        raise RowProblem("bad_row", "ground_truth is not text")
    try:
        truth = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RowProblem("bad_json", f"ground_truth is not JSON ({str(error)[:200]})") from error
    if not isinstance(truth, dict):
        raise RowProblem("bad_row", "ground_truth is not a JSON object")
    return truth


def _parsed(truth: dict[str, Any]) -> Any:
    one, several = truth.get("gt_parse"), truth.get("gt_parses")
    if isinstance(one, dict):
        return one
    if one is None and isinstance(several, list) and several:
        return several
    raise RowProblem("bad_row", "ground_truth has no gt_parse")


def _key(truth: dict[str, Any]) -> str:
    """The publisher's number of the receipt in its split, e.g. ``train/17``, or ""."""
    meta = truth.get("meta")
    if not isinstance(meta, dict) or not isinstance(meta.get("image_id"), int):
        return ""
    return f"{meta.get('split', '')}/{meta['image_id']}"


SOURCE = CordV2(
    name="cord_v2",
    repo="naver-clova-ix/cord-v2",
    title="CORD v2: receipts to JSON",
    license="cc-by-4.0",
    published_rows=800,
    published_bytes=1_831_000_000,
    default_options={"splits": ("train",)},
)
