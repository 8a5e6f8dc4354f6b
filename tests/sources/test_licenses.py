"""Every source states its licence, and a recipe's list of licences chooses among sources."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from cauldron.sources.catalog import BUILT_IN, registry
from cauldron.sources.licenses import refused

from cauldron.core.errors import CauldronError, UsageError
from cauldron.core.output.mixture import load_mixture
from cauldron.inspect.planning.plan import plans
from cauldron.pipeline.build import BuildOptions, build
from cauldron.recipe import Recipe, load_recipe
from tests.hubs import write_dolly, write_sharegpt


def recipe_of(*allow: str) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "licensed",
            "licenses": {"allow": allow},
            "language": {"identify": False},
            "statistics": "idefics3_sft",
            "stages": {
                "sft": {"budget": {"samples": 6}, "mixture": {"dolly": 1, "sharegpt_4o": 1}}
            },
        }
    )


def test_every_set_of_the_cauldron_has_a_licence_and_says_where_from() -> None:
    mine = [source for source in BUILT_IN if source.name.startswith("the_cauldron/")]
    assert len(mine) == 50
    assert all(source.license_note for source in mine)
    known = {"unknown", "other", "c-uda-1.0", "cc0-1.0", "gpl-3.0", "mit", "apache-2.0"}
    creative = re.compile(r"cc-by(-nc)?(-sa)?-[34]\.0")
    assert all(s.license in known or creative.fullmatch(s.license) for s in BUILT_IN)


def test_an_unknown_licence_has_a_reason() -> None:
    unknown = [source for source in BUILT_IN if source.license == "unknown"]
    assert len(unknown) == 23
    assert all(source.license_note for source in unknown)


def test_sources_with_other_licences_are_left_out_with_the_reason() -> None:
    names = ["dolly", "the_cauldron/vqarad", "the_cauldron/ai2d"]
    found = refused(names, ["CC0-1.0", "cc-by-sa-3.0"], registry())
    assert list(found) == ["the_cauldron/ai2d"]
    assert found["the_cauldron/ai2d"] == (
        "its licence is unknown (what the publisher states is not certain), which the recipe does "
        "not allow"
    )
    assert refused(names, [], registry()) == {}


def test_a_licence_that_no_source_has_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no source has 'cc-by-4'; did you mean cc-by-4\.0\?"):
        refused(["dolly"], ["cc-by-4"], registry())


def test_a_build_is_without_them_and_says_so(tmp_path: Path) -> None:
    write_dolly(str(tmp_path / "hub"), 6)
    lines: list[str] = []
    options = BuildOptions(
        recipe_of("cc-by-sa-3.0"), (), str(tmp_path / "hub"), str(tmp_path / "out")
    )
    (manifest,) = build(options, lines.append)
    assert Counter(row["source"] for row in load_mixture(
        f"{tmp_path}/out/mixtures/licensed/sft").rows(["source"])) == {"dolly": 6}  # fmt: skip
    (left_out,) = manifest.unavailable
    assert (left_out.source, left_out.remedy) == ("sharegpt_4o", "add it to licenses.allow")
    assert any(line.startswith("without sharegpt_4o: its licence is mit") for line in lines)


def test_a_build_of_nothing_is_refused(tmp_path: Path) -> None:
    write_sharegpt(str(tmp_path / "hub"), 2)
    options = BuildOptions(recipe_of("cc0-1.0"), (), str(tmp_path / "hub"), str(tmp_path / "out"))
    with pytest.raises(CauldronError, match=r"is licenses\.allow right"):
        build(options, [].append)


def test_a_plan_is_without_them_too() -> None:
    (plan,) = plans(recipe_of("mit"), (), None)
    assert [line.allocation.source for line in plan.sources] == ["sharegpt_4o"]
    assert plan.sources[0].allocation.share == 1
    assert list(plan.to_json()["left_out"]) == ["dolly"]
    with pytest.raises(UsageError, match="leaves no source in stage 'sft'"):
        plans(recipe_of("cc0-1.0"), (), None)


def test_the_packaged_recipe_allows_all() -> None:
    assert all(not plan.left_out for plan in plans(load_recipe("idefics3"), (), None))
