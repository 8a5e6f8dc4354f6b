"""The catalog: complete, tested, and open to sources of other packages."""

from __future__ import annotations

import importlib
import json
import os
import pickle
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cauldron.sources
import pytest
from cauldron.sources.base import Source
from cauldron.sources.catalog import BUILT_IN, registry

from cauldron.core.errors import UsageError
from cauldron.inspect.statistics import published
from cauldron.recipe import load_recipe, packaged_recipes
from tests.sources.reader_base import ReaderTests

PACKAGE = "acme-proverbs"
MODULE = """
from cauldron.sources.text_only.layouts import Pair
from cauldron.sources.text_only.reader import TextOnly

SOURCE = TextOnly(
    name="proverbs", repo="acme/proverbs", title="Proverbs explained", license="cc0-1.0",
    published_rows=3, published_bytes=300, layout=Pair(("proverb",), ("meaning",)),
    published=("rows.jsonl",),
)
TAKEN = TextOnly(
    name="dolly", repo="acme/dolly", title="Another Dolly", license="cc0-1.0",
    layout=Pair(("q",), ("a",)), published=("rows.jsonl",),
)
"""


def reader_tests(kind: type[ReaderTests] = ReaderTests) -> set[str]:
    """The names of the sources that have a class of the shared tests."""
    own = {kind.name} if hasattr(kind, "name") else set()
    return own.union(*(reader_tests(child) for child in kind.__subclasses__()))


def declared() -> Iterator[Source]:
    """Every source that a module of `cauldron.sources` declares."""
    for module in pkgutil.walk_packages(cauldron.sources.__path__, "cauldron.sources."):
        loaded = importlib.import_module(module.name)
        if hasattr(loaded, "SOURCE"):
            yield loaded.SOURCE
        yield from getattr(loaded, "SOURCES", ())


def test_every_family_has_the_shared_tests() -> None:
    for file in Path(__file__).parent.glob("test_*.py"):
        importlib.import_module(f"tests.sources.{file.stem}")
    # The configurations of the Cauldron share a reader, but for the two that ship no pixels.
    assert {"the_cauldron/clevr_math", "the_cauldron/okvqa"} <= reader_tests()
    families = {registry()[name].repo for name in reader_tests()}
    assert families == {source.repo for source in BUILT_IN}


def test_every_source_that_a_module_declares_is_listed_once() -> None:
    assert sorted(source.name for source in BUILT_IN) == sorted(item.name for item in declared())
    assert len({source.name for source in BUILT_IN}) == len(BUILT_IN)


def test_sources_travel_and_say_their_size() -> None:
    assert [source.name for source in registry().values()] == list(registry())
    assert pickle.loads(pickle.dumps(BUILT_IN)) == BUILT_IN
    assert all(source.published_bytes for source in BUILT_IN)


@pytest.mark.parametrize("recipe", packaged_recipes())
def test_every_source_of_a_packaged_recipe_is_in_the_catalog(recipe: str) -> None:
    loaded = load_recipe(recipe)
    named = set(loaded.sources).union(*(stage.mixture for stage in loaded.stages.values()))
    if loaded.statistics:
        named |= set(published(loaded.statistics))
    assert named <= set(registry())


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for packages, on the import path."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    registry.cache_clear()
    yield folder
    registry.cache_clear()
    sys.modules.pop("acme_proverbs", None)


def install(site: Path, package: str, *entry_points: str) -> None:
    """Lay down a package with entry points, as pip installs it."""
    (site / "acme_proverbs.py").write_text(MODULE)
    (site / "acme_broken.py").write_text("raise RuntimeError('needs a key\\nfrom acme.com')")
    info = site / f"{package.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("\n".join(["[cauldron.sources]", *entry_points, ""]))


def test_a_package_adds_a_source_after_the_built_in_ones(site: Path) -> None:
    install(site, PACKAGE, "proverbs = acme_proverbs:SOURCE")
    names = [source.name for source in BUILT_IN]
    assert list(registry()) == [*names, "proverbs"]
    assert registry()["proverbs"].title == "Proverbs explained"


@pytest.mark.parametrize(
    ("entry_point", "why"),
    [
        ("x = acme_proverbs.absent:SOURCE", "cannot be imported"),
        ("x = acme_proverbs:ABSENT", "cannot be imported"),
        ("x = acme_broken:SOURCE", "cannot be imported .RuntimeError: needs a key"),
        ("x = acme_proverbs:Pair", r"is of type \w+, not a Source"),
        ("x = acme_proverbs:TAKEN", "the name 'dolly' is taken"),
    ],
)
def test_a_package_with_a_wrong_entry_point_is_named_in_one_line(
    site: Path, entry_point: str, why: str
) -> None:
    install(site, PACKAGE, entry_point)
    with pytest.raises(UsageError, match=why) as caught:
        registry()
    assert entry_point in str(caught.value)
    assert f"pip uninstall {PACKAGE}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_packages_cannot_share_a_name(site: Path) -> None:
    install(site, PACKAGE, "proverbs = acme_proverbs:SOURCE")
    install(site, "acme-sayings", "sayings = acme_proverbs:SOURCE")
    with pytest.raises(UsageError, match=r"acme-sayings: the name 'proverbs' is taken"):
        registry()


@pytest.mark.slow
def test_worker_processes_find_the_source_of_a_package(site: Path, tmp_path: Path) -> None:
    install(site, PACKAGE, "proverbs = acme_proverbs:SOURCE")
    repo = tmp_path / "root/acme/proverbs"
    repo.mkdir(parents=True)
    rows = [{"proverb": f"Explain proverb {i}.", "meaning": f"Meaning {i}."} for i in range(3)]
    (repo / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    stage = {"budget": {"epochs_of": {"proverbs": 1}}, "mixture": {"proverbs": 1}}
    recipe = {"name": "own", "stages": {"sft": stage}}
    (tmp_path / "own.yaml").write_text(json.dumps(recipe))
    workers = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    places = ["--root", str(tmp_path / "root"), "--output", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-m", "cauldron", "build", "own.yaml", *places, "--json", *workers],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(site)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["sources"]["proverbs"]["rows"] == 3
