"""A limit on a source's rows in the recipe: what is read, fetched, planned and told."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cauldron.transforms.mixing.selection import Terms, is_trial
from click.testing import CliRunner

from cauldron.cli import main
from cauldron.core.errors import UsageError
from cauldron.core.output.manifests import MixtureManifest, read_manifest
from cauldron.core.shares import SourceCounts
from cauldron.inspect.card import write_card
from cauldron.inspect.planning.plan import plans, together
from cauldron.inspect.verify import verify
from cauldron.pipeline.build import BuildOptions, build
from cauldron.recipe import Recipe, load_recipe
from tests.doubles.images import ImageServer
from tests.url_hubs import build_urls, corpora, linked, url_recipe, write_pixelprose

TWO_WORKERS = ("--direct_num_workers=2", "--direct_running_mode=multi_processing")


def limited(recipe: Recipe, **limits: int) -> Recipe:
    values = recipe.model_dump(exclude_unset=True)
    sources = values.setdefault("sources", {})
    for name, limit in limits.items():
        sources[name] = {**sources.get(name, {}), "limit": limit}
    return Recipe.model_validate(values)


@pytest.fixture
def server() -> Iterator[ImageServer]:
    with ImageServer({}) as server:
        yield server


@pytest.fixture
def hub(tmp_path: Path, server: ImageServer) -> Path:
    write_pixelprose(tmp_path / "hub", [linked(server.port, n) for n in range(20)])
    return tmp_path / "hub"


def asked(server: ImageServer) -> Counter[str]:
    return Counter(line.path for line in server.log)


def mixture(output: Path) -> MixtureManifest:
    return read_manifest(MixtureManifest, str(output / "mixtures/urls/sft"))


@pytest.mark.parametrize(
    ("recipe_limit", "given", "expected"),
    [(None, -1, -1), (None, 7, 7), (7, -1, 7), (7, 3, 3), (3, 7, 3)],
)
def test_of_two_limits_the_smaller_one_holds(
    recipe_limit: int | None, given: int, expected: int
) -> None:
    recipe = (
        url_recipe() if recipe_limit is None else limited(url_recipe(), pixelprose=recipe_limit)
    )
    assert recipe.limit_of("pixelprose", given) == expected
    assert recipe.limit_of("dolly", given) == given


def test_only_rows_within_the_limit_are_read_and_fetched(
    hub: Path, server: ImageServer, tmp_path: Path
) -> None:
    build_urls(hub, tmp_path / "out", limited(url_recipe(), pixelprose=6))
    (corpus,) = corpora(tmp_path / "out")
    assert (corpus.limit, corpus.counts.rows_in, corpus.counts.kept) == (6, 6, 6)
    # The first file holds the even ones.
    assert asked(server) == Counter(f"/{n}.jpg" for n in range(0, 12, 2))
    assert verify(str(tmp_path / "out")) == []
    found = mixture(tmp_path / "out").sources
    assert (found["pixelprose"].limit, found["dolly"].limit) == (6, -1)
    card = (tmp_path / "out/mixtures/urls/sft/README.md").read_text()
    told = "the first 6 rows were read, of 6 at most; 16,896,423 are published"
    assert f"| pixelprose | {told}" in card
    assert (
        "| dolly |" not in card[card.index("## Sources with a limit") : card.index("## Licences")]
    )


def test_a_raised_limit_makes_a_new_corpus_and_asks_for_new_urls_alone(
    hub: Path, server: ImageServer, tmp_path: Path
) -> None:
    build_urls(hub, tmp_path / "out", limited(url_recipe(), pixelprose=6))
    server.log.clear()
    build_urls(hub, tmp_path / "out", limited(url_recipe(), pixelprose=9))
    assert [corpus.counts.rows_in for corpus in corpora(tmp_path / "out")] == [6, 9]
    assert asked(server) == Counter(f"/{n}.jpg" for n in range(12, 18, 2))
    server.log.clear()
    # The earlier corpus is still there.
    build_urls(hub, tmp_path / "out", limited(url_recipe(), pixelprose=6))
    assert len(corpora(tmp_path / "out")) == 2
    assert not server.log
    assert verify(str(tmp_path / "out")) == []


def test_a_limit_that_is_too_small_is_told_by_the_build_and_its_card(
    hub: Path, tmp_path: Path
) -> None:
    recipe = limited(url_recipe(), pixelprose=2)
    many: dict[str, Any] = {"sft": {"mixture": {"pixelprose": 1}, "budget": {"samples": 9}}}
    recipe = Recipe.model_validate(recipe.model_dump(exclude_unset=True) | {"stages": many})
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(recipe.model_dump(mode="json", exclude_unset=True)))
    command = ["build", str(path), "--root", str(hub), "--output", str(tmp_path / "out")]
    found = CliRunner().invoke(main, command)
    assert found.exit_code == 0, found.output
    told = "they are passed over 4.50 times"
    assert told in found.output
    assert told in write_card(mixture(tmp_path / "out"))
    # A trial with --limit repeats too, which nobody asked the recipe about.
    found = CliRunner().invoke(main, [*command[:-1], str(tmp_path / "trial"), "--limit", "1"])
    assert found.exit_code == 0, found.output
    assert "passed over" not in found.output
    # Nor is a limit too small for passes that the recipe asks for.
    many["sft"]["mixture"] = {"pixelprose": {"epochs": 2}, "dolly": 1}
    recipe = Recipe.model_validate(recipe.model_dump(exclude_unset=True) | {"stages": many})
    path.write_text(json.dumps(recipe.model_dump(mode="json", exclude_unset=True)))
    found = CliRunner().invoke(main, command)
    assert found.exit_code == 0, found.output
    assert mixture(tmp_path / "out").sources["pixelprose"].epochs == 2
    assert "passed over" not in found.output


def test_a_manifest_with_more_rows_than_its_limit_is_a_problem(hub: Path, tmp_path: Path) -> None:
    build_urls(hub, tmp_path / "out", limited(url_recipe(), pixelprose=6))
    (corpus,) = corpora(tmp_path / "out")
    path = tmp_path / "out/corpus/pixelprose" / corpus.fingerprint / "manifest.json"
    path.write_text(corpus.model_copy(update={"limit": 5}).model_dump_json())
    problems = verify(str(tmp_path / "out"))
    assert any("6 rows were read, its limit is 5" in problem for problem in problems)


def test_a_file_that_cannot_be_read_takes_nothing_of_the_limit(hub: Path, tmp_path: Path) -> None:
    broken = hub / "tomg-group-umd/pixelprose/data/vlm_captions_cc12m_00.parquet"
    broken.write_bytes(broken.read_bytes()[:-40])
    recipe = limited(url_recipe(), pixelprose=6).model_copy(update={"max_bad_fraction": 1.0})
    build_urls(hub, tmp_path / "out", recipe)
    (corpus,) = corpora(tmp_path / "out")
    assert (corpus.counts.rows_in, corpus.counts.kept) == (7, 6)
    assert corpus.counts.quarantined == {"unreadable_file": 1}
    assert verify(str(tmp_path / "out")) == []


def test_a_plan_reads_and_fetches_no_more_than_the_limits() -> None:
    recipe = load_recipe("idefics3")
    assert recipe.limits
    planned = plans(recipe, (), None)
    whole = together(planned)
    assert whole["fetched_images"] == 5_500_000 * 2.5 + 20_000_000 + 5_000_000
    for plan in planned:
        for line in plan.sources:
            name = line.allocation.source
            assert line.limit == recipe.source(name).limit
            if line.limit is not None:
                assert line.allocation.counts.rows == line.limit
                assert 0.2 < line.allocation.epochs < 1


def test_a_limit_below_what_a_stage_takes_is_told_by_plan() -> None:
    recipe = limited(load_recipe("idefics3"), obelics=1_000_000)
    (plan,) = plans(recipe, ("stage1",), None)
    line = next(line for line in plan.sources if line.allocation.source == "obelics")
    assert line.allocation.epochs == pytest.approx(3.09, abs=0.01)
    assert "limited to 1,000,000 rows, which are passed over 3.09 times" in line.cause
    assert line.to_json()["limit"] == 1_000_000
    # The shares and the size of the mixture stay.
    before = plans(load_recipe("idefics3"), ("stage1",), None)[0]
    assert plan.sequences == pytest.approx(before.sequences, rel=1e-6)
    assert line.allocation.planned_share == pytest.approx(0.97)


def test_a_plan_uses_only_corpora_that_hold_as_many_rows_as_the_recipe_asks(
    hub: Path, tmp_path: Path
) -> None:
    out = str(tmp_path / "out")
    small = limited(url_recipe(), pixelprose=6)
    build_urls(hub, out, small)
    (plan,) = plans(small, (), out)
    assert {line.basis for line in plan.sources} == {"decisions"}
    assert plan.work.read_bytes == 0
    (raised,) = plans(limited(url_recipe(), pixelprose=9), (), out)
    found = {line.allocation.source: line for line in raised.sources}
    assert found["pixelprose"].basis == "published"
    assert found["pixelprose"].allocation.counts.rows == 9
    assert found["pixelprose"].work.fetched_images == 9
    assert found["dolly"].basis == "corpus"
    # A trial of the recipe is another build, and is planned with the limit that it had.
    build_urls(hub, out, small, limit=2)
    assert {line.basis for line in plans(small, (), out)[0].sources} == {"decisions"}
    (trial,) = plans(small, (), out, limit=2)
    assert {line.basis for line in trial.sources} == {"decisions"}
    assert {line.allocation.counts.rows for line in trial.sources} == {2}


def test_plan_takes_the_limit_of_a_trial() -> None:
    found = CliRunner().invoke(main, ["plan", "idefics3", "--stage", "stage1", "--limit", "1000"])
    assert found.exit_code == 0, found.output
    # 2,000 of the 25.5 million rows that the recipe reads, and as many of the 1,024,000 sequences.
    assert "which fill 80 sequences" in found.output
    assert "fetches 3,500 images of 175.0 MB (50 kB each, assumed)" in found.output
    assert "passed over" not in found.output


def test_a_trial_is_measured_against_what_the_recipe_reads() -> None:
    assert not is_trial({"a": 7, "b": -1}, {"a": 7})
    assert is_trial({"a": 6, "b": -1}, {"a": 7})
    assert is_trial({"a": 7, "b": 5}, {"a": 7})
    recipe = limited(load_recipe("idefics3"), obelics=2_000, laion_coco=2_000)
    stage = recipe.stage("stage1").model_copy(update={"longest_edge": 364})
    read = {
        name: SourceCounts(500, 500 * 800.0, 500 * 800.0, (50_000.0,))
        for name in recipe.stage("stage1").mixture
    }
    complete = {name: SourceCounts(10**8, 8e10, 8e10) for name in read}
    terms = Terms(stage, tuple(read), {}, True, expected=complete, limits=recipe.limits)
    found = terms.solve(read)
    # A quarter of what the recipe reads fills a quarter of its sequences.
    filled = sum(item.epochs * 50_000 for item in found)
    assert filled == pytest.approx(1_024_000 / 4)


def test_a_limit_of_no_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("{extends: idefics3, name: r, sources: {obelics: {limit: 0}}}")
    with pytest.raises(UsageError, match=r"sources\.obelics\.limit"):
        load_recipe(str(path))


def build_sample_stage(sample: Path, output: Path, *beam_args: str) -> MixtureManifest:
    recipe = limited(load_recipe("sample"), obelics=7, laion_coco=9, pdfa=5)
    (manifest,) = build(
        BuildOptions(
            recipe=recipe,
            stages=("stage2",),
            root=str(sample),
            output=str(output),
            beam_args=beam_args,
        ),
        lambda line: None,
    )
    return manifest


@pytest.mark.slow
def test_the_sample_with_limits_is_the_same_on_one_and_two_workers(
    sample: Path, tmp_path: Path
) -> None:
    one = build_sample_stage(sample, tmp_path / "one")
    rows: dict[str, Any] = {name: s.counts.rows_in for name, s in one.sources.items()}
    assert rows == {"obelics": 7, "laion_coco": 9, "pdfa": 5}
    assert all(source.counts.accounted == rows[name] for name, source in one.sources.items())
    assert verify(str(tmp_path / "one")) == []
    two = build_sample_stage(sample, tmp_path / "two", *TWO_WORKERS)
    assert two.shards == one.shards
    assert two.model_dump(exclude={"recipe"}) == one.model_dump(exclude={"recipe"})
