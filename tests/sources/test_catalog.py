"""Every registered source passes the shared tests, and is what recipes call it."""

from __future__ import annotations

import importlib
import pickle
from pathlib import Path

from cauldron.sources.catalog import registry

from tests.sources.reader_base import ReaderTests


def reader_tests(kind: type[ReaderTests] = ReaderTests) -> set[str]:
    own = {kind.name} if hasattr(kind, "name") else set()
    return own.union(*(reader_tests(child) for child in kind.__subclasses__()))


def test_every_family_has_the_shared_tests() -> None:
    for file in Path(__file__).parent.glob("test_*.py"):
        importlib.import_module(f"tests.sources.{file.stem}")
    tested = reader_tests()
    # The 50 configurations share a reader, but for the two that ship no pixels.
    assert {"the_cauldron/clevr_math", "the_cauldron/okvqa"} <= tested
    families = {registry()[name].repo for name in tested}
    assert families == {source.repo for source in registry().values()}


def test_the_catalog_is_complete_and_travels() -> None:
    sources = list(registry().values())
    assert len(sources) == 50 + 6 + 9
    assert [source.name for source in sources] == list(registry())
    assert pickle.loads(pickle.dumps(sources)) == sources
    assert all(source.published_bytes for source in sources)
