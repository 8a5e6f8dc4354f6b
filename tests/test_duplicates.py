"""Near-duplicates through the whole build: planted pairs found, nothing else touched."""

from __future__ import annotations

import io
import json
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image

from cauldron.cli import main
from cauldron.core.output.finished import find_finished
from cauldron.core.output.mixture import load_mixture
from cauldron.core.sections.rules import DuplicateRules
from cauldron.inspect.explain import explain
from cauldron.inspect.query import connect
from cauldron.inspect.verify import verify
from cauldron.recipe import Recipe, load_recipe, with_benchmarks
from tests.hubs import build_sample

Place = tuple[str, str, int, int]


def rows(output: Path, sql: str) -> list[dict[str, Any]]:
    with connect(str(output)) as connection:
        return connection.sql(sql).to_arrow_table().to_pylist()


def place(entry: dict[str, Any]) -> Place:
    return entry["source"], entry["file"], entry["row"], entry["image"]


@pytest.fixture
def copied(built, tmp_path) -> Path:
    """The finished build, to go on from: its corpora and matches are taken over."""
    return shutil.copytree(built[0], tmp_path / "out")


@pytest.fixture(scope="module")
def clusters(built) -> dict[str, set[Place]]:
    found = defaultdict(set)
    for row in rows(built[0], "FROM clusters"):
        origin = row["origin"]
        found[row["cluster"]].add((row["source"], origin["file"], origin["row"], row["image"]))
    return found


@pytest.fixture(scope="module")
def images(built) -> set[Place]:
    """Every image of the corpora by its published place, as far as sources count rows."""
    sql = "SELECT source, origin, unnest(range(len(image_info))) AS image FROM corpus"
    return {
        (row["source"], row["origin"]["file"], row["origin"]["row"], row["image"])
        for row in rows(built[0], sql)
    }


def test_planted_near_pictures_end_in_one_cluster(truth, clusters, images):
    cluster_of = {member: name for name, members in clusters.items() for member in members}
    planted = [pair for pair in truth["duplicates"] if pair["kind"] != "exact_row"]
    known = [p for p in planted if {place(p["a"]), place(p["b"])} <= images]
    near = [p for p in known if p["kind"] == "near_picture"]
    assert len(near) >= 25
    missed = [
        (p["change"], place(p["a"]), place(p["b"]))
        for p in known
        if cluster_of.get(place(p["a"]), 1) != cluster_of.get(place(p["b"]), 2)
    ]
    assert missed == []


def test_no_cluster_holds_pictures_that_were_not_planted_as_the_same(truth, clusters):
    parent: dict[Place, Place] = {}

    def root(item: Place) -> Place:
        while parent.setdefault(item, item) != item:
            item = parent[item]
        return item

    for pair in truth["duplicates"]:
        if pair["kind"] != "exact_row":
            parent[root(place(pair["a"]))] = root(place(pair["b"]))
    listed = set(parent)
    wrong = [
        members & listed
        for members in clusters.values()
        if len({root(member) for member in members & listed}) > 1
    ]
    assert wrong == []


def test_a_merged_row_holds_the_turns_of_all_and_says_whose_they_are(built):
    output, manifest = built
    merged = rows(
        output,
        "SELECT t.id, list(DISTINCT m.source) AS sources FROM decisions m JOIN decisions t "
        "ON (m.into_source, m.into_part, m.into_row) = (t.source, t.part, t.row) "
        "WHERE m.reason = 'near_duplicate' AND m.source <> t.source GROUP BY 1",
    )
    assert len(merged) > 20
    sources = {row["id"]: row["sources"] for row in merged}
    seen = 0
    mixture = load_mixture(f"{output}/mixtures/sample/sft")
    for row in mixture.rows(["id", "source", "messages", "turn_sources", "cluster"]):
        if row["id"] in sources:
            assert set(row["turn_sources"]) <= {row["source"], *sources[row["id"]]}
            assert row["cluster"] is not None
            assert len(row["turn_sources"]) == len(row["messages"]) // 2
            assert max(map(row["turn_sources"].count, row["turn_sources"])) <= 7
            seen += len(set(row["turn_sources"])) > 1
    assert seen > 3
    assert manifest.totals.rows == len(list(mixture.rows(["id"])))


def test_a_source_on_the_pictures_of_others_keeps_its_share(built):
    """Most rows of these were merged into rows of other sources."""
    _, manifest = built
    assert manifest.empty == []
    for name in ("vsr", "okvqa", "textvqa", "aokvqa", "tallyqa", "clevr"):
        source = manifest.sources[f"the_cauldron/{name}"]
        assert source.rows > 0 < source.share_asked, name
    for name, source in manifest.sources.items():
        assert abs(source.rows - source.epochs * source.pass_rows) <= 0.5, name


def test_explain_names_the_row_and_the_evidence(built):
    output, _ = built
    row = rows(output, "FROM decisions WHERE reason = 'near_duplicate' ORDER BY id LIMIT 1")[0]
    told = CliRunner().invoke(main, ["curate", str(output), "--explain", row["id"][:12]])
    assert told.exit_code == 0, told.output
    assert f"{row['source']} {row['id']}: merged into {row['into_source']}" in told.output
    assert f"is in cluster {row['cluster']}" in told.output
    assert "the representative" in told.output
    other = told.output.splitlines()[0].split()[-1]
    assert f"takes over the turns of {row['source']} {row['id']}" in "\n".join(
        explain(str(output), other)
    )


