"""The nine text-only sets of the mixture: rows without images in the same schema.

They keep the model's language ability while it learns to see; the authors give them 16.93 % of
the answer tokens (Idefics3 paper, table 1, which counts questions left after filters, not rows).
Files, bytes and licences are those of the dataset pages, rows what their users report; ~ marks an
estimate.

- ``teknium/OpenHermes-2.5``: ``openhermes2_5.json``, one array; 1,001,551 rows, 1.94 GB; none given
- ``GAIR/lima`` (gated): ``train.jsonl``; 1,030 rows, 3 MB; its sources' or CC-BY-NC-SA
- ``databricks/databricks-dolly-15k``: ``databricks-dolly-15k.jsonl``; 15,011 rows, 13 MB;
  CC-BY-SA-3.0
- ``meta-math/MetaMathQA``: ``MetaMathQA-395K.json``, one array; 395,000 rows, 396 MB; MIT
- ``TIGER-Lab/MathInstruct``: ``MathInstruct.json``, one array; 262,039 rows, 212 MB; MIT
- ``microsoft/orca-math-word-problems-200k``: ``data/train-*.parquet``; 200,035 rows, 84 MB; MIT
- ``camel-ai/math``: ``math.zip``, one JSON file per row; 50,000 rows, ~40 MB; CC-BY-NC-4.0
- ``AtlasUnified/atlas-math-sets``: ``data/atlas-math-train.jsonl``; 17,807,579 rows, ~2.8 GB; MIT
- ``tiedong/goat``: ``dataset.json``, one array; 1,746,300 rows, 483 MB; Apache-2.0

Quirks handled here:

- A file's first bytes decide whether it is lines or an array, not its name. An array is streamed
  and is one piece, the 1.94 GB of OpenHermes too. Copies of a set as parquet are read as well.
- OpenHermes: messages from ``system``, ``human`` and ``gpt``; the system message is the row's
  system prompt. A last question without an answer stays a turn without an answer, for the
  transforms to count and leave out. The mixture of the authors names a version of this set that
  is "filtered" (refusals and special tokens: the rules of the recipe), without code, and without
  bad punctuation; how the code was found is not published. This reader reads the whole set.
- LIMA: messages are bare strings that alternate, from the user. ``test.jsonl`` has no answers and
  is not read; nor are the validation and test files of the Atlas sets.
- Dolly: where there is a ``context``, it follows the instruction after an empty line.
- Goat and Atlas: the question is ``instruction``, the answer ``output``; ``input`` repeats the
  formula that the instruction holds, so it is asked only where there is no instruction, and
  ``answer``, the bare result, is given only where there is no ``output``.
- CAMEL: ``message_1`` is the problem, ``message_2`` the solution (and a column is called
  ``topic;``). Members are read in the order in which they lie in the zip.
"""

from __future__ import annotations

from cauldron.sources.base import register
from cauldron.sources.text_only.layouts import Chat, Pair
from cauldron.sources.text_only.reader import TextOnly

register(
    TextOnly(
        name="openhermes_2_5",
        repo="teknium/OpenHermes-2.5",
        title="OpenHermes-2.5: a million chats, mostly by GPT-4",
        license="unknown",
        published_rows=1_001_551,
        published_bytes=1_940_000_000,
        dialogue=True,
        layout=Chat(),
        published=("openhermes2_5.json",),
    )
)
register(
    TextOnly(
        name="lima",
        repo="GAIR/lima",
        title="LIMA: a thousand chosen prompts and answers",
        license="other",
        published_rows=1_030,
        published_bytes=2_970_000,
        gated=True,
        dialogue=True,
        layout=Chat(),
        published=("train.jsonl",),
    )
)
register(
    TextOnly(
        name="dolly",
        repo="databricks/databricks-dolly-15k",
        title="Dolly: instructions written by Databricks employees",
        license="cc-by-sa-3.0",
        published_rows=15_011,
        published_bytes=13_100_000,
        layout=Pair(("instruction",), ("response", "output"), context="context"),
        published=("databricks-dolly-15k.jsonl",),
    )
)
register(
    TextOnly(
        name="metamathqa",
        repo="meta-math/MetaMathQA",
        title="MetaMathQA: GSM8K and MATH questions rewritten",
        license="mit",
        published_rows=395_000,
        published_bytes=396_000_000,
        layout=Pair(("query", "instruction"), ("response", "output")),
        published=("MetaMathQA-395K.json", "MetaMathQA*.json"),
    )
)
register(
    TextOnly(
        name="math_instruct",
        repo="TIGER-Lab/MathInstruct",
        title="MathInstruct: chain and program of thought",
        license="mit",
        published_rows=262_039,
        published_bytes=212_000_000,
        layout=Pair(("instruction",), ("output", "response")),
        published=("MathInstruct.json",),
    )
)
register(
    TextOnly(
        name="orca_math",
        repo="microsoft/orca-math-word-problems-200k",
        title="Orca-Math: word problems by GPT-4",
        license="mit",
        published_rows=200_035,
        published_bytes=84_200_000,
        layout=Pair(("question",), ("answer",)),
        published=("data/train-*.parquet",),
    )
)
register(
    TextOnly(
        name="camel_ai_math",
        repo="camel-ai/math",
        title="CAMEL-AI math: problems and solutions by GPT-4",
        license="cc-by-nc-4.0",
        published_rows=50_000,
        published_bytes=40_000_000,
        layout=Pair(("message_1",), ("message_2",)),
        published=("math.zip", "*.zip"),
    )
)
register(
    TextOnly(
        name="atlas_math_sets",
        repo="AtlasUnified/atlas-math-sets",
        title="Atlas math sets: generated arithmetic",
        license="mit",
        published_rows=17_807_579,
        published_bytes=2_800_000_000,
        layout=Pair(("instruction", "input"), ("output", "answer")),
        published=("data/*train*.jsonl", "*train*.jsonl"),
    )
)
register(
    TextOnly(
        name="goat",
        repo="tiedong/goat",
        title="Goat: arithmetic with intermediate steps",
        license="apache-2.0",
        published_rows=1_746_300,
        published_bytes=483_000_000,
        layout=Pair(("instruction", "input"), ("output", "answer")),
        published=("dataset.json",),
    )
)
