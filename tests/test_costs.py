"""What a build takes: the rates, and what is counted once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cauldron.inspect.planning.basis import find_basis
from cauldron.inspect.planning.costs import STEPS, Work, total
from cauldron.inspect.planning.plan import plans, together
from cauldron.inspect.statistics import published
from cauldron.recipe import load_recipe


def hours(**work: int) -> dict[str, float]:
    found = Work(**work).core_hours()
    assert tuple(found) == STEPS
    return {step: value for step, value in found.items() if value}


def test_each_step_costs_what_was_measured() -> None:
    hour = 3600
    assert hours(fetched_images=1_627 * hour) == {"fetch": pytest.approx(1)}
    assert hours(read_bytes=33_000_000 * hour) == {"ingest": pytest.approx(1)}
    assert hours(fetched_bytes=33_000_000 * hour) == {"ingest": pytest.approx(1)}
    # 10^9 pictures: 13 core-hours to join them, 1,860 to compare (docs/scale.md, the whole build).
    assert hours(pictures=10**9) == {"match": pytest.approx(13)}
    assert hours(compared=10**9) == {"match": pytest.approx(1_860, rel=0.01)}
    assert hours(curated_rows=10**9) == {"curate": pytest.approx(14, rel=0.02)}
    assert hours(copies=10**9, mixed_bytes=150 * 10**12) == {"mix": pytest.approx(225, rel=0.02)}
    # 35 pages a second on two cores, and 10 ms for the signature of each.
    assert hours(rendered_pages=35 * hour) == {"ingest": pytest.approx(2.35, rel=0.01)}


def test_fetched_images_are_stored_twice() -> None:
    work = Work(fetched_images=2, fetched_bytes=100, corpus_bytes=100, mixed_bytes=40)
    assert work.stored_bytes == 240
    assert work.downloaded_bytes == 100


def test_works_add_up_and_a_second_stage_reads_nothing_again() -> None:
    work = Work(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
    assert total([work, work]) == Work(2, 4, 6, 8, 10, 12, 14, 16, 18, 20)
    assert work.again() == Work(pictures=6, curated_rows=8)
    assert total([]) == Work()


def test_a_plan_counts_every_step_of_its_stage() -> None:
    (plan,) = plans(load_recipe("idefics3"), ("stage2",), None)
    work, lines = plan.work, {line.allocation.source: line.work for line in plan.sources}
    assert all(value > 0 for value in work.core_hours().values())
    assert lines["obelics"].fetched_images == lines["obelics"].pictures == 13_750_000
    assert lines["obelics"].corpus_bytes == lines["obelics"].fetched_bytes
    # A page of PDFA is stored as a PNG, not as the PDF that is read.
    assert (lines["pdfa"].rendered_pages, lines["pdfa"].fetched_images) == (1_800_000, 0)
    assert lines["pdfa"].corpus_bytes == 1_800_000 * 119_000 > lines["pdfa"].read_bytes
    assert work.copies == plan.rows
    assert work.mixed_bytes == plan.bytes
    told = plan.to_json()["estimate"]
    assert told["core_hours"] == pytest.approx(sum(told["core_hours_by_step"].values()), abs=0.1)
    assert told["stored_bytes"] == work.stored_bytes > plan.corpora_bytes


def test_pictures_of_a_recipe_that_looks_for_no_duplicates_are_not_matched() -> None:
    recipe = load_recipe("idefics3").model_copy(update={"duplicates": None})
    (plan,) = plans(recipe, ("sft",), None)
    assert plan.work.pictures == 0
    assert plan.work.core_hours()["match"] == 0
    (searched,) = plans(load_recipe("idefics3"), ("sft",), None)
    assert searched.work.pictures > 2_000_000
    assert replace(searched.work, pictures=0, compared=0) == plan.work


def test_text_only_sources_have_no_pictures() -> None:
    recipe = load_recipe("idefics3")
    basis = find_basis(recipe, "sft", published(recipe.statistics), None, {})
    assert basis.images["lima"] == 0
    # The copy on the hub has 199,998 of the 507,444 rows that were published.
    assert basis.images["the_cauldron/localized_narratives"] == 199_998


def test_all_stages_together_pay_for_a_corpus_once() -> None:
    planned = plans(load_recipe("idefics3"), (), None)
    whole = together(planned)
    alone = [plan.to_json()["estimate"] for plan in planned]
    for name in ("read_bytes", "fetched_images", "rendered_pages", "stored_bytes", "core_hours"):
        assert whole[name] < sum(item[name] for item in alone), name
    assert whole["shuffled_bytes"] == sum(item["shuffled_bytes"] for item in alone)
    mix = sum(item["core_hours_by_step"]["mix"] for item in alone)
    assert whole["core_hours_by_step"]["mix"] == pytest.approx(mix, abs=0.05)


def test_the_readme_says_what_plan_says() -> None:
    whole = together(plans(load_recipe("idefics3"), (), None))
    told = " ".join((Path(__file__).parents[1] / "README.md").read_text().split())
    assert f"read {whole['read_bytes'] / 1e9:.0f} GB, fetch" in told
    assert f"fetch {whole['fetched_images'] / 1e6:.0f} million images" in told
    assert f"({whole['fetched_bytes'] / 1e12:.1f} TB at 50 kB each)" in told
    assert f"store {whole['stored_bytes'] / 1e12:.0f} TB" in told
    assert f"puts it at {whole['core_hours']:.0f} core-hours" in told
