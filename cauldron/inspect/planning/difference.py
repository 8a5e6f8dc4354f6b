"""What a changed recipe plans otherwise than the one that it was made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cauldron.inspect.planning.plan import Plan

# Smaller changes of a share are not listed.
LISTED = 0.005


@dataclass(frozen=True, slots=True)
class Difference:
    """Between two plans of a stage.

    Attributes:
        parent: name of the recipe that is compared with.
        rows, answer_tokens: more than in the parent's mixture; negative if fewer.
        bytes: None if either size is unknown.
        shares: planned share before and after, by source, where it changes by half a point or
            more, and of each source that only one of them mixes; the largest change first.
    """

    parent: str
    rows: int
    answer_tokens: float
    bytes: int | None
    shares: dict[str, tuple[float, float]]

    def to_json(self) -> dict[str, Any]:
        return {
            "parent": self.parent,
            "rows": self.rows,
            "answer_tokens": round(self.answer_tokens),
            "bytes": self.bytes,
            "shares": {name: {"before": a, "after": b} for name, (a, b) in self.shares.items()},
        }


def difference(parent: str, before: Plan, after: Plan) -> Difference:
    old, new = before.shares(), after.shares()
    changed = {
        name: (old.get(name, 0.0), new.get(name, 0.0))
        for name in {**new, **old}
        if (name in old) != (name in new) or abs(new[name] - old[name]) >= LISTED
    }
    order = sorted(changed, key=lambda n: (-abs(changed[n][1] - changed[n][0]), n))
    return Difference(
        parent=parent,
        rows=after.rows - before.rows,
        answer_tokens=after.answer_tokens - before.answer_tokens,
        bytes=None if before.bytes is None or after.bytes is None else after.bytes - before.bytes,
        shares={name: changed[name] for name in order},
    )
