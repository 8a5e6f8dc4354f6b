"""The reference is what the code says today."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest
import yaml

from tests.docs.markdown import ROOT

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_up_to_date(generate: ModuleType) -> None:
    pages = generate.pages()
    there = {path.name: path.read_text() for path in (DOCS / "reference").glob("*.md")}
    assert there.keys() == pages.keys()
    old = [name for name, text in pages.items() if there[name] != text]
    assert not old, f"{', '.join(old)} differ from the code; run: {generate.COMMAND}"


def test_every_recipe_field_says_what_it_is(generate: ModuleType) -> None:
    bare = [
        f"{model.__name__}.{name}"
        for model in (*generate.RECIPE_MODELS, *generate.TRAIN_MODELS)
        for name in model.model_fields
        if not generate.described(model)[1].get(name)
    ]
    assert not bare, f"no text under Attributes: {', '.join(bare)}"


def test_no_phrase_describes_a_column_that_is_not_there(generate: ModuleType) -> None:
    said = yaml.safe_load((DOCS / "columns.yaml").read_text())
    paths = {
        name: [path for path, _ in generate.columns_of(schema)]
        for name, schema in generate.TABLES.items()
    }
    for table, entry in said["tables"].items():
        assert set(entry.get("columns", {})) <= set(paths[table]), table
    every = {path for found in paths.values() for path in found}
    assert set(said["columns"]) <= every | {path.split(".")[-1] for path in every}
