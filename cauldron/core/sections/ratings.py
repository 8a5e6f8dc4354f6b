"""Recipe section on ratings: which models rate the turns, and which rows stay."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from cauldron.core.names import SourceName
from cauldron.core.sections.models import ModelRules
from cauldron.core.sections.rules import Strict

Scale = Literal["relevance", "formatting", "visual_dependency", "image_correspondence"]
SCALES: tuple[Scale, ...] = get_args(Scale)
# What a rating needs to see: the text, or the images too.
TEXT_SCALES: tuple[Scale, ...] = ("relevance", "formatting")
VISION_SCALES: tuple[Scale, ...] = ("visual_dependency", "image_correspondence")

Minimum = Annotated[str, Field(pattern="^>=[1-5]$")]


class RatingRules(Strict):
    """Each turn is rated from 1 to 5 by models, with `cauldron rate`. The scales are FineVision's.

    Attributes:
        sources: whose turns are rated; empty for all sources of the recipe.
        text: the model that rates relevance and formatting. null: they are not rated.
        vision: the model that rates visual dependency and image correspondence, of rows with
            images. null: they are not rated.
        keep: the rating that every rated turn of a row must have, e.g. ``{relevance: ">=3"}``;
            other rows are dropped (`low_rating`). Ratings do not change a mixture without it.
    """

    sources: tuple[SourceName, ...] = ()
    text: ModelRules | None = None
    vision: ModelRules | None = None
    keep: dict[Scale, Minimum] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _rated(self) -> RatingRules:
        if self.text is None and self.vision is None:
            raise ValueError("name a model under `text` or `vision`")
        unrated = [scale for scale in self.keep if self.model_of(scale) is None]
        if unrated:
            kind = "text" if unrated[0] in TEXT_SCALES else "vision"
            raise ValueError(f"keep.{unrated[0]}: no model rates it; name one under `{kind}`")
        return self

    def model_of(self, scale: Scale) -> ModelRules | None:
        return self.text if scale in TEXT_SCALES else self.vision

    @property
    def least(self) -> dict[Scale, int]:
        """The smallest rating that `keep` allows, by scale."""
        return {scale: int(minimum[-1]) for scale, minimum in self.keep.items()}
