"""The nine text-only sets of the mixture: rows without images in the same schema.

They keep the model's language ability while it learns to see; the authors give them 16.93 % of
the answer tokens (Idefics3 paper, table 1, which counts questions left after filters, not rows).

Each set is a line of ``sources/data/text_only.csv``:

- `files`: patterns of the publisher's file names; the first that matches any file counts.
- `question`, `answer`, `context`: the columns of a `Pair`; none for a `Chat`.
- `license`, `license_note`, `bytes`: from the dataset pages; the bytes of camel_ai_math and
  atlas_math_sets are estimates. `rows`: as users report them.

Quirks handled here:

- A file's first bytes tell whether it holds lines or an array, not its name. An array is streamed
  as one piece, even the 1.94 GB of OpenHermes. Copies of a set as parquet are read as well.
- OpenHermes: messages from ``system``, ``human`` and ``gpt``; the system message is the row's
  system prompt if option ``system_prompts`` is on; it is off by default, because the authors kept
  none. A last question without an answer stays a turn without an answer; the transforms
  count it and leave it out. The authors' mixture names a "filtered" version of this set (refusals
  and special tokens: the rules of the recipe), without code, and without bad punctuation; how they
  found the code is not published. This reader reads the whole set.
- LIMA: messages are plain strings that alternate; the user begins. ``test.jsonl`` has no answers
  and is not read; nor are the validation and test files of the Atlas sets.
- Dolly: if there is a ``context``, it stands before the instruction, as in the authors' code.
- Goat and Atlas: the question is ``instruction``, the answer ``output``. ``input`` repeats the
  formula in the instruction, so it is used only without an instruction; ``answer``, the bare
  result, only without an ``output``.
- CAMEL: ``message_1`` is the problem, ``message_2`` the solution (and a column is called
  ``topic;``). Members are read in the order in which they are stored in the zip.
"""

from __future__ import annotations

from cauldron.sources.tables import read_table
from cauldron.sources.text_only.layouts import Chat, Pair
from cauldron.sources.text_only.reader import TextOnly


def _declared(entry: dict[str, str]) -> TextOnly:
    question, answer = tuple(entry["question"].split()), tuple(entry["answer"].split())
    return TextOnly(
        name=entry["name"],
        repo=entry["repo"],
        title=entry["title"],
        license=entry["license"],
        license_note=entry["license_note"],
        published_rows=int(entry["rows"]),
        published_bytes=int(entry["bytes"]),
        gated=bool(entry["gated"]),
        dialogue=not question,
        default_options={} if question else {"system_prompts": False},
        layout=Pair(question, answer, entry["context"]) if question else Chat(),
        published=tuple(entry["files"].split()),
    )


SOURCES = tuple(_declared(entry) for entry in read_table("text_only"))
