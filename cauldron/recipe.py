"""Recipes: which sources, how they are cleaned, and what each stage mixes.

A recipe is a YAML file. `load_recipe` takes a packaged name (``idefics3``) or a path. A recipe with
``extends: NAME_OR_PATH`` holds only the differences, which are merged key by key.
"""

from __future__ import annotations

import importlib.resources
from typing import Annotated, Any, get_args

from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from cauldron.core import storage
from cauldron.core.errors import UsageError, first_line
from cauldron.core.names import Name, SourceName, did_you_mean, plain_name
from cauldron.core.plain_yaml import parse_yaml
from cauldron.core.sections.docmatix import DocmatixRules
from cauldron.core.sections.fetching import FetchRules
from cauldron.core.sections.ratings import RatingRules
from cauldron.core.sections.rules import (
    AgainstRules,
    ClassifierRules,
    DuplicateRules,
    ImageRules,
    LanguageRules,
    LicenseRules,
    Strict,
    TextRules,
)
from cauldron.core.sections.stage import Budget, Portion, StageRecipe
from cauldron.core.tokenizer import MISTRAL_7B


class SourceRecipe(Strict):
    """One source in a recipe.

    Attributes:
        revision: branch, tag or commit on the hub; the manifest records the commit.
        images, text: changes to the recipe's rules for this source.
        options: options of the source's reader, see its docstring.
        limit: rows to read, the first ones in the published order; null: all. For all stages of
            the recipe: a source has one corpus. ``--limit`` may make it smaller.
        expected_drop: the part of the rows that one rule may drop, 0 to 1. A rule that drops more
            stops the build: most often a setting is wrong. 1 allows anything.
    """

    revision: str | None = None
    images: dict[str, Any] = Field(default_factory=dict)
    text: dict[str, Any] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)
    limit: Annotated[int, Field(ge=1)] | None = None
    expected_drop: Annotated[float, Field(ge=0, le=1)] = 0.5


