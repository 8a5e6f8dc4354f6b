"""Writes `docs/reference/` from the code: ``python docs/generate.py``.

Recipe fields come from the pydantic models and their docstrings, commands from click, reason codes
from `cauldron.core.reasons`, columns from the Arrow schemas, files from the module docstrings. Only
what a column holds is written by hand, in `columns.yaml`. Commit what this script writes; a test
compares.
"""

from __future__ import annotations

import ast
import re
import types
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
import pyarrow as pa
import yaml
from cauldron.training.config import AdapterRules, EvalRules, ModelRules, TrainRecipe
from cauldron.transforms.docmatix.records import DOCUMENT_SCHEMA, PAIR_SCHEMA
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cauldron.cli import main
from cauldron.core import reasons, schema
from cauldron.core.output.evaluations import PREDICTION_SCHEMA, SCORE_SCHEMA
from cauldron.core.sections.docmatix import DocmatixRules
from cauldron.core.sections.fetching import FetchRules, FetchTimeouts
from cauldron.core.sections.models import ModelRules as EndpointModel
from cauldron.core.sections.ratings import RatingRules
from cauldron.core.sections.rules import (
    AgainstRules,
    ClassifierRules,
    DuplicateRules,
    ImageRules,
    LanguageRules,
    LicenseRules,
    TextOverlapRules,
    TextRules,
    UpscaleRules,
)
from cauldron.core.sections.stage import Budget, Portion, StageRecipe, TurnRules
from cauldron.inspect.views import MANIFEST_SCHEMA, PICTURE_SCHEMA
from cauldron.recipe import Recipe, SourceRecipe, packaged_recipes

HERE = Path(__file__).parent
REFERENCE = HERE / "reference"
COMMAND = "python docs/generate.py"

RECIPE_MODELS = (
    Recipe, SourceRecipe, FetchRules, FetchTimeouts, ImageRules, TextRules, LicenseRules,
    LanguageRules, ClassifierRules,
    DuplicateRules, AgainstRules, TextOverlapRules, RatingRules, DocmatixRules, EndpointModel,
    StageRecipe, Budget, Portion, TurnRules, UpscaleRules,
)  # fmt: skip
# Where two classes have one name, the heading of one of them.
HEADINGS: dict[type[BaseModel], str] = {EndpointModel: "EndpointModel"}
TRAIN_MODELS = (TrainRecipe, ModelRules, AdapterRules, EvalRules)

TABLES = {
    "mixture": schema.MIXTURE_SCHEMA,
    "corpus": schema.CORPUS_SCHEMA,
    "quarantine": schema.QUARANTINE_SCHEMA,
    "decisions": schema.DECISION_SCHEMA,
    "clusters": schema.CLUSTER_SCHEMA,
    "contamination": schema.CONTAMINATION_SCHEMA,
    "reviews": schema.REVIEW_SCHEMA,
    "ratings": schema.RATING_SCHEMA,
    "benchmarks": schema.CORPUS_SCHEMA,
    "pictures": PICTURE_SCHEMA,
    "manifest": MANIFEST_SCHEMA,
    "predictions": PREDICTION_SCHEMA,
    "scores": SCORE_SCHEMA,
    "docmatix documents": DOCUMENT_SCHEMA,
    "docmatix pairs": PAIR_SCHEMA,
}

REASONS = {
    "Dropped by a rule": (
        "`outcome` is `dropped` in the quarantine table. Nothing is wrong with the row.",
        reasons.DROPPED,
    ),
    "Quarantined": (
        "`outcome` is `quarantined`: the row could not be read. "
        "These rows count against the recipe's `max_bad_fraction`.",
        reasons.QUARANTINED,
    ),
    "Images by URL that could not be fetched": (
        "`outcome` is `quarantined`. Not these rows but their URLs are counted: against "
        "`fetch.max_failed`, not `max_bad_fraction`.",
        reasons.NOT_FETCHED,
    ),
    "Dropped by curation": ("`decision` is `drop` in the decisions table.", reasons.CURATED_OUT),
    "Merged": (
        "`decision` is `merge` in the decisions table. Rows of `same_image` are merged by ingest "
        "and counted in the manifest only.",
        reasons.MERGED,
    ),
    "Turns left out": (
        "The row stays without these turns, unless none is left (`no_turns`) or it is a dialogue "
        "(`bad_turn`). Counted in the corpus manifest, `turns_dropped`.",
        reasons.TURN_DROPPED,
    ),
    "Turns without a rating": (
        "`reason` in the ratings table; `rating` is null. Such a turn does not drop its row.",
        reasons.NOT_RATED,
    ),
    "Documents of which `cauldron docmatix` makes no row": (
        "In `documents/` and the manifest. `outcome` is `dropped` for these, and for "
        "`too_many_pages`; codes of the table above on PDFs and archives are `quarantined`.",
        reasons.DOCUMENT_DROPPED,
    ),
    "Documents that `cauldron docmatix` cannot read": (
        "In `documents/` and the manifest, `outcome` is `quarantined`.",
        reasons.DOCUMENT_QUARANTINED,
    ),
    "Pairs that `cauldron docmatix` drops": (
        "In `pairs/` and the manifest. The rules are the published ones but for `unpaired`, "
        "`not_in_document` and `no_document`; the first that fits is the reason.",
        reasons.PAIR_DROPPED,
    ),
}

