"""The benchmarks: where each is published, how a model is asked, and how its text is scored.

A benchmark is used in three steps: `prompt` makes the parts of a user message of an item, `parse`
reads the answer in the text that a model generates, `score` compares it with the item's answers.
`aggregate` makes the scores of a benchmark from those of its items.
"""

from __future__ import annotations

import csv
import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import NamedTuple

from cauldron.evaluate.benchmarks import answers, prompts
from cauldron.evaluate.benchmarks.aggregate import Score, Scored, by_group, by_item, means
from cauldron.evaluate.benchmarks.prompts import Part
from cauldron.evaluate.items.layouts import LAYOUTS, Layout
from cauldron.evaluate.items.read import Item

# A side of a tile of the vision encoder, and the longest side of an image in tiles (Idefics3
# paper, arXiv 2408.12637, 5.2.2: 4 x 364 for all benchmarks but DocVQA, which has 5 x 364).
_TILE = 364
_LONGEST_EDGE, _DOCVQA_EDGE = 4 * _TILE, 5 * _TILE
# Where generation ends, beside the tokenizer's end (the authors' evaluation, huggingface/smollm,
# vision/m4). Decoding is greedy.
STOP_WORDS = ("Question", "User", "<end_of_utterance>")
# New tokens at most: a letter with ``Answer:`` before it; an answer of a few words, as lmms-eval
# allows for DocVQA; MMMU's and MathVista's open answers, as lmms-eval allows for MMMU.
_LETTER_TOKENS, _SHORT_TOKENS, _OPEN_TOKENS = 16, 32, 128


@dataclass(frozen=True)
class Benchmark:
    """One benchmark.

    Attributes:
        name, title: for commands and for tables.
        metric: the name of its score.
        prompt: the parts of the user message, images and text in order.
        read: reads the answer in a model's text.
        compare: an answer's score, 0 to 1.
        max_new_tokens: how much text is generated at most.
        longest_edge: pixels; a larger image is scaled down to it before it is cut into tiles.
        told_apart_by: the keys of `Item.meta` that have scores of their own.
        units: what is counted: items, or groups of them.
        extract: what to ask another model to find the answer in a text; None where the text needs
            no such model. None: answers of this benchmark are read by rules only.
        read_extracted: reads what that model found.
        note: how the score differs from the published ones, if it is made by rules only. "" if it
            does not.
    """

    name: str
    title: str
    metric: str
    prompt: Callable[[Item], list[Part]]
    read: Callable[[Item, str], str]
    compare: Callable[[Item, str], float]
    max_new_tokens: int
    longest_edge: int = _LONGEST_EDGE
    stop_words: tuple[str, ...] = STOP_WORDS
    told_apart_by: tuple[str, ...] = ()
    units: Callable[[Iterable[Scored]], list[Scored]] = by_item
    extract: Callable[[Item, str], str | None] | None = None
    read_extracted: Callable[[Item, str], str] | None = None
    note: str = ""

    @property
    def layout(self) -> Layout:
        """Repository, configuration and split."""
        return LAYOUTS[self.name]

    @property
    def published(self) -> Mapping[str, float]:
        """Published scores in percent by model; a model without one is left out."""
        return {model: score.percent for model, score in published_scores()[self.name].items()}

    @property
    def published_split(self) -> str:
        """The split that the published scores are of; `layout.split` without any."""
        splits = {score.split for score in published_scores()[self.name].values()}
        assert len(splits) < 2
        return splits.pop() if splits else self.layout.split

    def parse(self, item: Item, text: str, extracted: str | None = None) -> str:
        """The answer in the text that a model generated, as text; "" if it has none.

        Args:
            extracted: what another model found in it.
        """
        if extracted is None:
            return self.read(item, text)
        assert self.read_extracted is not None
        return self.read_extracted(item, extracted)

    def score(self, item: Item, prediction: str) -> float:
        """0 to 1, from what `parse` returned."""
        return self.compare(item, prediction)

    def aggregate(self, rows: Iterable[Scored]) -> dict[str, Score]:
        """``overall`` and ``key/value``, such as ``discipline/Business``; {} without rows."""
        return means(self.units(rows), self.told_apart_by)


BENCHMARKS: Mapping[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark(
            name="mmmu",
            title="MMMU",
            metric="accuracy",
            prompt=prompts.mmmu,
            read=answers.read_mmmu,
            compare=answers.score_mmmu,
            max_new_tokens=_OPEN_TOKENS,
            told_apart_by=("discipline", "subject", "type"),
        ),
        Benchmark(
            name="mathvista",
            title="MathVista",
            metric="accuracy",
            prompt=prompts.mathvista,
            read=answers.read_mathvista,
            compare=answers.score_mathvista,
            max_new_tokens=_OPEN_TOKENS,
            told_apart_by=("type", "answer_type", "category", "task", "context", "grade"),
            extract=answers.extract_mathvista,
            read_extracted=answers.read_extracted_mathvista,
            note="answers read by rules; for the published scores another model extracted them "
            "(--extractor)",
        ),
        Benchmark(
            name="mmstar",
            title="MMStar",
            metric="accuracy",
            prompt=prompts.multiple_choice,
            read=answers.read_mmstar,
            compare=answers.score_letter,
            max_new_tokens=_LETTER_TOKENS,
            told_apart_by=("category", "subcategory"),
        ),
        Benchmark(
            name="docvqa",
            title="DocVQA",
            metric="ANLS",
            prompt=prompts.docvqa,
            read=answers.read_text,
            compare=answers.score_docvqa,
            max_new_tokens=_SHORT_TOKENS,
            longest_edge=_DOCVQA_EDGE,
        ),
        Benchmark(
            name="textvqa",
            title="TextVQA",
            metric="VQA accuracy",
            prompt=prompts.textvqa,
            read=answers.read_text,
            compare=answers.score_textvqa,
            max_new_tokens=_SHORT_TOKENS,
        ),
        Benchmark(
            name="chartqa",
            title="ChartQA",
            metric="relaxed accuracy",
            prompt=prompts.chartqa,
            read=answers.read_text,
            compare=answers.score_chartqa,
            max_new_tokens=_SHORT_TOKENS,
            told_apart_by=("type",),
        ),
        Benchmark(
            name="ai2d",
            title="AI2D",
            metric="accuracy",
            prompt=prompts.multiple_choice,
            read=answers.read_ai2d,
            compare=answers.score_ai2d,
            max_new_tokens=_LETTER_TOKENS,
        ),
        Benchmark(
            name="mmbench",
            title="MMBench",
            metric="circular accuracy",
            prompt=prompts.mmbench,
            read=answers.read_mmbench,
            compare=answers.score_letter,
            max_new_tokens=_LETTER_TOKENS,
            told_apart_by=("supercategory", "category"),
            units=by_group,
        ),
    )
}


class PublishedScore(NamedTuple):
    """A score of a paper, in percent, and the split that it is of."""

    percent: float
    split: str


@functools.cache
def published_scores() -> Mapping[str, Mapping[str, PublishedScore]]:
    """The packaged table of published scores by benchmark and model.

    Idefics3 paper (arXiv 2408.12637), figure 5; MMBench from the Idefics2 paper (arXiv 2405.02246).
    """
    table = resources.files("cauldron").joinpath("data/published_scores.csv")
    found: dict[str, dict[str, PublishedScore]] = {name: {} for name in BENCHMARKS}
    for row in csv.DictReader(table.read_text(encoding="utf-8").splitlines()):
        score = PublishedScore(float(row["score"]), row["split"])
        found[row["benchmark"]][row["model"]] = score
    return found
