"""Real rows in published layouts: TabMWP tables, photographed receipts, IIW-400's annotations."""

from __future__ import annotations

import pytest

from cauldron.inspect.verify import verify
from cauldron.pipeline.build import BuildOptions, build
from cauldron.recipe import load_recipe
from tests.real import REAL

HUB = REAL / "hub"


@pytest.mark.skipif(not HUB.is_dir(), reason="the real data is not on this machine")
def test_the_real_hub_builds_with_every_row_accounted_for(tmp_path):
    said: list[str] = []
    options = BuildOptions(
        recipe=load_recipe("idefics3"),
        stages=("sft",),
        root=str(HUB),
        output=str(tmp_path),
        skip_unavailable=True,
    )
    manifest = build(options, said.append)[0]
    assert len(manifest.unavailable) == 61
    counts = {name: source.counts for name, source in manifest.sources.items()}
    assert counts["iiw_400"].dropped == {"image_not_shipped": 400}
    assert counts["iiw_400"].rows_in == 400
    # All tables look alike; the three that merge have equal pixels.
    assert counts["the_cauldron/tabmwp"].merged == {"near_duplicate": 3}
    assert counts["the_cauldron/tabmwp"].kept == 997
    assert counts["cord_v2"].kept == 80
    assert manifest.totals.images == manifest.totals.rows > 1000
    assert verify(str(tmp_path)) == []