class Recipe(Strict):
    """A whole recipe. The packaged ``idefics3.yaml`` shows every field.

    Attributes:
        name: of the recipe, in manifests and cards.
        seed: the same seed gives the same bytes.
        tokenizer: what counts tokens, and so decides shares. ``mistral-7b`` counts as the paper
            did, with one BOS an answer; ``estimate`` estimates from bytes; otherwise the hub id or
            path of a ``tokenizer.json``.
        max_bad_fraction: the build fails if a larger part of a source's rows is unreadable.
        statistics: published counts, for `weigh_by: published` and for comparisons: a packaged
            table's name, or the path of a CSV file with the same columns.
        fetch: how images that are known by their URL are fetched.
        images, text: how images and texts of every source are treated.
        licenses: which licences are allowed.
        language: which languages are kept.
        classifiers: fastText filters; a row must pass all of them.
        duplicates: how near-duplicate pictures are found and treated. None: they are not searched
            for, and only exact copies of rows are merged.
        against: benchmarks to keep out.
        ratings: which models rate the turns, with `cauldron rate`, and which rows stay. null: none.
        sources: what differs for a source, by its name.
        stages: the mixtures, by stage.
        docmatix: how `cauldron docmatix` makes pairs from PDFs; does not affect mixtures. None: as
            published.
        training: how each stage trains (`cauldron.training.config.TrainRecipe`); does not affect
            mixtures.
    """

    name: Name
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] = 0
    tokenizer: Annotated[str, Field(min_length=1)] = MISTRAL_7B
    max_bad_fraction: Annotated[float, Field(ge=0, le=1)] = 0.05
    statistics: str | None = None
    fetch: FetchRules = FetchRules()
    images: ImageRules = ImageRules()
    text: TextRules = TextRules()
    licenses: LicenseRules = LicenseRules()
    language: LanguageRules = LanguageRules()
    classifiers: tuple[ClassifierRules, ...] = ()
    duplicates: DuplicateRules | None = None
    against: AgainstRules = AgainstRules()
    ratings: RatingRules | None = None
    sources: dict[SourceName, SourceRecipe] = Field(default_factory=dict)
    stages: dict[Name, StageRecipe]
    docmatix: DocmatixRules | None = None
    training: dict[Name, dict[str, Any]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _source_rules_are_valid(self) -> Recipe:
        for name in self.sources:
            self._check_rules(name, "images", ImageRules)
            self._check_rules(name, "text", TextRules)
        return self

    @model_validator(mode="after")
    def _weighed_by_a_table(self) -> Recipe:
        for name, stage in self.stages.items():
            if stage.weigh_by == "published" and self.statistics is None:
                raise ValueError(
                    f"stages.{name}.weigh_by: published needs a table of counts in `statistics`"
                )
        return self

    def _check_rules(self, name: str, place: str, rules: type[ImageRules | TextRules]) -> None:
        try:
            rules.model_validate(getattr(self.source(name), place))
        except ValidationError as error:
            raise ValueError(f"sources.{name}.{place}.{_problems(error, rules)}") from None

    def is_rated(self, source: str) -> bool:
        rules = self.ratings
        return rules is not None and (not rules.sources or source in rules.sources)

    def source(self, name: str) -> SourceRecipe:
        return self.sources.get(name, SourceRecipe())

    @property
    def limits(self) -> dict[str, int]:
        """The most rows to read, by source, of those that have a limit."""
        return {name: item.limit for name, item in self.sources.items() if item.limit is not None}

    def limit_of(self, source: str, given: int = -1) -> int:
        """Rows to read of a source, -1 for all: the smaller one of the recipe's limit and `given`,
        which is that of ``--limit``, -1 for none."""
        limits = [self.source(source).limit, given if given >= 0 else None]
        return min((limit for limit in limits if limit is not None), default=-1)

    def image_rules(self, name: str) -> ImageRules:
        merged = self.images.model_dump() | self.source(name).images
        return ImageRules.model_validate(merged)

    def text_rules(self, name: str) -> TextRules:
        merged = self.text.model_dump() | self.source(name).text
        return TextRules.model_validate(merged)

    def duplicate_rules(self, stage: str) -> DuplicateRules | None:
        """How a stage treats near-duplicates; None if they are not searched for."""
        action = self.stage(stage).duplicates
        if action is None:
            return self.duplicates
        return (self.duplicates or DuplicateRules()).model_copy(update={"action": action})

    def stage(self, name: str) -> StageRecipe:
        """Raises UsageError for an unknown stage."""
        if name not in self.stages:
            known = ", ".join(self.stages)
            raise UsageError(
                f"recipe {self.name!r} has no stage {name!r}; it has: {known}"
                + did_you_mean(name, self.stages)
            )
        return self.stages[name]


def load_recipe(name_or_path: str) -> Recipe:
    """Read and validate a recipe. Raises UsageError that names the invalid fields."""
    values = _read(name_or_path, ())
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"recipe {name_or_path}: {_problems(error, Recipe)}") from None


def parent_recipe(name_or_path: str) -> Recipe | None:
    """The recipe that a recipe extends; None if it stands alone."""
    parent = _values(name_or_path).get("extends")
    return None if parent is None else load_recipe(str(parent))


def _problems(error: ValidationError, section: type[BaseModel]) -> str:
    """The first five problems in one line, with the field that is nearest to a wrong one.

    Args:
        section: what was validated.
    """
    return "; ".join(
        ": ".join([*filter(None, [".".join(map(str, item["loc"]))]), _message(item, section)])
        for item in error.errors()[:5]
    )


def _message(item: ErrorDetails, section: type[BaseModel]) -> str:
    if item["type"] != "extra_forbidden":
        return item["msg"].removeprefix("Value error, ")
    *place, name = map(str, item["loc"])
    for part in place:
        if part in section.model_fields:
            section = _section(section.model_fields[part].annotation) or section
    return "no such field" + did_you_mean(name, section.model_fields)


