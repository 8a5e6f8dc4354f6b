"""Recipe section of one stage's mixture: sources and their portions, budget, turns, shards."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from cauldron.core.names import SourceName
from cauldron.core.rules import Action, Strict, UpscaleChoice

MIB = 1024 * 1024


class Budget(Strict):
    """The size of a mixture; exactly one of the three is given.

    Attributes:
        answer_tokens: answer tokens in the whole mixture.
        samples: rows in the whole mixture.
        epochs_of_largest: epochs of the source with the largest share.
    """

    answer_tokens: Annotated[float, Field(gt=0)] | None = None
    samples: Annotated[int, Field(gt=0)] | None = None
    epochs_of_largest: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Budget:
        given = [self.answer_tokens, self.samples, self.epochs_of_largest]
        if sum(value is not None for value in given) != 1:
            raise ValueError("give exactly one of answer_tokens, samples, epochs_of_largest")
        return self


class Portion(Strict):
    """How much of a source a stage takes: a weight or a share.

    Attributes:
        weight: the share of answer tokens is proportional to tokens x weight (authors' scheme).
        share: of the stage's answer tokens, 0 to 1. Weighted sources divide the rest.
    """

    weight: Annotated[float, Field(ge=0)] | None = None
    share: Annotated[float, Field(ge=0, le=1)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return {"weight": value} if is_number else value

    @model_validator(mode="after")
    def _one(self) -> Portion:
        if (self.weight is None) == (self.share is None):
            raise ValueError("give a weight or a share")
        return self


class TurnRules(Strict):
    """Which turns of a sample a copy keeps.

    Attributes:
        shuffle: every copy has its own order of turns. Sources whose turns build on each other
            (`dialogue`) keep their order.
        cap: most turns in a copy; None: all. The authors used 7.
    """

    shuffle: bool = True
    cap: Annotated[int, Field(gt=0)] | None = 7


class StageRecipe(Strict):
    """One stage's mixture.

    Attributes:
        budget: how large the mixture is.
        mixture: how much of each source, by its name; a bare number is a weight.
        turns: which turns of a row a copy keeps.
        longest_edge: images are scaled so that their longest side has at most this many pixels,
            then tiled. Affects the count of image tokens only; stored pixels do not change.
        tile: side of a tile in pixels.
        upscale: how images smaller than the limit are scaled up. ``never``: to whole tiles only
            (the authors' training code); ``published``: to the full grid, like the published
            processor, four times the tokens for 640 x 480; ``{up_to: 2}``: by at most this
            factor. Sets the count of image tokens, and how `cauldron train` tiles this mixture.
        shard_bytes: target size of a shard.
        row_group_bytes: target size of a row group; a reader holds one in memory.
        max_epochs: most passes over a source.
        duplicates: overrides the recipe's action on near-duplicates.
    """

    budget: Budget
    mixture: dict[SourceName, Portion]
    turns: TurnRules = TurnRules()
    max_epochs: Annotated[float, Field(gt=0)] = 50
    longest_edge: Annotated[int, Field(gt=0)] = 1820
    tile: Annotated[int, Field(gt=0)] = 364
    upscale: UpscaleChoice = "never"
    shard_bytes: Annotated[int, Field(ge=1024)] = 256 * MIB
    row_group_bytes: Annotated[int, Field(ge=1024, le=1024 * MIB)] = 32 * MIB
    duplicates: Action | None = None

    @field_validator("mixture")
    @classmethod
    def _shares_fit(cls, value: dict[str, Portion]) -> dict[str, Portion]:
        if not value:
            raise ValueError("a stage needs at least one source")
        total = sum(portion.share or 0 for portion in value.values())
        if total > 1 + 1e-9:
            raise ValueError(f"shares add up to {total:.4f}, more than 1")
        return value
