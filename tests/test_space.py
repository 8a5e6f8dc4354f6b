"""A disk that is too small stops a build in one line before work, unless told otherwise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cauldron.transforms.fetching.answers import Answers
from cauldron.transforms.fetching.images import Fetched
from click.testing import CliRunner

from cauldron.cli import main
from cauldron.core.disk import free_bytes
from cauldron.core.errors import CauldronError
from cauldron.pipeline import mix, space
from cauldron.pipeline.build import BuildOptions, build
from cauldron.pipeline.corpora import plan_corpora
from cauldron.recipe import load_recipe
from tests import hubs
from tests.url_hubs import linked, url_recipe, write_pixelprose

GB = int(1e9)


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets how many bytes are free on every local disk."""

    def set_free(size: int) -> None:
        for module in (space, mix):
            monkeypatch.setattr(module, "free_bytes", lambda folder: free_bytes(folder) and size)

    return set_free


@pytest.fixture
def options(tmp_path: Path) -> BuildOptions:
    root = str(tmp_path / "root")
    hubs.write_dolly(root, rows=20)
    hubs.write_sharegpt(root, rows=10)
    recipe = load_recipe(hubs.write_recipe(str(tmp_path / "r.yaml")))
    return BuildOptions(recipe=recipe, stages=("sft",), root=root, output=str(tmp_path / "out"))


def test_free_space_is_that_of_the_nearest_folder_that_is_there(tmp_path: Path) -> None:
    free = free_bytes(str(tmp_path / "not" / "yet"))
    assert free is not None
    assert free > 0
    assert free_bytes("gs://bucket/out") is None


def test_the_exact_size_is_checked_before_any_shard_and_nothing_is_lost(options, full) -> None:
    first = build(options, lambda line: None)[0]
    changed = options.recipe.model_copy(update={"seed": 9})
    again = BuildOptions(changed, ("sft",), options.root, options.output)
    full(1000)
    with pytest.raises(CauldronError, match=r"the mixture of stage sft .* --skip-disk-check") as e:
        build(again, lambda line: None)
    assert "\n" not in str(e.value)
    # The mixture that was there is untouched.
    assert build(options, lambda line: None)[0] == first
    skipping = BuildOptions(changed, ("sft",), options.root, options.output, skip_disk_check=True)
    assert build(skipping, lambda line: None)[0].seed == 9


def test_a_small_build_is_not_stopped_by_an_estimate(options, full) -> None:
    full(0)
    space.check_plan(options, plan_corpora(options)[0])


def test_an_estimate_of_the_corpora_and_mixtures_stops_a_large_build(options, full) -> None:
    recipe = options.recipe.model_copy(update={"statistics": "idefics3_sft"})
    options = BuildOptions(recipe, (), options.root, options.output)
    planned, _ = plan_corpora(options)
    large = [
        type(item)(**{**vars(item), "files": [_sized(file) for file in item.files]})
        for item in planned
    ]
    full(30 * GB)
    with pytest.raises(CauldronError, match=r"30\.0 GB free, and corpora of about") as e:
        space.check_plan(options, large)
    assert "a mixture sft of about" in str(e.value)
    full(10_000 * GB)
    space.check_plan(options, large)
    full(30 * GB)
    space.check_plan(
        BuildOptions(options.recipe, (), options.root, options.output, skip_disk_check=True), large
    )


def test_images_by_url_are_estimated_until_they_are_there(tmp_path: Path, full) -> None:
    write_pixelprose(tmp_path / "hub", [linked(1, number) for number in range(4)])
    root, output = str(tmp_path / "hub"), str(tmp_path / "out")
    options = BuildOptions(url_recipe(), (), root, output)
    planned, _ = plan_corpora(options)
    large = [
        replace(item, files=[_sized(file) for file in item.files]) if item.source.by_url else item
        for item in planned
    ]
    full(1_000 * GB)
    # All 16,896,423 rows, 50 kB each: once as they were fetched, and once in the corpus.
    with pytest.raises(
        CauldronError, match=r"images by URL of about 844\.8 GB and corpora of"
    ) as e:
        space.check_plan(options, large)
    assert "corpora of about 844.8 GB" in str(e.value)
    there = [replace(item, fetched=Fetched(output, Answers(output, 1))) for item in large]
    full(900 * GB)
    space.check_plan(options, there)
    # Its joins: 490 bytes of each row. Other runners keep them elsewhere.
    full(850 * GB)
    with pytest.raises(CauldronError, match=r"files of joins of about 8\.3 GB and a mixture sft"):
        space.check_plan(options, there)
    space.check_plan(replace(options, beam_args=("--runner=DirectRunner",)), there)


def test_joins_take_room_that_a_later_mixture_does_not_need_yet() -> None:
    assert space.before_mixtures([4, 9], [1, 2]) == 7  # the second, beside the first mixture
    assert space.before_mixtures([9, 1], [5, 2]) == 2
    assert space.before_mixtures([4, 1], [5, 2]) == 0


def _sized(file: Any) -> Any:
    return type(file)(**{**{n: getattr(file, n) for n in file.__slots__}, "size": 20 * GB})


def test_the_sample_is_never_stopped_by_the_estimate(sample: Path, tmp_path: Path, full) -> None:
    full(100)
    out = str(tmp_path / "out")
    wanted = BuildOptions(load_recipe("sample"), ("sft",), str(sample), out)
    space.check_plan(wanted, plan_corpora(wanted)[0])


def test_the_option_is_documented() -> None:
    assert "--skip-disk-check" in CliRunner().invoke(main, ["build", "--help"]).output
