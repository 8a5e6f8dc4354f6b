"""The miniature hub, built whole: every planted row ends where the ground truth says."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections import Counter

import pytest
from click.testing import CliRunner
from PIL import Image

from cauldron.cli import main
from cauldron.core.output.mixture import load_mixture
from cauldron.inspect.verify import verify
from cauldron.recipe import load_recipe
from tests.hubs import build_sample


def test_every_planted_row_ends_where_the_ground_truth_says(built, truth):
    _, manifest = built
    assert set(manifest.sources) == set(load_recipe("sample").stage("sft").mixture)
    for name, source in manifest.sources.items():
        expected, counts = truth["sources"][name], source.counts
        merged = dict(counts.merged)
        # The ground truth says what ingest makes of a row; near-duplicates are tested elsewhere.
        near = merged.pop("near_duplicate", 0)
        found = {
            "published": counts.rows_in,
            "kept": counts.kept + near,
            "merged": merged,
            "dropped": counts.dropped,
            "quarantined": counts.quarantined,
        }
        assert found == {key: expected[key] for key in found}, name


def test_verify_finds_nothing_wrong(built):
    assert verify(str(built[0])) == []


def test_shards_are_within_a_tenth_of_each_other(sample, built, tmp_path):
    """Planned by the length of records, they had 1.1 to 2.8 MB: one row has 1.9 MB of turns."""
    output = shutil.copytree(built[0], tmp_path / "out")
    stages = load_recipe("sample").stages
    small = stages["sft"].model_copy(update={"shard_bytes": 3_000_000})
    manifest = build_sample(sample, output, stages=stages | {"sft": small})
    sizes = [shard.bytes for shard in manifest.shards]
    assert len(sizes) > 5
    assert max(sizes) < 1.1 * min(sizes)


@pytest.mark.slow
def test_bundles_repeated_give_the_same_bytes(sample, built, tmp_path):
    again = build_sample(sample, tmp_path / "out", "--direct_runner_bundle_repeat=2")
    assert again.shards == built[1].shards


def test_another_seed_takes_other_rows_and_keeps_the_shares(sample, built, tmp_path):
    other = build_sample(sample, shutil.copytree(built[0], tmp_path / "out"), seed=1)
    assert other.shards != built[1].shards
    for name, source in other.sources.items():
        assert source.rows == built[1].sources[name].rows


def test_stored_images_decode_to_what_their_row_says(built):
    output, _ = built
    seen = Counter()
    for row in load_mixture(f"{output}/mixtures/sample/sft").rows(
        ["images", "image_info", "messages"]
    ):
        placeholders = [
            part["type"] for message in row["messages"] for part in message["content"]
        ].count("image")
        assert placeholders == len(row["images"]) == len(row["image_info"])
        for image, info in zip(row["images"], row["image_info"], strict=True):
            decoded = Image.open(io.BytesIO(image["bytes"]))
            decoded.load()
            assert (decoded.size, decoded.mode) == ((info["width"], info["height"]), info["mode"])
            assert hashlib.sha256(image["bytes"]).hexdigest() == info["sha256"]
            seen[info["format"], info["mode"]] += 1
    assert {kind for kind, _ in seen} <= {"JPEG", "PNG", "WEBP"}
    assert {mode for _, mode in seen} <= {"RGB", "L"}


def test_load_dataset_opens_the_mixture_and_decodes_its_images(built, tmp_path):
    import datasets

    output, manifest = built
    folder = f"{output}/mixtures/sample/sft"
    rows = datasets.load_dataset(folder, split="train", cache_dir=str(tmp_path))
    assert len(rows) == manifest.totals.rows
    row = next(row for row in rows if row["images"])
    assert row["images"][0].size == (row["image_info"][0]["width"], row["image_info"][0]["height"])


def test_a_build_prints_the_mixture_and_a_query_that_runs(sample, built, tmp_path):
    output = str(shutil.copytree(built[0], tmp_path / "out"))
    cli = CliRunner()
    asked = ["build", "sample", "--root", str(sample), "--stage", "sft", "--output", output]
    done = cli.invoke(main, asked)
    assert done.exit_code == 0, done.output
    assert f"{output}/mixtures/sample/sft" in done.output
    query = done.output.split("'")[-2]
    asked = cli.invoke(main, ["query", output, query, "--json"])
    assert asked.exit_code == 0, asked.output
    assert sum(row["rows"] for row in json.loads(asked.output)) == built[1].totals.rows


def test_a_weight_on_the_command_line_changes_the_mixture(sample, built):
    output, _ = built
    cli = CliRunner()
    arguments = ["plan", "sample", "--stage", "sft", "--output", str(output), "--json"]
    plain = json.loads(cli.invoke(main, arguments).output)
    changed = json.loads(cli.invoke(main, [*arguments, "--weight", "dolly=50"]).output)
    share = {name: {s["source"]: s["share_asked"] for s in plan["sources"]}["dolly"]
             for name, plan in (("plain", plain), ("changed", changed))}  # fmt: skip
    assert share["changed"] > 10 * share["plain"]
    assert all(line["basis"] == "decisions" for line in plain["sources"])