# Folders of the product and what each is imported as.
PRODUCT = ("cauldron", "sources", "transforms", "training")


def pages() -> dict[str, str]:
    """Every generated page by file name."""
    made = {
        "recipe.md": _recipe_page(),
        "tables.md": _tables_page(),
        "commands.md": _commands_page(),
        "reasons.md": _reasons_page(),
        "tree.md": _tree_page(),
    }
    note = f"<!-- Generated from the code by `{COMMAND}`. Do not edit. -->\n\n"
    return {name: note + text.strip() + "\n" for name, text in made.items()}


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _plain(text: str) -> str:
    """A docstring's text as Markdown."""
    return text.replace("``", "`").replace("None:", "null:")


def _heading_of(model: type[BaseModel]) -> str:
    return HEADINGS.get(model, model.__name__)


# Recipes


def _recipe_page() -> str:
    names = " and ".join(f"`{name}`" for name in packaged_recipes())
    parts = [
        "# Recipe fields",
        "A recipe is a YAML file. `extends: NAME_OR_PATH` takes another recipe and holds only what "
        "differs: mappings merge key by key, any other value replaces, and `null` removes a key. "
        f"Packaged recipes: {names}. How to write one: [own recipe](../howto/own-recipe.md).",
        *(_model_section(model) for model in RECIPE_MODELS),
        "# Training fields",
        "Under `training: {STAGE: …}` of a recipe, or `cauldron train --set FIELD=VALUE`. "
        "How to use them: [train](../howto/train.md).",
        *(_model_section(model) for model in TRAIN_MODELS),
    ]
    return "\n\n".join(parts)


def _model_section(model: type[BaseModel]) -> str:
    text, fields = described(model)
    rows = [
        (f"`{name}`", _kind(field), _default(field), fields.get(name, ""))
        for name, field in model.model_fields.items()
    ]
    table = _table(("field", "type", "default", "what it is"), rows)
    return f"## {_heading_of(model)}\n\n{text}\n\n{table}"


def described(model: type[BaseModel]) -> tuple[str, dict[str, str]]:
    """The text above ``Attributes:``, and what stands there for each field."""
    text, _, attributes = (model.__doc__ or "").partition("Attributes:")
    fields: dict[str, str] = {}
    for entry in re.split(r"\n {8}(?=\w)", attributes):
        names, found, said = entry.partition(":")
        if found:
            fields |= {name.strip(): _plain(said).strip() for name in names.split(",")}
    return _plain("\n".join(line.strip() for line in text.strip().splitlines())), fields


def _kind(field: FieldInfo) -> str:
    return _type(field.annotation) + _bounds(field.metadata)