@pytest.mark.parametrize("wanted", ["abc", "0123456789xyz", "'; DROP TABLE", "0" * 32])
def test_explain_refuses_what_is_no_id_in_one_line(built, wanted):
    told = CliRunner().invoke(main, ["curate", str(built[0]), "--explain", wanted])
    assert told.exit_code == 2
    assert len(told.output.strip().splitlines()) == 1


@pytest.mark.parametrize("action", ["drop", "keep"])
def test_drop_and_keep_do_as_they_say(sample, copied, action):
    rules = DuplicateRules(action=action)
    manifest = build_sample(sample, copied, duplicates=rules)
    near = [source.counts.dropped.get("near_duplicate", 0) for source in manifest.sources.values()]
    assert (sum(near) > 100) == (action == "drop")
    clustered = rows(copied, "SELECT count(*) AS n FROM sft WHERE cluster IS NOT NULL")
    assert clustered[0]["n"] > 0
    assert verify(str(copied)) == []


def test_without_duplicates_the_mixture_has_no_clusters_and_nothing_is_matched(sample, copied):
    shutil.rmtree(copied / "matches")
    build_sample(sample, copied, duplicates=None)
    assert rows(copied, "FROM sft WHERE cluster IS NOT NULL") == []
    assert not (copied / "matches").exists()


def leak(output: Path, folder: Path, source: str, count: int) -> list[str]:
    """Publish some pictures of a source as a benchmark, re-encoded; returns the rows' ids."""
    folder.mkdir()
    found = rows(
        output,
        f"SELECT id, pack, image_info[1] AS image FROM corpus WHERE source = '{source}' "
        f"ORDER BY id LIMIT {count}",
    )
    corpora = find_finished(str(output)).current
    for number, row in enumerate(found):
        pack = output / "corpus" / source / corpora[source][0] / row["pack"]
        with open(pack, "rb") as file:
            file.seek(row["image"]["offset"])
            image = Image.open(io.BytesIO(file.read(row["image"]["length"])))
        image.convert("RGB").save(folder / f"{number}.jpg", quality=80)
    return [row["id"] for row in found]


def leak_texts(output: Path, file: Path, source: str, count: int) -> list[str]:
    """Publish the longest texts of a source as a benchmark without pictures; the rows' ids."""
    found = rows(output, f"SELECT id, messages FROM corpus WHERE source = '{source}'")
    texts = {
        row["id"]: ["\n".join(part["text"] or "" for part in m["content"]) for m in row["messages"]]
        for row in found
    }
    longest = sorted(texts, key=lambda id_: (-len(" ".join(texts[id_])), id_))[:count]
    columns = {
        "uid": [str(number) for number in range(count)],
        "question": [f"Read this. {texts[id_][-2]}" for id_ in longest],
        "answer": [texts[id_][-1] for id_ in longest],
    }
    pq.write_table(pa.table(columns), file)
    return longest


def test_benchmarks_leave_the_mixture_with_evidence(sample, built, copied, tmp_path):
    leaked = leak(built[0], tmp_path / "bench", "the_cauldron/docvqa", 5)
    told = leak_texts(built[0], tmp_path / "asked.parquet", "openhermes_2_5", 3)
    against = (f"ours={tmp_path / 'bench'}", f"asked={tmp_path / 'asked.parquet'}")
    recipe: Recipe = with_benchmarks(load_recipe("sample"), against)
    output = copied
    build_sample(sample, output, against=recipe.against)
    texts = rows(output, "FROM contamination WHERE removed AND kind = 'text'")
    # The sample's texts are made from templates, so another row may have most words of one.
    assert set(told) <= {row["id"] for row in texts}
    assert len({row["id"] for row in texts}) <= 2 * len(told)
    assert {row["benchmark"] for row in texts} == {"asked"}
    assert min(row["score"] for row in texts if row["id"] in told) > 0.8
    assert any("repeats" in line for line in explain(str(output), told[0]))
    evidence = rows(output, "FROM contamination WHERE removed AND kind = 'picture'")
    assert set(leaked) <= {row["id"] for row in evidence}
    for row in evidence:
        assert row["benchmark"] == "ours"
        for thumbnail in row["thumbnails"]:
            assert max(Image.open(io.BytesIO(thumbnail["bytes"])).size) <= 256
    gone = {row["id"] for row in [*evidence, *texts]}
    kept = load_mixture(f"{output}/mixtures/sample/sft").rows(["id"])
    assert not gone & {row["id"] for row in kept}
    assert any("dropped" in line for line in explain(str(output), leaked[0]))
    assert rows(output, "SELECT count(*) AS n FROM benchmarks")[0]["n"] == 8
    assert verify(str(output)) == []


@pytest.mark.slow
def test_a_source_added_later_is_compared_alone(sample, built, tmp_path):
    stage = load_recipe("sample").stage("sft")
    fewer = {k: v for k, v in stage.mixture.items() if k != "the_cauldron/docvqa"}
    output = tmp_path / "out"
    shutil.copytree(built[0] / "corpus", output / "corpus")
    build_sample(sample, output, stages={"sft": stage.model_copy(update={"mixture": fewer})})
    build_sample(sample, output)
    newest = max(matches(output), key=lambda manifest: len(manifest["corpora"]))
    assert 0 < newest["counts"]["compared"] < newest["counts"]["candidates"] / 4
    (alone,) = matches(built[0])
    assert newest["verdicts"] == alone["verdicts"]


def matches(output: Path) -> list[dict[str, Any]]:
    found = (output / "matches").glob("*/manifest.json")
    return [json.loads(path.read_text()) for path in found]