def _section(annotation: Any) -> type[BaseModel] | None:
    """The model in a field's type, as in ``dict[str, Model]``; None if there is none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_section(part) for part in get_args(annotation))
    return next((section for section in found if section is not None), None)


def packaged_recipes() -> list[str]:
    folder = importlib.resources.files("cauldron") / "recipes"
    names = [entry.name for entry in folder.iterdir() if entry.name.endswith(".yaml")]
    return sorted(name.removesuffix(".yaml") for name in names)


def _read(name_or_path: str, seen: tuple[str, ...]) -> dict[str, Any]:
    if name_or_path in seen:
        raise UsageError(f"recipe {name_or_path} extends itself")
    values = _values(name_or_path)
    parent = values.pop("extends", None)
    if parent is None:
        return values
    return merge(_read(str(parent), (*seen, name_or_path)), values)


def _values(name_or_path: str) -> dict[str, Any]:
    """The fields of one file, not those of the recipe that it extends."""
    try:
        values = parse_yaml(_text(name_or_path))
    except ValueError as error:
        raise UsageError(f"recipe {name_or_path} {error}") from None
    if not isinstance(values, dict):
        raise UsageError(f"recipe {name_or_path} is not a mapping of fields")
    return values


def _text(name_or_path: str) -> str:
    if name_or_path in packaged_recipes():
        folder = importlib.resources.files("cauldron") / "recipes"
        return (folder / f"{name_or_path}.yaml").read_text(encoding="utf-8")
    try:
        return storage.read_bytes(name_or_path).decode()
    except FileNotFoundError:
        known = packaged_recipes()
        raise UsageError(
            f"no recipe {name_or_path!r}: neither a file nor a packaged name ({', '.join(known)})"
            + did_you_mean(name_or_path, known)
        ) from None
    except UnicodeDecodeError:
        raise ValueError("is not text in UTF-8") from None
    except OSError as error:
        raise ValueError(f"cannot be read: {first_line(error)}") from None


# Mappings of which exactly one key is given: another key takes the place of the first.
_CHOICES = (frozenset(Budget.model_fields), frozenset(Portion.model_fields))


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Merge mappings recursively. Other values, also lists, are replaced; null removes a key."""
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(old, dict) and not _is_choice(old, value):
            result[key] = merge(old, value)
        else:
            result[key] = value
    return result


def _is_choice(old: dict[str, Any], new: dict[str, Any]) -> bool:
    return any(old and new and {*old, *new} <= choice for choice in _CHOICES)


def with_weights(recipe: Recipe, changes: tuple[str, ...]) -> Recipe:
    """The recipe with changed weights, in every stage that has the source.

    Args:
        changes: each ``SOURCE=WEIGHT``, from the command line.

    Raises:
        UsageError: a change has another form, or no stage has the source.
    """
    if not changes:
        return recipe
    values = recipe.model_dump(exclude_unset=True)
    for change in changes:
        source, _, weight = change.partition("=")
        stages = [stage for stage in values["stages"].values() if source in stage["mixture"]]
        if not stages:
            known = {name for stage in values["stages"].values() for name in stage["mixture"]}
            raise UsageError(
                f"--weight {change}: no stage of {recipe.name!r} mixes {source!r}"
                + did_you_mean(source, known)
            )
        for stage in stages:
            stage["mixture"][source] = {"weight": weight}
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"--weight: {error.errors()[0]['msg']}") from None


def with_benchmarks(recipe: Recipe, against: tuple[str, ...]) -> Recipe:
    """The recipe with more benchmarks to keep out.

    Args:
        against: each ``NAME=PATH``, from the command line.

    Raises:
        UsageError: an item has another form, or a name is given twice.
    """
    added: dict[str, str] = {}
    for item in against:
        name, _, path = item.partition("=")
        if not name or not path:
            raise UsageError(f"--against {item}: give NAME=PATH")
        try:
            plain_name(name)
        except ValueError as error:
            raise UsageError(f"--against {item}: {error}") from None
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
