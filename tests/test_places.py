"""No recipe overwrites another's mixture, and an old one stays until the new one is whole."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import datasets
import pytest
from cauldron.transforms.mixing import pipeline
from click.testing import CliRunner

from cauldron.cli import main
from cauldron.core import storage
from cauldron.core.errors import CauldronError, UsageError
from cauldron.core.output.manifests import MixtureManifest
from cauldron.core.output.mixture import find_mixture, load_mixture
from cauldron.inspect.query import run_query
from cauldron.inspect.verify import verify
from cauldron.pipeline.build import BuildOptions, build
from cauldron.recipe import load_recipe
from tests import hubs

STATES: dict[str, dict[str, Any]] = {
    "first": {"dolly": 1},
    "second": {"dolly": 1, "sharegpt_4o": 1},
    "third": {"sharegpt_4o": 1},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("root"))
    hubs.write_dolly(folder, rows=60, broken=0)
    hubs.write_sharegpt(folder, rows=20, turns=2)
    return folder


def run(root: str, out: str, mixture: dict[str, Any], recipe: str = "test") -> MixtureManifest:
    stage = {
        "budget": {"samples": 60},
        "mixture": mixture,
        "shard_bytes": 20_000,
        "row_group_bytes": 10_000,
    }
    path = Path(f"{out}.yaml")
    path.write_text(json.dumps({"name": recipe, "stages": {"sft": stage}}))
    options = BuildOptions(
        recipe=load_recipe(str(path)),
        stages=("sft",),
        root=root,
        output=out,
        beam_args=("--direct_num_workers=1",),
    )
    return build(options, lambda line: None)[0]


@pytest.fixture(scope="module")
def two_recipes(root: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = str(tmp_path_factory.mktemp("two") / "out")
    run(root, out, STATES["first"], "mine")
    run(root, out, STATES["second"], "my-other")
    return out


@pytest.fixture
def out(root: str, tmp_path: Path) -> str:
    """A finished mixture of the first state."""
    folder = str(tmp_path / "out")
    run(root, folder, STATES["first"])
    return folder


def rows_of(out: str, view: str) -> int:
    stream = io.StringIO()
    run_query(out, f"SELECT count(*) AS n FROM {view}", "json", None, stream)
    return int(json.loads(stream.getvalue())[0]["n"])


def fingerprints(out: str) -> set[str]:
    return set(storage.list_folders(f"{out}/mixtures/test/sft/data"))


def fail_after(shards: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The build fails when it has written so many shards."""
    done = 0
    real = pipeline.write_shard

    def write(*arguments: Any) -> dict[str, Any]:
        nonlocal done
        if done == shards:
            raise OSError("the disk is gone")
        done += 1
        return real(*arguments)

    monkeypatch.setattr(pipeline, "write_shard", write)


