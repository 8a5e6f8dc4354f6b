"""What `cauldron docmatix` will ask, and what that costs.

The length of answers is an estimate from published figures: Docmatix has 9,488,888 pairs on about
2.4 M pages after 15 % were dropped, so a page gives 4.65 pairs, and an answer has 41 tokens on
average (table 1 of the paper). A question with both labels is taken for 25 tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cauldron.core.output.docmatix import SelectionManifest
from cauldron.transforms.docmatix.prompts import ROLES, messages
from cauldron.transforms.docmatix.records import Selection
from cauldron.transforms.models.budget import Price
from cauldron.transforms.tokens import token_counter

PAIRS_PER_PAGE = 9_488_888 / 2_400_000 / 0.85
TOKENS_PER_PAIR = 41 + 25
# What a chat template adds to a message, about.
_TEMPLATE_TOKENS = 5


@dataclass(frozen=True)
class DocmatixPlan:
    """The requests of a selection.

    Attributes:
        documents: that were read; `selected` of them are asked about.
        left_out: the others, by reason.
        requests: different ones; equal ones are asked once.
        tokens_in: of the prompts, by the recipe's tokenizer or estimated.
        tokens_out: of the answers, estimated.
        estimated: `tokens_in` is estimated too.
    """

    documents: int
    selected: int
    left_out: dict[str, int]
    pages: int
    requests: int
    tokens_in: int
    tokens_out: int
    estimated: bool

    def hours(self, rate: float) -> float:
        """At so many requests a second."""
        return self.requests / rate / 3600

    def to_json(self, rate: float | None, price: Price | None) -> dict[str, Any]:
        values = dict(vars(self))
        if rate is not None:
            values["hours"] = self.hours(rate)
        if price is not None:
            values["dollars"] = price.of(self.tokens_in, self.tokens_out)
        return values


def plan_of(manifest: SelectionManifest, selection: Selection, max_tokens: int) -> DocmatixPlan:
    """The plan of a finished selection.

    Args:
        max_tokens: the longest answer.
    """
    counter = token_counter(selection.rules.tokenizer)
    prompts = [
        sum(counter.count(_texts_of(role))) + 2 * _TEMPLATE_TOKENS for role in range(len(ROLES))
    ]
    seen: set[bytes] = set()
    tokens_in, tokens_out = 0, 0.0
    for part in range(selection.parts):
        for document in selection.rows(part, ["chunks"]):
            for chunk in document["chunks"]:
                key = bytes.fromhex(chunk["request"])
                if key not in seen:
                    pages = chunk["stop"] - chunk["start"]
                    tokens_in += chunk["tokens"] + prompts[chunk["role"]]
                    tokens_out += min(pages * PAIRS_PER_PAGE * TOKENS_PER_PAIR, max_tokens)
                seen.add(key)
    return DocmatixPlan(
        documents=manifest.documents,
        selected=manifest.selected,
        left_out=manifest.left_out,
        pages=manifest.pages,
        requests=len(seen),
        tokens_in=tokens_in,
        tokens_out=round(tokens_out),
        estimated=counter.estimated,
    )


def _texts_of(role: int) -> list[str]:
    """What a request holds besides its chunk."""
    parts = (part for message in messages("", role) for part in message.parts)
    return [part for part in parts if isinstance(part, str)]
