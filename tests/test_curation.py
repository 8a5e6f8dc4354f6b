"""From clusters to the mixture: where rows go, what becomes of their texts, and that it is proved.

Every test that builds something ends with `verify` having nothing to say.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from cauldron.transforms.curate import groups

from cauldron.core import storage
from cauldron.core.errors import CauldronError
from cauldron.core.output.manifests import CurationManifest, curation_folder
from cauldron.inspect.query import run_query
from cauldron.inspect.verify import verify
from tests.curated import (
    DOLLY,
    LIMA,
    LNQA,
    OKVQA,
    VQA,
    World,
    cluster_name,
    row,
    turns_of,
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(str(tmp_path / "out"))


def ask(world: World, sql: str) -> list[dict[str, Any]]:
    stream = io.StringIO()
    run_query(world.out, sql, "json", None, stream)
    rows: list[dict[str, Any]] = json.loads(stream.getvalue())
    return rows


def bytes_of(folder: str) -> dict[str, bytes]:
    paths = [path for path in Path(folder).rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


# Three rows on one picture, the largest in LNQA; one row with two pictures, one alone, one of text.
SMALL = row(VQA, [("What?", "a cat"), ("Color?", "red")], 1, size=(8, 6))
LARGE = row(LNQA, [("Describe.", "a red cat sits")], 2, size=(16, 12))
MIDDLE = row(OKVQA, [("what", "A cat."), ("Why?", "because")], 3, size=(10, 8))
PAIR = row(VQA, [("Which?", "left")], 1, 9)
ALONE = row(LNQA, [("Where?", "there")], 4)
TEXT = row(DOLLY, [("Who?", "nobody")])
SAME = {0: [(LARGE, 0), (SMALL, 0), (MIDDLE, 0), (PAIR, 0)]}


def add_all(world: World) -> None:
    world.add(VQA, [SMALL], [PAIR, SMALL])
    world.add(OKVQA, [MIDDLE, MIDDLE])
    world.add(LNQA, [ALONE, LARGE])
    world.add(DOLLY, [TEXT, TEXT])


def test_rows_merge_into_the_one_with_the_largest_picture(world):
    add_all(world)
    curation = world.curate(SAME)
    made = world.decisions(curation)
    into = {key: (r["into_source"], r["into_part"], r["into_row"]) for key, r in made.items()}
    here = (LNQA, 0, 1)
    assert {key for key, place in into.items() if place == here} == {
        (VQA, 0, 0), (VQA, 1, 1), (OKVQA, 0, 0), (OKVQA, 0, 1)
    }  # fmt: skip
    # A copy goes where its original goes, and says that it is one.
    reasons = {key: r["reason"] for key, r in made.items()}
    assert reasons[VQA, 0, 0] == reasons[OKVQA, 0, 0] == "near_duplicate"
    assert reasons[VQA, 1, 1] == reasons[OKVQA, 0, 1] == reasons[DOLLY, 0, 1] == "exact_copy"
    assert made[VQA, 1, 0]["decision"] == "keep"
    assert curation.counts[OKVQA].merged == {"exact_copy": 1, "near_duplicate": 1}
    assert {row["cluster"] for row in made.values()} == {None, cluster_name(0)}
    (sample,) = world.merged(curation).values()
    assert turns_of(sample) == [
        ("Describe.", "a red cat sits", LNQA),
        ("What?", "a cat", VQA),
        ("Color?", "red", VQA),
        ("Why?", "because", OKVQA),
    ]
    assert sample.id == LARGE[0].id
    assert sample.license == "cc-by-4.0 AND mit"
    figures = made[here]
    assert (figures["turns"], figures["answer_tokens"]) == (4, 8)
    assert verify(world.out) == []


def test_the_mixture_holds_the_merged_turns_and_the_cluster(world):
    add_all(world)
    manifest = world.mix(world.curate(SAME))
    rows = {row["id"]: row for row in world.mixture()}
    assert set(rows) == {LARGE[0].id, ALONE[0].id, PAIR[0].id, TEXT[0].id}
    merged = rows[LARGE[0].id]
    assert Counter(merged["turn_sources"]) == {LNQA: 1, VQA: 2, OKVQA: 1}
    assert [image["bytes"] for image in merged["images"]] == LARGE[1]
    assert merged["tokens"]["answer"] == 8
    assert merged["license"] == "cc-by-4.0 AND mit"
    clusters = {key: row["cluster"] for key, row in rows.items()}
    assert clusters[LARGE[0].id] == clusters[PAIR[0].id] == cluster_name(0)
    assert clusters[ALONE[0].id] is clusters[TEXT[0].id] is None
    # All rows of a source merged into another's: its turns still count for it.
    okvqa = manifest.sources[OKVQA]
    assert (okvqa.rows, okvqa.counts.kept, okvqa.counts.rows_in) == (1, 0, 2)
    assert (okvqa.answer_tokens, okvqa.images) == (1, 0)
    assert manifest.sources[LNQA].answer_tokens == 4 + 1
    assert manifest.totals.rows == 4 < sum(s.rows for s in manifest.sources.values())
    card = Path(world.out, "mixtures/test/sft/README.md").read_text()
    assert "took over the turns of others" in card
    assert verify(world.out) == []


def test_a_cap_on_turns_holds_for_each_source_of_a_merged_row(world):
    add_all(world)
    world.mix(world.curate(SAME), turns={"cap": 1})
    merged = next(row for row in world.mixture() if row["id"] == LARGE[0].id)
    assert Counter(merged["turn_sources"]) == {LNQA: 1, VQA: 1, OKVQA: 1}
    assert verify(world.out) == []


def test_drop_drops_the_others(world):
    add_all(world)
    curation = world.curate(SAME, "drop")
    made = world.decisions(curation)
    dropped = {key for key, r in made.items() if r["decision"] == "drop"}
    assert dropped == {(VQA, 0, 0), (VQA, 1, 1), (OKVQA, 0, 0), (OKVQA, 0, 1)}
    assert {made[key]["reason"] for key in dropped} == {"near_duplicate"}
    assert curation.counts[VQA].dropped == {"near_duplicate": 2}
    assert curation.merged == []
    world.mix(curation)
    rows = {row["id"]: row for row in world.mixture()}
    assert rows[LARGE[0].id]["turn_sources"] == [LNQA]
    assert rows[LARGE[0].id]["cluster"] == cluster_name(0)
    assert "took over" not in Path(world.out, "mixtures/test/sft/README.md").read_text()
    assert verify(world.out) == []


def test_keep_only_marks(world):
    add_all(world)
    curation = world.curate(SAME, "keep")
    assert {r["reason"] for r in world.decisions(curation).values()} == {None, "exact_copy"}
    world.mix(curation)
    marked = {row["id"] for row in world.mixture() if row["cluster"] == cluster_name(0)}
    assert marked == {LARGE[0].id, SMALL[0].id, MIDDLE[0].id, PAIR[0].id}
    assert verify(world.out) == []


def test_without_clusters_rows_come_out_as_without_matching(tmp_path):
    digests = []
    for action in (None, "merge", "drop", "keep"):
        world = World(str(tmp_path / str(action)))
        add_all(world)
        curation = world.curate({}, action)
        manifest = world.mix(curation)
        digests.append([shard.sha256 for shard in manifest.shards])
        assert {r["reason"] for r in world.decisions(curation).values()} == {None, "exact_copy"}
        assert verify(world.out) == []
    assert digests.count(digests[0]) == 4


@pytest.mark.parametrize(
    ("conflicts", "turns"),
    [
        ("keep", [("Q?", "yes"), ("R?", "one"), ("q", "no")]),
        ("first", [("Q?", "yes"), ("R?", "one")]),
        ("drop", [("R?", "one")]),
    ],
)
def test_conflicts_go_as_the_recipe_says(world, conflicts, turns):
    one, two = row(VQA, [("Q?", "yes"), ("R?", "one")], 1), row(LNQA, [("q", "no")], 2)
    world.add(VQA, [one])
    world.add(LNQA, [two])
    curation = world.curate({0: [(one, 0), (two, 0)]}, conflicts=conflicts)
    (sample,) = world.merged(curation).values()
    assert [(turn.user, turn.assistant) for turn in sample.turns] == turns
    world.mix(curation)
    assert verify(world.out) == []


def test_rows_of_three_pictures_merge_when_all_match_in_order(world):
    one = row(VQA, [("Q?", "a")], 1, 2, 3)
    same = row(VQA, [("R?", "b")], 4, 5, 6)
    turned = row(LNQA, [("S?", "c")], 5, 4, 6)
    partly = row(LNQA, [("T?", "d")], 4, 5, 7)
    fewer = row(LNQA, [("U?", "e")], 4, 5)
    world.add(VQA, [one, same])
    world.add(LNQA, [turned, partly, fewer])
    clusters = {
        0: [(one, 0), (same, 0), (turned, 1), (partly, 0), (fewer, 0)],
        1: [(one, 1), (same, 1), (turned, 0), (partly, 1), (fewer, 1)],
        2: [(one, 2), (same, 2), (turned, 2)],
    }
    curation = world.curate(clusters)
    made = world.decisions(curation)
    assert [key for key, r in made.items() if r["decision"] == "merge"] in (
        [(VQA, 0, 0)], [(VQA, 0, 1)]
    )  # fmt: skip
    assert {r["cluster"] for r in made.values()} == {cluster_name(0), cluster_name(1)}
    assert made[LNQA, 0, 0]["cluster"] == cluster_name(1)
    world.mix(curation)
    assert verify(world.out) == []


def test_other_system_prompts_do_not_merge(world):
    rows = [row(VQA, [("Q?", str(n))], n, system=text) for n, text in enumerate("aabb")]
    rows += [row(VQA, [("Q?", "x")], 8), row(VQA, [("Q?", "y")], 9)]
    world.add(VQA, rows)
    curation = world.curate({0: [(item, 0) for item in rows]})
    made = world.decisions(curation)
    assert curation.counts[VQA].merged == {"near_duplicate": 3}
    pairs = {frozenset((r["row"], r["into_row"])) for r in made.values() if r["reason"]}
    assert pairs == {frozenset(pair) for pair in ((0, 1), (2, 3), (4, 5))}
    assert {sample.system for sample in world.merged(curation).values()} == {"a", "b", None}
    world.mix(curation)
    assert verify(world.out) == []


def test_turns_of_dialogues_stay_among_themselves(world):
    talk = row(LIMA, [("Look.", "yes"), ("And?", "so")], 1)
    other = row(VQA, [("Q?", "a")], 2)
    world.add(VQA, [other])
    world.add(LIMA, [talk])
    curation = world.curate({0: [(talk, 0), (other, 0)]})
    assert {r["decision"] for r in world.decisions(curation).values()} == {"keep"}
    world.mix(curation)
    assert verify(world.out) == []


def test_contaminated_rows_go_first_with_their_copies_and_give_no_turn(world):
    add_all(world)
    curation = world.curate(SAME, contaminated=[(LARGE, 0), (TEXT, 0)][:1])
    made = world.decisions(curation)
    assert (made[LNQA, 0, 1]["decision"], made[LNQA, 0, 1]["reason"]) == ("drop", "contaminated")
    # The next largest stays.
    (sample,) = world.merged(curation).values()
    assert sample.id == MIDDLE[0].id
    assert LNQA not in {turn.source for turn in sample.turns}
    assert curation.counts[LNQA].dropped == {"contaminated": 1}
    world.mix(curation)
    assert LARGE[0].id not in {row["id"] for row in world.mixture()}
    assert verify(world.out) == []


def test_copies_of_a_contaminated_row_are_dropped(world):
    add_all(world)
    curation = world.curate(SAME, contaminated=[(SMALL, 0), (MIDDLE, 0)])
    made = world.decisions(curation)
    dropped = {key for key, r in made.items() if r["reason"] == "contaminated"}
    assert dropped == {(VQA, 0, 0), (VQA, 1, 1), (OKVQA, 0, 0), (OKVQA, 0, 1)}
    assert world.merged(curation) == {}
    world.mix(curation)
    assert verify(world.out) == []


def test_decontamination_needs_no_clusters(world):
    add_all(world)
    curation = world.curate({}, None, contaminated=[(SMALL, 0)])
    assert curation.counts[VQA].dropped == {"contaminated": 2}
    world.mix(curation)
    assert verify(world.out) == []


def test_a_group_of_too_many_turns_becomes_several_rows(world, monkeypatch):
    monkeypatch.setattr(groups, "MAX_TURNS", 4)
    rows = [row(VQA, [(f"Q{n}?", "a"), (f"R{n}?", "b")], n) for n in range(5)]
    world.add(VQA, rows)
    curation = world.curate({0: [(item, 0) for item in rows]})
    kept = [r for r in world.decisions(curation).values() if r["decision"] == "keep"]
    assert sorted(r["turns"] for r in kept) == [2, 4, 4]
    world.mix(curation)
    asked = [
        m["content"][-1]["text"] for r in world.mixture() for m in r["messages"][::2]
    ]  # fmt: skip
    assert len(asked) == len(set(asked)) == 10
    assert verify(world.out) == []


def test_texts_are_fetched_in_bounded_batches(world, monkeypatch):
    monkeypatch.setattr(groups, "_BATCH_BYTES", 1)
    rows = [row(VQA, [(f"Q{n}?", "ä 猫 🐈 \u2028")], n) for n in range(6)]
    world.add(VQA, rows[:3], rows[3:])
    clusters = {n: [(rows[2 * n], 0), (rows[2 * n + 1], 0)] for n in range(3)}
    curation = world.curate(clusters)
    samples = world.merged(curation).values()
    assert sorted(len(sample.turns) for sample in samples) == [2, 2, 2]
    assert {turn.assistant for s in samples for turn in s.turns} == {"ä 猫 🐈 \u2028"}
    world.mix(curation)
    assert verify(world.out) == []


def test_ids_that_no_corpus_has_change_nothing(world):
    """Clusters may be of more sources than a stage takes."""
    add_all(world)
    stranger = row("cord_v2", [("Q", "a")], 77, size=(99, 99))
    made = world.decisions(world.curate({0: [(stranger, 0), *SAME[0]]}))
    assert made[LNQA, 0, 1]["turns"] == 4


# The same bytes


def test_bundles_repeated_give_the_same_bytes(tmp_path, monkeypatch):
    outs = []
    for number, repeat in enumerate(((), ("--direct_runner_bundle_repeat=2",))):
        args = ("--direct_num_workers=1", *repeat)
        world = many_rows(str(tmp_path / str(number)), monkeypatch)
        curation = world.curate(many_clusters(), beam_args=args)
        assert len(curation.buckets) == len(curation.merged) == 4
        merged = [counts.merged["near_duplicate"] for counts in curation.counts.values()]
        assert sum(merged) == 16 * 4
        world.mix(curation, args)
        outs.append(bytes_of(world.out))
        assert verify(world.out) == []
    assert outs[0] == outs[1]


def test_a_curation_that_is_there_is_not_done_again(world):
    add_all(world)
    curation = world.curate(SAME)
    folder = curation_folder(world.out, curation.fingerprint)
    before = {p: p.stat().st_mtime_ns for p in Path(folder).glob("decisions-*")}
    assert world.curate(SAME) == curation
    assert {p: p.stat().st_mtime_ns for p in Path(folder).glob("decisions-*")} == before


MANY = [
    row((VQA, OKVQA, LNQA)[n % 3], [(f"Q{n % 7}?", f"a{n % 5}")], n, number=n) for n in range(90)
]


def many_rows(out: str, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("cauldron.pipeline.decide.ROWS_PER_BUCKET", 30)
    world = World(out)
    for source in (VQA, OKVQA, LNQA):
        mine = [item for item in MANY if item[0].source == source]
        world.add(source, mine[:15], mine[15:], mine[:4])
    return world


def many_clusters() -> dict[int, list[Any]]:
    """16 clusters of 5 rows, each of all three sources."""
    return {k: [(MANY[n], 0) for n in range(k, 80, 16)] for k in range(16)}


@pytest.mark.parametrize("after", range(9))
def test_a_curation_that_is_cut_off_ends_in_the_same_bytes(tmp_path, monkeypatch, after):
    """Between any two of its files, and before its manifest."""
    whole = many_rows(str(tmp_path / "whole"), monkeypatch)
    expected = whole.curate(many_clusters())
    world = many_rows(str(tmp_path / "cut"), monkeypatch)
    write, written = storage.write_bytes, 0

    def cut(path: str, value: bytes) -> None:
        nonlocal written
        written += "/curation/" in path
        if written > after:
            raise OSError("cut off")
        write(path, value)

    monkeypatch.setattr(storage, "write_bytes", cut)
    with pytest.raises((CauldronError, OSError), match="cut off"):
        world.curate(many_clusters())
    monkeypatch.setattr(storage, "write_bytes", write)
    assert not list(Path(world.out).rglob("curation/*/manifest.json"))
    assert world.curate(many_clusters()) == expected
    folder = curation_folder(world.out, expected.fingerprint)
    assert bytes_of(folder) == bytes_of(curation_folder(whole.out, expected.fingerprint))
    assert verify(world.out) == []


# Queries


def test_clusters_contamination_and_merges_can_be_queried(world):
    add_all(world)
    world.mix(world.curate(SAME, contaminated=[(ALONE, 0)]))
    assert ask(world, "SELECT source, image FROM clusters WHERE representative") == [
        {"source": LNQA, "image": 0}
    ]
    assert ask(world, "SELECT id, benchmark, removed FROM contamination") == [
        {"id": ALONE[0].id, "benchmark": "mmmu", "removed": True}
    ]
    sql = """SELECT b.messages[2].content[1].text AS answer FROM contamination c
        JOIN benchmarks b ON (c.benchmark, c.benchmark_id) = (b.source, b.id)"""
    assert ask(world, sql) == [{"answer": "B"}]
    sql = """SELECT DISTINCT m.source FROM decisions m JOIN decisions t
        ON (m.into_source, m.into_part, m.into_row) = (t.source, t.part, t."row")
        WHERE t.merged_length IS NOT NULL ORDER BY 1"""
    assert ask(world, sql) == [{"source": OKVQA}, {"source": VQA}]


def test_of_a_benchmark_the_rows_of_the_present_curation_are_shown(world):
    add_all(world)
    assert ask(world, "FROM benchmarks") == []
    world.curate(SAME, contaminated=[(ALONE, 0)])
    newer = [row("mmmu", [("Q", str(n))], n) for n in range(3)]
    present = world.benchmarks.copy()
    world.add_benchmark(newer, "b1")
    assert world.benchmarks != present
    count = "SELECT count(*) AS n FROM benchmarks"
    assert ask(world, count) == [{"n": 1}]
    storage.remove(f"{world.out}/benchmarks/mmmu/b0/manifest.json")
    assert ask(world, count) == [{"n": 3}]
    storage.remove(f"{world.out}/benchmarks/mmmu/b1/manifest.json")
    assert ask(world, count) == [{"n": 0}]


def test_clusters_of_another_curation_are_not_shown(world):
    add_all(world)
    world.mix(world.curate(SAME))
    world.curate({1: [(SMALL, 0), (PAIR, 1)]}, matches="m1")
    assert ask(world, "SELECT DISTINCT cluster FROM clusters") == [{"cluster": cluster_name(0)}]


def test_the_manifest_can_be_read_alone(world):
    add_all(world)
    curation = world.curate(SAME, contaminated=[(ALONE, 0)], conflicts="first")
    values = json.loads(curation.model_dump_json())
    assert values["priority"] == [VQA, OKVQA, LNQA, DOLLY]
    assert (values["action"], values["conflicts"], values["matches"]) == ("merge", "first", "m0")
    assert [file["rows"] for file in values["clusters"]] == [4]
    assert [file["rows"] for file in values["merged"]] == [1]
    assert CurationManifest.model_validate(values) == curation