def killed(root: str, out: str, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build of this state that fails after two shards."""
    with monkeypatch.context() as patch:
        fail_after(2, patch)
        with pytest.raises(CauldronError, match="the disk is gone"):
            run(root, out, STATES[state])


# Two recipes


def test_two_recipes_keep_their_mixtures(two_recipes: str) -> None:
    for recipe, sources in (("mine", 1), ("my-other", 2)):
        mixture = load_mixture(f"{two_recipes}/mixtures/{recipe}/sft")
        assert len(mixture.manifest.sources) == sources
        assert len(list(mixture.rows(["id"]))) == mixture.manifest.totals.rows
    assert verify(two_recipes) == []


def test_each_is_a_view_and_the_stage_alone_names_both(two_recipes: str) -> None:
    assert rows_of(two_recipes, "mine.sft") == 60
    assert rows_of(two_recipes, '"my-other".sft') == 60
    for sql in ("FROM sft", "SELECT count(*) FROM SFT"):
        with pytest.raises(UsageError) as caught:
            run_query(two_recipes, sql)
        said = str(caught.value).lower()
        assert said == 'sft is a stage of 2 recipes: write mine.sft or "my-other".sft'
    stream = io.StringIO()
    run_query(two_recipes, "SELECT DISTINCT recipe, stage FROM manifest", "json", None, stream)
    assert sorted(row["recipe"] for row in json.loads(stream.getvalue())) == ["mine", "my-other"]


def test_training_asks_which_of_both(
    two_recipes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(two_recipes, "cauldron-out")
    for more in ([], ["--print-config"]):
        done = CliRunner().invoke(main, ["train", "--stage", "sft", *more])
        assert (done.exit_code, done.output) == (
            2,
            "cauldron: sft is a stage of 2 recipes: give --mixture "
            "./cauldron-out/mixtures/mine/sft or ./cauldron-out/mixtures/my-other/sft\n",
        )
    shutil.rmtree("cauldron-out/mixtures/mine")
    done = CliRunner().invoke(main, ["train", "--stage", "sft", "--print-config"])
    assert "mixture: ./cauldron-out/mixtures/my-other/sft\n" in done.output
    done = CliRunner().invoke(main, ["train", "--stage", "stage1"])
    assert done.exit_code == 1
    assert done.output.startswith("cauldron: no finished mixture of stage stage1 in ./cauldron-out")


@pytest.mark.parametrize("recipe", ["main", "Temp", "select", "2nd", "a.b"])
def test_any_name_of_a_recipe_can_be_queried_as_it_is_printed(
    root: str, two_recipes: str, tmp_path: Path, recipe: str
) -> None:
    from cauldron.inspect.views import mixture_view

    out = str(tmp_path / "out")
    shutil.copytree(two_recipes, out)
    manifest = run(root, out, STATES["first"], recipe)
    assert rows_of(out, mixture_view(manifest).sql) == 60
    assert verify(out) == []


# The same recipe again


def test_the_old_mixture_stays_whole_until_the_new_one_is(
    root: str, out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = load_mixture(find_mixture(out, "sft"))
    killed(root, out, "second", monkeypatch)
    assert load_mixture(old.folder).manifest == old.manifest
    assert len(list(old.rows(["id"]))) == rows_of(out, "sft") == 60
    assert verify(out) == []
    new = run(root, out, STATES["second"])
    assert load_mixture(old.folder).manifest == new
    assert fingerprints(out) == {new.fingerprint}
    assert verify(out) == []


def test_a_killed_build_goes_on_from_its_own_shards(
    root: str, out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(root, out, "second", monkeypatch)
    killed(root, out, "third", monkeypatch)
    written = {p: p.stat().st_mtime_ns for p in Path(out).glob("mixtures/**/*.parquet")}
    new = run(root, out, STATES["second"])
    kept = [path for path in Path(out).glob("mixtures/**/*.parquet") if path in written]
    assert len(kept) == 2 < len(new.shards)
    assert all(path.stat().st_mtime_ns == written[path] for path in kept)
    assert fingerprints(out) == {new.fingerprint}  # also those of the third state are gone
    assert verify(out) == []


@pytest.mark.parametrize("again", ["first", "second"])
def test_a_build_that_died_at_the_switch_is_cleaned_up(
    root: str, out: str, monkeypatch: pytest.MonkeyPatch, again: str
) -> None:
    """Before the manifest is written, or after it and before the old shards are deleted."""
    place = {"first": "write_bytes", "second": "remove"}[again]
    real = getattr(storage, place)

    def die(path: str, *rest: Any) -> None:
        if path.endswith("sft/manifest.json") or ("sft/data/" in path and "_done" not in path):
            raise OSError("gone")
        real(path, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(storage, place, die)
        with pytest.raises(OSError, match="gone"):
            run(root, out, STATES["second"])
    assert len(fingerprints(out)) == 2
    found = run(root, out, STATES[again])
    assert fingerprints(out) == {found.fingerprint}
    card = Path(out, "mixtures/test/sft/README.md").read_text()
    assert f"data/{found.fingerprint}/train-*.parquet" in card
    assert verify(out) == []


def test_what_others_put_beside_the_shards_is_kept_and_named(root: str, out: str) -> None:
    own = Path(out, "mixtures/test/sft/data/notes/mine.txt")
    own.parent.mkdir()
    own.write_text("mine")
    stray = Path(out, "mixtures/test/sft/data/stray.parquet")
    stray.write_text("stray")
    run(root, out, STATES["second"])
    assert own.read_text() == "mine"
    assert [line for line in verify(out) if "stray.parquet" in line]


def test_a_reader_of_a_replaced_mixture_gets_one_line(root: str, out: str) -> None:
    old = load_mixture(find_mixture(out, "sft"))
    rows = old.rows(["id"])
    next(rows)
    run(root, out, STATES["second"])
    with pytest.raises(CauldronError, match="open it again") as caught:
        list(rows)
    assert "\n" not in str(caught.value)


def test_load_dataset_reads_one_mixture_while_two_stand(
    root: str, out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(root, out, "second", monkeypatch)
    folder = f"{out}/mixtures/test/sft"
    rows = datasets.load_dataset(folder, split="train", cache_dir=str(tmp_path / "cache"))
    assert len(rows) == 60
    run(root, out, STATES["second"])
    for arguments in ((folder,), ("parquet", None, folder)):
        rows = datasets.load_dataset(*arguments, split="train", cache_dir=str(tmp_path / "cache2"))
        assert len(rows) == load_mixture(folder).manifest.totals.rows


# Outputs of older versions


def test_the_layout_of_an_older_version_is_one_line(root: str, out: str) -> None:
    old = Path(out, "mixtures/sft")
    old.mkdir()
    values = json.loads(Path(out, "mixtures/test/sft/manifest.json").read_text())
    (old / "manifest.json").write_text(json.dumps(values | {"format": 1}))
    line = "mixtures/sft/manifest.json is of an older version, in another layout: remove "
    for read in (verify, lambda out: run_query(out, "SELECT 1"), lambda _: load_mixture(str(old))):
        with pytest.raises(CauldronError, match=line) as caught:
            read(out)
        assert "\n" not in str(caught.value)
    shutil.rmtree(f"{out}/mixtures/test")
    with pytest.raises(CauldronError, match=line):
        find_mixture(out, "sft")
