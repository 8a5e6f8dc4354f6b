"""Recipe section of one stage's mixture: sources and their portions, budget, turns, shards."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from cauldron.core.names import SourceName
from cauldron.core.sections.rules import Action, Strict, UpscaleChoice

MIB = 1024 * 1024


class Budget(Strict):
    """The size of a mixture; exactly one of the four is given.

    Attributes:
        answer_tokens: answer tokens in the whole mixture.
        samples: rows in the whole mixture.
        sequences: what training consumes: steps x batch, each of `sequence_length` tokens. Rows are
            measured and packed as `cauldron train` does it, text by the recipe's tokenizer.
        epochs_of: one source and its epochs, ``{lnqa: 0.6}``; the others follow from their shares.
            What a capped source cannot give is not divided among the others.
    """

    answer_tokens: Annotated[float, Field(gt=0)] | None = None
    samples: Annotated[int, Field(gt=0)] | None = None
    sequences: Annotated[float, Field(gt=0)] | None = None
    epochs_of: (
        Annotated[
            dict[SourceName, Annotated[float, Field(gt=0)]], Field(min_length=1, max_length=1)
        ]
        | None
    ) = None

    @model_validator(mode="before")
    @classmethod
    def _not_the_largest(cls, value: Any) -> Any:
        if isinstance(value, dict) and "epochs_of_largest" in value:
            raise ValueError(
                "epochs_of_largest is no longer known, because its size changed with the weights: "
                "name the source (epochs_of: {SOURCE: X}), or give answer_tokens"
            )
        return value

    @model_validator(mode="after")
    def _one(self) -> Budget:
        given = [self.answer_tokens, self.samples, self.sequences, self.epochs_of]
        if sum(value is not None for value in given) != 1:
            raise ValueError("give exactly one of answer_tokens, samples, sequences, epochs_of")
        return self


class Portion(Strict):
    """How much of a source a stage takes: a weight, a share or epochs.

    Attributes:
        weight: the share of answer tokens is proportional to tokens x weight (authors' scheme).
        share: of the stage's answer tokens, 0 to 1. Weighted sources divide the rest.
        epochs: passes over the source, whatever share they are. They are taken first; shares and
            weights divide what they leave of the budget.
    """

    weight: Annotated[float, Field(ge=0)] | None = None
    share: Annotated[float, Field(ge=0, le=1)] | None = None
    epochs: Annotated[float, Field(ge=0)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return {"weight": value} if is_number else value

    @model_validator(mode="after")
    def _one(self) -> Portion:
        given = [self.weight, self.share, self.epochs]
        if sum(value is not None for value in given) != 1:
            raise ValueError("give a weight, a share or epochs")
        return self


class TurnRules(Strict):
    """Which turns of a sample a copy keeps.

    Attributes:
        shuffle: every copy has its own order of turns. Sources whose turns build on each other
            (`dialogue`) keep their order.
        cap: most turns in a copy; None: all. The authors used 7. With 1.5, every second copy has
            at most one turn and the others at most two.
    """

    shuffle: bool = True
    # Whole caps stay whole numbers, as manifests of earlier builds have them.
    cap: Annotated[int | float, Field(ge=1, allow_inf_nan=False)] | None = 7


Pixels = Annotated[int, Field(gt=0)]


class StageRecipe(Strict):
    """One stage's mixture.

    Attributes:
        promise: ``shares``: each source has its share of the answer tokens, and the budget says
            how many there are. ``epochs``: each source is passed over weight x
            `epochs_per_weight` times, as in the authors' code; there is no budget, and shares
            follow from what the passes deliver.
        budget: how large the mixture is; null with ``promise: epochs``.
        mixture: how much of each source, by its name; a bare number is a weight.
        weigh_by: the tokens that a weight multiplies. ``measured``: those of the build.
            ``published``: those of the recipe's `statistics`, so that a smaller copy of a source
            still gets the published share; sources that are not in the table use measured tokens.
        epochs_per_weight: passes that weight 1 stands for. The authors' 50 mini-epochs pass over
            a source of weight 4 in each: 50 / 4.
        turns: which turns of a row a copy keeps.
        longest_edge: images are scaled so that their longest side has at most this many pixels,
            then tiled. A list of [first part of the stage, pixels] grows it, as training does:
            ``[[0, 364], [0.5, 728]]``. Affects counts only; stored pixels do not change.
        sequence_length: tokens of a sequence of the trainer, in which ``budget: {sequences: N}``
            counts.
        tile: side of a tile in pixels.
        upscale: how images smaller than the limit are scaled up. ``never``: to whole tiles only
            (the authors' training code); ``published``: to the full grid, like the published
            processor, four times the tokens for 640 x 480; ``{up_to: 2}``: by at most this
            factor. Sets the count of image tokens, and how `cauldron train` tiles this mixture.
        shard_bytes: target size of a shard.
        row_group_bytes: target size of a row group; a reader holds one in memory.
        max_epochs: most passes over a source.
        max_epochs_incomplete: the same for a source of which the build has less than 90 % of the
            published rows, unless the authors passed over it more often (weight x
            `epochs_per_weight`). Null: no other limit.
        duplicates: overrides the recipe's action on near-duplicates.
    """

    promise: Literal["shares", "epochs"] = "shares"
    budget: Budget | None = None
    mixture: dict[SourceName, Portion]
    weigh_by: Literal["published", "measured"] = "measured"
    epochs_per_weight: Annotated[float, Field(gt=0)] = 12.5
    turns: TurnRules = TurnRules()
    max_epochs: Annotated[float, Field(gt=0)] = 50
    max_epochs_incomplete: Annotated[float, Field(gt=0)] | None = None
    longest_edge: Pixels | tuple[tuple[float, Pixels], ...] = 1820
    sequence_length: Annotated[int, Field(gt=0)] = 10_240
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

    @field_validator("longest_edge", mode="after")
    @classmethod
    def _starts_at_0(cls, value: Any) -> Any:
        if isinstance(value, tuple):
            parts = [part for part, _ in value]
            if not parts or parts[0] != 0 or parts != sorted({*parts}) or parts[-1] >= 1:
                raise ValueError("longest_edge must start at 0 and ascend, below 1")
        return value

    @property
    def edges(self) -> tuple[tuple[float, int], ...]:
        """The longest edges in turn, each with the part of the stage that it holds for; the parts
        add up to 1."""
        if isinstance(self.longest_edge, int):
            return ((1.0, self.longest_edge),)
        starts = [start for start, _ in self.longest_edge]
        ends = [*starts[1:], 1.0]
        pixels = [edge for _, edge in self.longest_edge]
        return tuple((b - a, edge) for a, b, edge in zip(starts, ends, pixels, strict=True))

    @property
    def measured(self) -> bool:
        """Whether the lengths of rows in sequences must be known."""
        by_length = self.budget is not None and self.budget.sequences is not None
        return by_length or len(self.edges) > 1

    @model_validator(mode="after")
    def _sizes_fit(self) -> StageRecipe:
        for name, portion in self.mixture.items():
            if portion.epochs is not None and portion.epochs > self.max_epochs:
                limit = f"max_epochs, {self.max_epochs:g}"
                raise ValueError(f"{name}: {portion.epochs:g} epochs are more than {limit}")
        if self.promise == "epochs":
            self._check_epochs()
        elif self.budget is None:
            raise ValueError("a stage needs a budget, as in budget: {answer_tokens: 1000000}")
        elif all(portion.epochs is not None for portion in self.mixture.values()):
            raise ValueError("every source has epochs: say promise: epochs and budget: null")
        elif self.budget.epochs_of is not None:
            self._check_anchor(next(iter(self.budget.epochs_of)))
        return self

    def _check_epochs(self) -> None:
        if self.budget is not None:
            raise ValueError("promise: epochs has no budget, its size follows: say budget: null")
        for name, portion in self.mixture.items():
            if portion.share is not None:
                raise ValueError(f"{name}: promise: epochs takes weights and epochs, no share")

    def _check_anchor(self, name: str) -> None:
        if name not in self.mixture:
            raise ValueError(f"budget.epochs_of: the stage does not mix {name}")
        if self.mixture[name].epochs is not None:
            raise ValueError(f"budget.epochs_of: {name} has epochs already; name another source")
