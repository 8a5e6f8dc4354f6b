"""Recipes: which sources, how they are cleaned, and what each stage mixes.

A recipe is a YAML file. `load_recipe` takes a packaged name (``idefics3``) or a path; a recipe
that says ``extends: NAME_OR_PATH`` holds only what differs, merged key by key.
"""

from __future__ import annotations

import importlib.resources
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from cauldron import storage
from cauldron.errors import UsageError
from cauldron.rules import (
    Action,
    AgainstRules,
    ClassifierRules,
    DuplicateRules,
    ImageRules,
    LanguageRules,
    Strict,
    TextRules,
    UpscaleChoice,
)

MIB = 1024 * 1024


class SourceRecipe(Strict):
    """One source in a recipe.

    Attributes:
        revision: branch, tag or commit on the hub; resolved to a commit in the manifest.
        images, text: what differs from the recipe's own rules for this source.
        options: the reader's own options (see its docstring).
    """

    revision: str | None = None
    images: dict[str, Any] = Field(default_factory=dict)
    text: dict[str, Any] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)


class Budget(Strict):
    """How large a mixture is; exactly one of the three.

    Attributes:
        answer_tokens: answer tokens in the whole mixture.
        samples: rows in the whole mixture.
        epochs_of_largest: how often the source with the largest share is passed over.
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
    """How much of a source a stage takes.

    Attributes:
        weight: share of answer tokens in proportion to tokens x weight, the authors' scheme.
        share: share of the stage's answer tokens, 0 to 1; weighted sources divide the rest.
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
    """What a copy of a row keeps of its turns.

    Attributes:
        shuffle: a new order of turns for every copy; sources whose turns build on each other
            (`dialogue`) always keep theirs.
        cap: at most this many turns a copy; None: all. The authors: 7.
    """

    shuffle: bool = True
    cap: Annotated[int, Field(gt=0)] | None = 7


class StageRecipe(Strict):
    """One stage's mixture.

    Attributes:
        longest_edge: images are tiled after scaling their longest side to at most this many
            pixels; decides image tokens only, stored pixels stay.
        tile: side of a tile in pixels.
        upscale: of images smaller than the limit. ``never``: up to whole tiles only (the authors'
            training code); ``published``: to the full grid, as the published processor does, four
            times the tokens for 640 x 480; ``{up_to: 2}``: by a factor at most. Decides image
            tokens here, and what `cauldron train` does with this mixture.
        shard_bytes: target size of a shard.
        row_group_bytes: a reader holds one row group in memory.
        max_epochs: no source is passed over more often.
        duplicates: what becomes of near-duplicates here, where it differs from the recipe's.
    """

    budget: Budget
    mixture: dict[str, Portion]
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


class Recipe(Strict):
    """A whole recipe; see the packaged ``idefics3.yaml`` for every field in use.

    Attributes:
        seed: of every choice; the same seed gives the same bytes.
        tokenizer: hub id or path of a ``tokenizer.json``; None: token counts are estimated.
        max_bad_fraction: a source that loses a larger part to unreadable rows fails the build.
        statistics: name of a packaged table of published counts, which `plan` uses before
            anything is built.
        duplicates: how near-duplicate pictures are found and treated. None: they are not looked
            for, and only exact copies of rows merge.
        against: benchmarks to keep out.
        training: how each stage trains (`cauldron.training.config.TrainRecipe`); changes no
            mixture.
    """

    name: str
    seed: int = 0
    tokenizer: str | None = None
    max_bad_fraction: Annotated[float, Field(ge=0, le=1)] = 0.05
    statistics: str | None = None
    images: ImageRules = ImageRules()
    text: TextRules = TextRules()
    language: LanguageRules = LanguageRules()
    classifiers: tuple[ClassifierRules, ...] = ()
    duplicates: DuplicateRules | None = None
    against: AgainstRules = AgainstRules()
    sources: dict[str, SourceRecipe] = Field(default_factory=dict)
    stages: dict[str, StageRecipe]
    training: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _source_rules_are_valid(self) -> Recipe:
        for name in self.sources:
            self.image_rules(name)
            self.text_rules(name)
        return self

    def source(self, name: str) -> SourceRecipe:
        return self.sources.get(name, SourceRecipe())

    def image_rules(self, name: str) -> ImageRules:
        merged = self.images.model_dump() | self.source(name).images
        return ImageRules.model_validate(merged)

    def text_rules(self, name: str) -> TextRules:
        merged = self.text.model_dump() | self.source(name).text
        return TextRules.model_validate(merged)

    def duplicate_rules(self, stage: str) -> DuplicateRules | None:
        """How a stage treats near-duplicates; None when they are not looked for."""
        action = self.stage(stage).duplicates
        if action is None:
            return self.duplicates
        return (self.duplicates or DuplicateRules()).model_copy(update={"action": action})

    def stage(self, name: str) -> StageRecipe:
        """Raises UsageError for an unknown stage."""
        if name not in self.stages:
            known = ", ".join(self.stages)
            raise UsageError(f"recipe {self.name!r} has no stage {name!r}; it has: {known}")
        return self.stages[name]


