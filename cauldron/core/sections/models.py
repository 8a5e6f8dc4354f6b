"""Which model answers a question, and how: what a recipe says of a model behind an endpoint."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator

from cauldron.core.sections.rules import Strict

_RESERVED = {"model", "messages", "stream", "n"}


class ModelRules(Strict):
    """A model and its parameters. All of it decides which stored answers are used.

    Attributes:
        name: as the endpoint knows the model.
        revision: which weights these are. The endpoint is not told; a new revision asks anew.
        temperature: 0 for the likeliest answer.
        seed: of the sampling, for endpoints that take one.
        max_tokens: the longest answer.
        extra: further fields of the request, e.g. ``{top_p: 0.9}`` or what only one server knows.
            null leaves a field out: ``{max_tokens: null, max_completion_tokens: 64}``.
    """

    name: Annotated[str, Field(min_length=1)]
    revision: str = ""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    max_tokens: Annotated[int, Field(gt=0)] = 2000
    extra: dict[str, Any] = Field(default_factory=dict)

    @field_validator("extra")
    @classmethod
    def _is_extra(cls, value: dict[str, Any]) -> dict[str, Any]:
        own = sorted(_RESERVED & value.keys())
        if own:
            raise ValueError(f"{own[0]} cannot be set here")
        return value

    def parameters(self) -> dict[str, Any]:
        """The fields of a request, without its messages."""
        fields = {
            "model": self.name,
            "temperature": self.temperature,
            "seed": self.seed,
            "max_tokens": self.max_tokens,
        }
        return {key: value for key, value in (fields | self.extra).items() if value is not None}
