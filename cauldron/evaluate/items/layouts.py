"""Where each benchmark is published, and which columns its scores need.

The files are those that `cauldron.sources.benchmarks` reads for contamination. Here one split is
read, and the columns that a score is told apart by are read as well. The layouts themselves are
described in `cauldron.sources.benchmarks.layouts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """One benchmark as published.

    Attributes:
        repo: the repository on the hub.
        split: the split that is scored; its answers are published. Files that name no split are
            of every one.
        config: the configuration: a folder. "" for all, or where there are none.
        meta: columns whose values tell items apart, by the name they get in `Item.meta`. The
            published names differ between repositories; the first that a table has is used.
        structs: columns that hold more such values, each under its own name.
    """

    repo: str
    split: str
    config: str = ""
    meta: Mapping[str, tuple[str, ...]] | None = None
    structs: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read beside those with a role."""
        names = (name for group in (self.meta or {}).values() for name in group)
        return (*names, *self.structs)


LAYOUTS: Mapping[str, Layout] = {
    "mmmu": Layout(
        "MMMU/MMMU",
        "validation",
        meta={
            "type": ("question_type",),
            "image_type": ("img_type",),
            "difficulty": ("topic_difficulty",),
        },
    ),
    "mathvista": Layout(
        "AI4Math/MathVista",
        "testmini",
        meta={
            "type": ("question_type",),
            "answer_type": ("answer_type",),
            "precision": ("precision",),
            "unit": ("unit",),
            "query": ("query",),
        },
        structs=("metadata",),
    ),
    "mmstar": Layout(
        "Lin-Chen/MMStar", "val", meta={"category": ("category",), "subcategory": ("l2_category",)}
    ),
    # The published scores are of the test split, whose answers only the organisers' server has. The
    # validation split is the other one that no model is trained on: the Cauldron and Docmatix's
    # ablation train on the train split.
    "docvqa": Layout("lmms-lab/DocVQA", "validation", "DocVQA", meta={"type": ("question_types",)}),
    "textvqa": Layout("lmms-lab/textvqa", "validation"),
    "chartqa": Layout("lmms-lab/ChartQA", "test", meta={"type": ("type", "human_or_machine")}),
    "ai2d": Layout("lmms-lab/ai2d", "test"),
    "mmbench": Layout(
        "lmms-lab/MMBench",
        "dev",
        "en",
        meta={
            "hint": ("hint",),
            "category": ("category",),
            "supercategory": ("L2-category", "l2-category"),
        },
    ),
}