def _type(kind: Any) -> str:
    """A type for people who write YAML."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        constraints = getattr(arguments[1], "metadata", [])
        return _type(arguments[0]) + _bounds(constraints)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_type(argument) for argument in arguments)
    if origin is tuple and arguments[-1] is not Ellipsis:
        return f"[{', '.join(_type(argument) for argument in arguments)}]"
    if origin is tuple:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"mapping of {_type(arguments[0])} to {_type(arguments[1])}"
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return f"[{_heading_of(kind)}](#{_heading_of(kind).lower()})"
    return {type(None): "null", Any: "any value"}.get(kind) or f"{kind.__name__}"


def _bounds(constraints: list[Any]) -> str:
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    said = [
        f"{sign} {getattr(item, name):,}"
        for item in constraints
        for name, sign in signs.items()
        if hasattr(item, name)
    ]
    return f" ({', '.join(said)})" if said else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, tuple):
        value = list(value)
    shown = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    return f"`{shown.removesuffix(chr(10)).removesuffix('...').strip()}`"


# Tables


def _tables_page() -> str:
    said = yaml.safe_load((HERE / "columns.yaml").read_text(encoding="utf-8"))
    parts = ["# Tables", said["about"].strip()]
    for name, columns in TABLES.items():
        phrases = said["columns"] | said["tables"][name].get("columns", {})
        rows = [
            (f"`{path}`", kind, phrases.get(path) or phrases[path.split(".")[-1]])
            for path, kind in columns_of(columns)
        ]
        table = _table(("column", "type", "what it holds"), rows)
        parts.append(f"## {name}\n\n{said['tables'][name]['about'].strip()}\n\n{table}")
    return "\n\n".join(parts)


def columns_of(columns: pa.Schema) -> Iterator[tuple[str, str]]:
    """(path, type) of each column; those inside a struct under ``outer.inner``."""
    for column in columns:
        kind, listed = column.type, ""
        while pa.types.is_list(kind):
            kind, listed = kind.value_type, f"{listed}list of "
        if not pa.types.is_struct(kind) or column.name in ("images", "messages", "thumbnails"):
            yield column.name, f"{listed}{_arrow(kind)}"
            continue
        yield column.name, f"{listed}struct"
        for inner in kind:
            yield f"{column.name}.{inner.name}", _arrow(inner.type)


def _arrow(kind: pa.DataType) -> str:
    if pa.types.is_struct(kind):
        return f"struct({', '.join(f'{inner.name}: {_arrow(inner.type)}' for inner in kind)})"
    if pa.types.is_list(kind):
        return f"list of {_arrow(kind.value_type)}"
    return str(kind)


# Commands


def _commands_page() -> str:
    names = sorted(main.commands)
    parts = [
        "# Commands",
        _plain(main.help or ""),
        "\n".join(f"- [`cauldron {name}`](#cauldron-{name})" for name in names),
        "Every command has `-h` and `--help`. Exit codes: 0 success, 1 failure, 2 wrong usage. "
        "An error is one line on stderr. Options before the command:",
        _options(main),
        *(f"## cauldron {name}\n\n{_command(main.commands[name], name)}" for name in names),
    ]
    return "\n\n".join(parts)


def _command(command: click.Command, name: str) -> str:
    context = click.Context(command, info_name=f"cauldron {name}", terminal_width=100)
    usage = command.get_usage(context).removeprefix("Usage: ")
    about, _, examples = (command.help or "").partition("\b\nExamples:\n")
    lines = "\n".join(line.removeprefix("  ") for line in examples.rstrip().splitlines())
    parts = [f"```\n{usage}\n```", about.strip(), _options(command)]
    return "\n\n".join([*parts, f"```sh\n{lines}\n```"])


def _options(command: click.Command) -> str:
    context = click.Context(command, terminal_width=100)
    options = [item for item in command.params if isinstance(item, click.Option)]
    records = [item.get_help_record(context) for item in options]
    rows = [(f"`{record[0]}`", record[1]) for record in records if record]
    return _table(("option", "what it does"), rows)


# Reasons


def _reasons_page() -> str:
    parts = [
        "# Reason codes",
        "Why a published row is not a row of its own in the mixture. Every code that a build can "
        "write is listed here. How to look one up: "
        "[explain a dropped row](../howto/explain-a-dropped-row.md).",
    ]
    for title, (text, codes) in REASONS.items():
        rows = [(f"`{code}`", meaning) for code, meaning in codes.items()]
        parts.append(f"## {title}\n\n{text}\n\n{_table(('code', 'meaning'), rows)}")
    return "\n\n".join(parts)


# Tree


def _tree_page() -> str:
    parts = [
        "# The tree",
        "Every Python file of the product, with the first sentence of its docstring. `sources/`, "
        "`transforms/` and `training/` are imported as `cauldron.sources`, `cauldron.transforms` "
        "and `cauldron.training`.",
    ]
    root = HERE.parent
    files = sorted(path for top in PRODUCT for path in (root / top).rglob("*.py"))
    for folder in sorted({path.parent for path in files}):
        inside = [path for path in files if path.parent == folder]
        rows = [
            (f"[{path.name}](../../{path.relative_to(root).as_posix()})", _first_sentence(path))
            for path in inside
            if path.name not in ("__init__.py", "__main__.py")
        ]
        about = _first_sentence(folder / "__init__.py")
        parts.append(f"## {folder.relative_to(root).as_posix()}/\n\n{about}")
        if rows:
            parts.append(_table(("file", "what it holds"), rows))
    return "\n\n".join(parts)


def _first_sentence(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first = " ".join(text.split("\n\n")[0].split())
    return _plain(re.split(r"(?<=[.!?])\s", first)[0])


def write() -> None:
    """Write every page."""
    REFERENCE.mkdir(exist_ok=True)
    for name, text in pages().items():
        (REFERENCE / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