def load_recipe(name_or_path: str) -> Recipe:
    """Read and validate a recipe. Raises UsageError with what is wrong and where."""
    values = _read(name_or_path, ())
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}"
            for item in error.errors()[:5]
        )
        raise UsageError(f"recipe {name_or_path}: {problems}") from None


def packaged_recipes() -> list[str]:
    folder = importlib.resources.files("cauldron") / "recipes"
    names = [entry.name for entry in folder.iterdir() if entry.name.endswith(".yaml")]
    return sorted(name.removesuffix(".yaml") for name in names)


def _read(name_or_path: str, seen: tuple[str, ...]) -> dict[str, Any]:
    if name_or_path in seen:
        raise UsageError(f"recipe {name_or_path} extends itself")
    try:
        values = yaml.safe_load(_text(name_or_path))
    except yaml.YAMLError as error:
        raise UsageError(f"recipe {name_or_path} is not YAML: {error}") from None
    if not isinstance(values, dict):
        raise UsageError(f"recipe {name_or_path} is not a mapping of fields")
    parent = values.pop("extends", None)
    if parent is None:
        return values
    return merge(_read(str(parent), (*seen, name_or_path)), values)


def _text(name_or_path: str) -> str:
    if name_or_path in packaged_recipes():
        folder = importlib.resources.files("cauldron") / "recipes"
        return (folder / f"{name_or_path}.yaml").read_text(encoding="utf-8")
    try:
        return storage.read_bytes(name_or_path).decode()
    except FileNotFoundError:
        known = ", ".join(packaged_recipes())
        raise UsageError(
            f"no recipe {name_or_path!r}: neither a file nor a packaged name ({known})"
        ) from None


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Deep merge of mappings; any other value, lists too, replaces. A null removes a key."""
    result = dict(base)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merge(result[key], value)
        else:
            result[key] = value
    return result


def with_weights(recipe: Recipe, changes: tuple[str, ...]) -> Recipe:
    """A recipe with some weights replaced in every stage that has the source.

    Args:
        changes: ``SOURCE=WEIGHT``, as typed on a command line.

    Raises:
        UsageError: not of that form, or no stage has the source.
    """
    if not changes:
        return recipe
    values = recipe.model_dump(exclude_unset=True)
    for change in changes:
        source, _, weight = change.partition("=")
        stages = [stage for stage in values["stages"].values() if source in stage["mixture"]]
        if not stages:
            raise UsageError(f"--weight {change}: no stage of {recipe.name!r} mixes {source!r}")
        for stage in stages:
            stage["mixture"][source] = {"weight": weight}
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"--weight: {error.errors()[0]['msg']}") from None


def with_benchmarks(recipe: Recipe, against: tuple[str, ...]) -> Recipe:
    """A recipe that keeps more benchmarks out.

    Args:
        against: ``NAME=PATH``, as typed on a command line.

    Raises:
        UsageError: not of that form, or a name twice.
    """
    added: dict[str, str] = {}
    for item in against:
        name, _, path = item.partition("=")
        if not name or not path:
            raise UsageError(f"--against {item}: give NAME=PATH")
        if name in added:
            raise UsageError(f"--against {item}: {name} is given twice")
        added[name] = path
    if not added:
        return recipe
    rules = recipe.against
    benchmarks = rules.benchmarks | added
    return recipe.model_copy(
        update={"against": rules.model_copy(update={"benchmarks": benchmarks})}
    )
