"""DocVQA, TextVQA and ChartQA of the Cauldron, with the prompts of Idefics3.

The mixture of Idefics3 does not take these three sets as the hub has them. There, a question ends
in a line that asks for a short answer, drawn at random, and answers begin with a capital letter and
end in a full stop. Idefics3 puts one fixed instruction before every question of a set, and its
answers are those of the annotators. Option ``prompt`` makes that of the hub's copy:

- ``published`` (the default): rows as the hub has them.
- ``new``: the line that asks for a short answer is removed, an instruction stands before the
  question, and the full stop that ends the answer is removed. The instruction asks for what the
  authors' asks for, in our own words.
- A text with ``{question}`` in it, such as the authors' own instruction, instead of ours.

What the hub's copy does not tell is left as it is and said in the notes. Where a text began with a
small letter, the authors made its first letter a capital and all others small. So it is not known
how the annotators wrote an answer whose only capital is its first letter, nor such a question of
DocVQA. A full stop of the annotators' own is removed as well.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cauldron.sources.base import Options, RawTurn, Row
from cauldron.sources.formats.parquet import ParquetRow
from cauldron.sources.repos.files import Repo
from cauldron.sources.the_cauldron.reader import TheCauldron

from cauldron.core.errors import UsageError

PUBLISHED, NEW = "published", "new"
QUESTION = "{question}"

INSTRUCTIONS = {
    "docvqa": (
        "Answer the question below in a few words, copied from the page exactly as printed. Write "
        "no full stops and explain nothing.\n"
        f"Question: {QUESTION}"
    ),
    "textvqa": (
        "Answer the question below with as few words as you can, one or two if possible.\n"
        "- If it can be answered with yes or no, answer Yes or No.\n"
        "- If it asks for the time, give the time that the image shows.\n"
        "- End without a full stop.\n"
        "- Use no quotation marks.\n"
        "- Use what can be read in the image, not what you know of the world.\n"
        f"Question: {QUESTION}"
    ),
    "chartqa": (
        "Answer the question below by these rules:\n"
        "- Use as few words as you can.\n"
        "- Copy text as the image has it, without rewording.\n"
        "- If it can be answered with yes or no, answer Yes or No.\n"
        "- Write numbers in digits: 2, not Two.\n"
        "- Write several items as a list, like [1, 2].\n"
        "- Write a ratio as a decimal number: 0.25, not 1:4.\n"
        "- Write a percentage as the number before the sign: 17, not 0.17%.\n"
        "- Leave out units.\n"
        "- End without a full stop.\n"
        "- Name things by their full labels in the chart.\n"
        f"Question: {QUESTION}"
    ),
}

# The last line of a published question, such as "Keep it brief.". No word of it is certain, but all
# that the authors drew from have one of these and are short; a question is on one line.
_BRIEF = re.compile(
    r"\n[^\n?]{0,30}\b(?:brie\w+|short|succinct|terse|concise|compact|brevity|quick)\b[^\n?]{0,30}$",
    re.IGNORECASE,
)
_NOTES = (
    "option prompt: the random requests for short answers are removed and one instruction stands "
    "before each question{words}",
    "option prompt: answers lose the full stop that the hub's copy added, and one of their own if "
    "they had it; of answers whose only capital is the first letter it is not known which letters "
    "were capitals, so they stay as the hub has them",
)


@dataclass(frozen=True, kw_only=True)
class NewPrompts(TheCauldron):
    """A set that Idefics3 trains on with another prompt. Option ``prompt``: published, new, or a
    text with ``{question}``."""

    def settled(self, options: Options) -> Options:
        settled = super().settled(options)
        prompt = settled["prompt"]
        if prompt not in (PUBLISHED, NEW) and QUESTION not in str(prompt):
            choices = f"{PUBLISHED}, {NEW}, or a text with {QUESTION}"
            raise UsageError(f"{self.name}: prompt must be {choices}; it is {prompt!r}")
        return settled

    def row(self, row: ParquetRow, options: Options) -> Row:
        published = super().row(row, options)
        template = self._template(options)
        if template is not None:
            published.turns = [_prompted(turn, template) for turn in published.turns]
        return published

    def notes(self, repo: Repo, options: Options) -> list[str]:
        notes = super().notes(repo, options)
        prompt = self.settled(options)["prompt"]
        if prompt == PUBLISHED:
            return notes
        words = ", in other words than the authors'" if prompt == NEW else ""
        return [*notes, *(note.format(words=words) for note in _NOTES)]

    def _template(self, options: Options) -> str | None:
        prompt = str(options.get("prompt", PUBLISHED))
        known: dict[str, str | None] = {PUBLISHED: None, NEW: INSTRUCTIONS[self.config]}
        return known.get(prompt, prompt)


def _prompted(turn: RawTurn, template: str) -> RawTurn:
    """The turn with the instruction. One without a question or an answer stays as it is."""
    if not (turn.user or "").strip() or not (turn.assistant or "").strip():
        return turn
    assert turn.user is not None
    assert turn.assistant is not None
    question = _BRIEF.sub("", turn.user.rstrip())
    answer = turn.assistant.rstrip()
    return RawTurn(
        template.replace(QUESTION, question), answer.removesuffix(".") or answer, turn.source
    )
