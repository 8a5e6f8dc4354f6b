"""ChartGemma: instructions on charts, written by Gemini Flash 1.5 (Masry et al.).

Where: ``ahmed-masry/ChartGemma``, ``data/train-<i>-of-00016.parquet``. Licence: none stated on the
page. Size: 163,240 rows, 6.6 GB (the sum of 15 of 16 files as listed, and their mean for the last).

A row is ``{image: bytes, input, output}`` and becomes one question and answer. Quirks handled here:

- The image column holds plain bytes, not the usual struct.
- An `input` may be a tag for a task instead of a question. It becomes a question in our own words,
  one of several by a hash of the row's text where the tag says nothing more:

  | the input | the question |
  |---|---|
  | ``program of thought: …`` | the question, and that a Python program is to answer it |
  | ``Fact Checking: …`` | whether the chart supports the statement, to say Supports or Refutes |
  | ``Chart to Markdown`` | a request for the chart's data as a Markdown table |
  | ``Generate a caption for the chart`` | a request for a caption |
  | ``… Let's think step by step`` | the question, and that the steps are to be shown |

  Any other input is a question already and stays as it is. The answer is never changed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from cauldron.sources.base import Options, RawTurn, Row
from cauldron.sources.formats.parquet import ParquetRow
from cauldron.sources.formats.parquet_files import Columns
from cauldron.sources.formats.parquet_source import ParquetSource
from cauldron.sources.values.conversations import text_of
from cauldron.sources.values.prompts import draw
from cauldron.sources.values.rows import image_of

TABLE_PROMPTS = (
    "Write the data of this chart as a Markdown table.",
    "Turn the chart into a table in Markdown.",
    "Which values does the chart show? Answer with a Markdown table.",
    "Extract the underlying data and format it as a Markdown table.",
    "Read the chart and list its data in a Markdown table.",
    "Give the table that this chart was drawn from, in Markdown.",
)
CAPTION_PROMPTS = (
    "Write a caption for this chart.",
    "Describe what the chart shows.",
    "Summarise this chart in a caption.",
    "What is this chart about? Write a short description.",
    "Caption the figure.",
    "Explain the main points of the chart in a caption.",
)
STATEMENT_PROMPTS = (
    "Does the chart support or refute this statement?",
    "Check the following statement against the chart.",
    "Is this statement in line with what the chart shows?",
)
VERDICT = "Answer with 'Supports' or 'Refutes'."
PROGRAM = "Answer with a Python program that computes the result."
STEPS = "Show your reasoning step by step, then give the answer."

_PROGRAM = re.compile(r"\s*program of thoughts?\s*:\s*", re.IGNORECASE)
_STATEMENT = re.compile(r"\s*fact[ -]?checking\s*:\s*", re.IGNORECASE)
_TABLE = re.compile(r"\s*chart to markdown\s*[.:]?\s*", re.IGNORECASE)
_CAPTION = re.compile(r"\s*generate a caption for (the|this) chart\s*[.:]?\s*", re.IGNORECASE)
_STEPS = re.compile(r"\s*let[\u2019']?s think step by step\s*[.:]?\s*$", re.IGNORECASE)
_COLUMNS = Columns(("image", "input", "output"))


@dataclass(frozen=True)
class ChartGemma(ParquetSource):
    """ChartGemma; takes no options."""

    def columns(self, options: Options) -> Columns:
        return _COLUMNS

    def row(self, row: ParquetRow, options: Options) -> Row:
        asked, answer = text_of(row.values["input"]), text_of(row.values["output"])
        image = image_of(_bytes(row.values["image"]))
        question = asked if asked is None else question_for(asked, answer or "")
        return Row(row.origin, [image], [RawTurn(question, answer, self.name)])


def question_for(asked: str, answer: str) -> str:
    """The question that stands for a published input; the answer picks among several wordings."""
    if _TABLE.fullmatch(asked):
        return draw(TABLE_PROMPTS, answer)
    if _CAPTION.fullmatch(asked):
        return draw(CAPTION_PROMPTS, answer)
    if match := _PROGRAM.match(asked):
        return f"{asked[match.end() :]}\n{PROGRAM}"
    if match := _STATEMENT.match(asked):
        statement = asked[match.end() :]
        return f"{draw(STATEMENT_PROMPTS, statement)}\n{statement}\n{VERDICT}"
    if match := _STEPS.search(asked):
        return f"{asked[: match.start()]}\n{STEPS}" if match.start() else STEPS
    return asked


def _bytes(value: Any) -> Any:
    """Plain bytes as the struct that they would be in; anything else is judged by `image_of`."""
    return {"bytes": value, "path": None} if value is None else value


SOURCE = ChartGemma(
    name="chartgemma",
    repo="ahmed-masry/ChartGemma",
    title="ChartGemma: instructions on charts, written by a model",
    license="unknown",
    license_note="the dataset's page states none",
    published_rows=163_240,
    published_bytes=6_630_000_000,
)
