"""Contamination: what leaks is found, with evidence, on every runner the same."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import apache_beam as beam
import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from cauldron.transforms.matching import contamination
from cauldron.transforms.matching.arrays import BENCHMARK_PICTURE
from cauldron.transforms.matching.contamination import ContaminationJob, FindContamination
from cauldron.transforms.matching.contamination.leaks import (
    LEAK,
    indirect_leaks,
    leaks_by_content,
    leaks_by_verdict,
    steps,
    strongest,
)
from cauldron.transforms.matching.records import (
    BENCHMARK,
    OTHER_COLOURS,
    OTHER_RENDERING,
    SAME,
    TRAINING,
    VERDICT,
)
from PIL import Image

from cauldron.core.errors import CauldronError
from cauldron.core.schema import CONTAMINATION_SCHEMA
from cauldron.pipeline.runners.runner import run
from tests.transforms.made_pictures import encoded
from tests.transforms.matching.contamination.world import (
    Matching,
    Row,
    Verdict,
    evidence,
    find,
    make,
    row_id,
    set_up,
)

LONG = "In the year before the bridge was closed how many lorries crossed it on an average Monday?"


def pairs_of(records: list[dict]) -> list[tuple]:
    return [(r["id"], r["image"], r["benchmark_id"], r["benchmark_image"]) for r in records]


def test_a_picture_that_a_benchmark_has_too_is_found_without_any_verdict(tmp_path):
    shared, own = make(1, 400, 200), make(2)
    matching = set_up(
        tmp_path,
        {"vqa": [[Row("a", [own])], [Row("b", [own, shared])]]},
        {"mmmu": [[Row("t", [shared])]]},
    )
    (record,) = evidence(find(matching, tmp_path / "out"))
    thumbnails = record.pop("thumbnails")
    assert record == {
        "kind": "picture",
        "source": "vqa",
        "id": row_id("b"),
        "image": 1,
        "origin": {"file": "vqa.parquet", "row_group": -1, "row": -1, "key": "b"},
        "benchmark": "mmmu",
        "benchmark_id": row_id("t"),
        "benchmark_image": 0,
        "benchmark_origin": {"file": "mmmu.parquet", "row_group": -1, "row": -1, "key": "t"},
        "distance": 0,
        "score": 1.0,
        "overlap": "what is this",
        "removed": True,
    }
    assert len(thumbnails) == 2
    for thumbnail in thumbnails:
        assert thumbnail["path"] is None
        assert Image.open(io.BytesIO(thumbnail["bytes"])).size == (256, 128)


def test_a_blank_page_of_a_benchmark_leaks_nothing(tmp_path):
    """Not even as the exact file; a page with something on it does."""
    blank, page = encoded(Image.new("RGB", (85, 110), "white"), "PNG"), make(1)
    matching = set_up(
        tmp_path,
        {"docs": [[Row("a", [make(2), blank]), Row("b", [blank]), Row("c", [blank, page])]]},
        {"mmmu": [[Row("t", [blank, page])]]},
    )
    found = pairs_of(evidence(find(matching, tmp_path / "out")))
    assert found == [(row_id("c"), 1, row_id("t"), 1)]


def test_a_leaks_by_verdict_whichever_picture_comes_first(tmp_path):
    pictures = [make(seed) for seed in range(12)]
    training, tested = pictures[:6], pictures[6:]
    matching = set_up(
        tmp_path,
        {"vqa": [[Row(f"r{n}", [data]) for n, data in enumerate(training)]]},
        {"mmmu": [[Row(f"t{n}", [data]) for n, data in enumerate(tested)]]},
    )
    orders = {
        matching.numbers[a] < matching.numbers[b] for a, b in zip(training, tested, strict=True)
    }
    assert orders == {True, False}
    pairs = zip(training, tested, strict=True)
    matching.judge(*(Verdict(a, b, 2, 0.5 + n / 16) for n, (a, b) in enumerate(pairs)))
    found = {r["id"]: r for r in evidence(find(matching, tmp_path / "out"))}
    assert len(found) == 6
    for n in range(6):
        record = found[row_id(f"r{n}")]
        assert record["benchmark_id"] == row_id(f"t{n}")
        assert (record["distance"], record["score"]) == (2, 0.5 + n / 16)


@pytest.mark.parametrize(
    ("same", "kind"), [(OTHER_COLOURS, "colours"), (OTHER_RENDERING, "rendering")]
)
def test_a_leak_that_is_altered_says_so_and_takes_its_copies_along(tmp_path, same, kind):
    tested, grey, copy = (make(seed) for seed in range(3))
    matching = set_up(
        tmp_path,
        {"vqa": [[Row("grey", [grey]), Row("copy", [copy])]]},
        {"mmmu": [[Row("t", [tested])]]},
    )
    matching.judge(Verdict(tested, grey, 2, 0.875, same), Verdict(grey, copy, 6, 0.625, SAME))
    found = {r["id"]: r for r in evidence(find(matching, tmp_path / "out"))}
    assert {name: found[row_id(name)]["kind"] for name in ("grey", "copy")} == {
        "grey": kind,
        "copy": kind,
    }
    assert found[row_id("copy")]["score"] == 0.625
    assert all(record["removed"] for record in found.values())


def test_a_verdict_below_the_bar_links_nothing(tmp_path):
    a, b = make(1), make(2)
    matching = set_up(tmp_path, {"vqa": [[Row("a", [a])]]}, {"mmmu": [[Row("t", [b])]]})
    matching.judge(Verdict(a, b, same=False))
    assert evidence(find(matching, tmp_path / "out")) == []


def test_a_copy_of_a_copy_is_found_and_no_further_one(tmp_path):
    tested, copy, copy2, copy3 = (make(seed) for seed in range(4))
    matching = set_up(
        tmp_path,
        {"vqa": [[Row(f"r{n}", [data]) for n, data in enumerate((copy, copy2, copy3))]]},
        {"mmmu": [[Row("t", [tested])]]},
    )
    matching.judge(
        Verdict(tested, copy, 2, 0.875), Verdict(copy, copy2, 6, 0.625), Verdict(copy2, copy3)
    )
    found = {r["id"]: (r["distance"], r["score"]) for r in evidence(find(matching, tmp_path / "o"))}
    assert found == {row_id("r0"): (2, 0.875), row_id("r1"): (6, 0.625)}


def test_with_text_a_row_stays_unless_a_question_of_it_is_the_benchmarks(tmp_path):
    shared, other = make(1), make(2)
    matching = set_up(
        tmp_path,
        {
            "vqa": [
                [
                    Row(
                        "asks", [other, shared], ["What colour is it?", f"Tell me: {LONG} Thanks."]
                    ),
                    Row("else", [shared], ["Is the bridge open?"]),
                    Row("none", [other], [LONG]),
                ]
            ]
        },
        {"mmmu": [[Row("t", [shared], [LONG])], [Row("o", [other], [])]]},
    )
    matching.judge()
    job = find(matching, tmp_path / "out", match_text=True, files=1)
    records = evidence(job)
    removed = {(r["id"], r["image"]): r["removed"] for r in records}
    assert removed == {
        (row_id("asks"), 0): True,  # the row goes as a whole
        (row_id("asks"), 1): True,
        (row_id("else"), 0): False,
        (row_id("none"), 0): False,  # asks it about another picture
    }
    overlaps = {r["overlap"] for r in records}
    assert overlaps == {None, " ".join(re.findall(r"\w+", LONG.lower())[:13])}
    marker = json.loads(Path(job.marker(0)).read_text())
    assert marker["removed"] == {"vqa": {"rows": 1, "benchmarks": {"mmmu": 1}}}
    assert marker["flagged"] == {"vqa": {"rows": 2, "benchmarks": {"mmmu": 2}}}
    assert marker["file"]["rows"] == 4
    assert marker["file"]["bytes"] == Path(job.file(0)).stat().st_size


def test_three_images_of_a_benchmark_are_named_those_with_the_question_first(tmp_path):
    shared = make(1)
    rows = [Row(f"t{n}", [shared], [f"What is number {n}?"]) for n in range(20)]
    matching = set_up(
        tmp_path,
        {"vqa": [[Row("a", [shared], ["What is number 7?", "What is number 9?"])]]},
        {"mmmu": [rows[:9], rows[9:]], "chartqa": [[Row("c", [shared])]]},
    )
    records = evidence(find(matching, tmp_path / "out", match_text=True))
    named = [r["benchmark_id"] for r in records if r["benchmark"] == "mmmu"]
    asked = {row_id("t7"), row_id("t9")}
    assert asked < set(named)
    (other,) = set(named) - asked
    assert other == min({row_id(row.name) for row in rows} - asked)
    assert [r["benchmark_id"] for r in records if r["benchmark"] == "chartqa"] == [row_id("c")]
    assert all(r["removed"] for r in records)


def test_of_several_benchmark_pictures_the_best_matches_are_named(tmp_path):
    mine, tested = make(0), [make(seed) for seed in range(1, 7)]
    matching = set_up(
        tmp_path,
        {"vqa": [[Row("a", [mine])]]},
        {"mmmu": [[Row(f"t{n}", [data], [f"{n}?"]) for n, data in enumerate(tested)]]},
    )
    matching.judge(*(Verdict(mine, data, 4, n / 8) for n, data in enumerate(tested)))
    records = evidence(find(matching, tmp_path / "out"))
    assert {r["benchmark_id"] for r in records} == {row_id(f"t{n}") for n in (3, 4, 5)}


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> Matching:
    """Forty rows in four parts, half of them leaks of every kind."""
    folder = tmp_path_factory.mktemp("leaky")
    pictures = [make(seed) for seed in range(30)]
    rows = [
        Row(f"r{n}", [pictures[n % 15], pictures[(n * 7) % 15]], [f"What is {n % 9}?"])
        for n in range(40)
    ]
    matching = set_up(
        folder,
        {"vqa": [rows[:10], rows[10:20]], "okvqa": [rows[20:25], rows[25:]]},
        {
            "mmmu": [[Row(f"t{n}", [pictures[n]], [f"What is {n}?"]) for n in range(12, 21)]],
            "ai2d": [[Row("u", [pictures[16], pictures[20]], [LONG])], [Row("v", [pictures[13]])]],
        },
    )
    matching.judge(
        *(Verdict(pictures[n], pictures[n + 15], n, 0.5 + n / 32) for n in range(4)),
        *(Verdict(pictures[n], pictures[n + 4], 3, 0.75) for n in range(4)),
    )
    return matching


def folder_bytes(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def found(leaky: Matching, tmp_path_factory: pytest.TempPathFactory) -> ContaminationJob:
    return find(leaky, tmp_path_factory.mktemp("found"), files=5)


def test_every_file_is_there_sorted_in_its_schema_and_row_found_by_its_id(found):
    total = 0
    for number in range(5):
        table = pq.read_table(found.file(number))
        assert table.schema.equals(CONTAMINATION_SCHEMA)
        keys = [
            (*(r[k] for k in ("source", "id", "image", "benchmark")), *r_benchmark(r))
            for r in table.to_pylist()
        ]
        assert keys == sorted(set(keys))
        assert {int(key[1][:8], 16) * 5 >> 32 for key in keys} <= {number}
        total += len(keys)
    assert total > 40


def r_benchmark(record: dict) -> tuple[str, int]:
    return record["benchmark_id"], record["benchmark_image"]


def test_nothing_found_is_still_every_file(tmp_path):
    matching = set_up(tmp_path, {"vqa": [[Row("a", [make(1)])]]}, {"mmmu": [[Row("t", [make(2)])]]})
    job = find(matching, tmp_path / "out", files=3)
    assert sorted(folder_bytes(tmp_path / "out")) == [
        *(f"_done/contamination-{n:05d}.json" for n in range(3)),
        *(f"contamination-{n:05d}-of-00003.parquet" for n in range(3)),
    ]
    assert evidence(job) == []
    assert pq.read_schema(job.file(0)).equals(CONTAMINATION_SCHEMA)


@pytest.mark.parametrize(
    ("arguments", "ranges"),
    [
        (["--direct_runner_bundle_repeat=2"], [0, 1, 2]),
        ([], [2, 0, 1]),
    ],
    ids=["bundles repeated", "another order"],
)
def test_another_order_gives_the_same_bytes(leaky, found, tmp_path, arguments, ranges):
    find(leaky, tmp_path / "out", *arguments, files=5, ranges=ranges)
    assert folder_bytes(tmp_path / "out") == folder_bytes(Path(found.folder))


def test_a_logo_in_a_thousand_rows_is_stored_a_few_times(tmp_path):
    logo = make(1, 256, 256)
    rows = [Row(f"r{n}", [logo], [f"What is {n}?"]) for n in range(1200)]
    matching = set_up(
        tmp_path, {"vqa": [rows[:700], rows[700:]]}, {"mmmu": [[Row("t", [logo], ["?"])]]}
    )
    job = find(matching, tmp_path / "out", files=1)
    records = evidence(job)
    assert len(records) == 1200
    small = records[0]["thumbnails"][0]["bytes"]
    assert all(t["bytes"] == small for r in records for t in r["thumbnails"])
    # Three row groups; what ids and origins take is under 60 bytes a row.
    assert Path(job.file(0)).stat().st_size < 3 * len(small) + 1200 * 60 + 20_000


def test_a_picture_that_is_damaged_is_told_with_its_place(tmp_path):
    shared = make(1)
    matching = set_up(tmp_path, {"vqa": [[Row("a", [shared])]]}, {"mmmu": [[Row("t", [shared])]]})
    pack = tmp_path / "corpus/vqa/images-00000-of-00001.tar"
    data = bytearray(pack.read_bytes())
    start = data.index(shared[:64])
    data[start + 20 : start + len(shared)] = bytes(len(shared) - 20)
    pack.write_bytes(data)
    job = ContaminationJob(matching.job, str(tmp_path / "out"), 1, False, 13)

    def build(pipeline):
        return pipeline | beam.Create([0, 1, 2]) | FindContamination(job)

    with pytest.raises(CauldronError, match=rf"{pack}: {len(shared)} bytes at {start} are no pict"):
        run("curate", build, ["--direct_num_workers=1"], 0)
    assert not (tmp_path / "out/contamination-00000-of-00001.parquet").exists()


def test_what_the_docstring_tells_an_auditor_works(found, tmp_path, monkeypatch):
    text = contamination.__doc__.replace("curation/FINGERPRINT", found.folder)
    target = evidence(found)[0]
    queries = re.findall(r"::\n\n((?:    .*\n)+)", text)
    one, weakest, totals, export = (re.sub("^    ", "", q, flags=re.MULTILINE) for q in queries)
    rows = duckdb.sql(one.replace("'...'", f"'{target['id']}'")).fetchall()
    assert {row[0] for row in rows} == {target["id"]}
    weak = duckdb.sql(weakest).fetchnumpy()
    assert (np.diff(weak["score"]) >= 0).all()
    assert "thumbnails" not in weak
    counted = sum(rows for _, _, _, rows in duckdb.sql(totals).fetchall())
    markers = [json.loads(Path(found.marker(n)).read_text()) for n in range(5)]
    assert counted == sum(
        rows
        for marker in markers
        for source in marker["removed"].values()
        for rows in source["benchmarks"].values()
    )
    monkeypatch.chdir(tmp_path)
    exec(export.replace("'...'", f"'{target['id']}'"), {"duckdb": duckdb, "Path": Path})
    keys = ("id", "image", "benchmark", "benchmark_id", "benchmark_image")
    name = "-".join(str(target[key]) for key in keys)
    for side, thumbnail in zip("ab", target["thumbnails"], strict=True):
        assert Path(f"{name}-{side}.jpg").read_bytes() == thumbnail["bytes"]


def naive_leaks(kinds: list[int], edges: dict[tuple[int, int], tuple[int, float]]) -> dict:
    """What `leaks.py` says, said with dictionaries."""
    both = {**edges, **{(b, a): value for (a, b), value in edges.items()}}
    best: dict[tuple[int, int], tuple[float, int]] = {}

    def take(a: int, b: int, distance: int, score: float) -> None:
        best[a, b] = min(best.get((a, b), (1.0, 99)), (-score, distance))

    for number, kind in enumerate(kinds):
        if kind == TRAINING | BENCHMARK:
            take(number, number, 0, 1.0)
    for (a, b), value in both.items():
        if kinds[a] & TRAINING and kinds[b] & BENCHMARK:
            take(a, b, *value)
    direct = dict(best)
    leaked = {a for a, _ in direct}
    for (a, via), (distance, score) in both.items():
        if kinds[a] == TRAINING and a not in leaked:
            for (c, b), (minus, far) in direct.items():
                if c == via:
                    weaker = max((-score, distance), (minus, far))
                    take(a, b, weaker[1], -weaker[0])
    return best


@pytest.mark.parametrize("seed", range(8))
def test_leaks_are_those_of_a_plain_search(seed):
    random = np.random.default_rng(seed)
    kinds = random.choice([1, 1, 1, 2, 3], size=40).tolist()
    edges = {}
    for a, b in random.integers(0, 40, (60, 2)).tolist():
        if a < b and not (kinds[a] == kinds[b] == BENCHMARK):
            edges[a, b] = (int(random.integers(0, 9)), float(random.integers(1, 5)) / 4)
    verdicts = np.zeros(len(edges), dtype=VERDICT)
    for record, ((a, b), (distance, score)) in zip(verdicts, edges.items(), strict=True):
        record["first"], record["second"] = a, b
        record["distance"], record["score"] = distance, score
    known = np.array(
        [(n, k) for n, k in enumerate(kinds) if k & BENCHMARK], dtype=BENCHMARK_PICTURE
    )
    direct = np.concatenate([leaks_by_content(known), leaks_by_verdict(verdicts, known)])
    near = steps(verdicts, known, np.unique(direct["training"]))
    leaks = strongest(np.concatenate([direct, indirect_leaks(near, direct)]), 40)
    assert {
        (int(a), int(b)): (-float(score), int(distance)) for a, b, distance, score, _ in leaks
    } == naive_leaks(kinds, edges)


def test_the_strongest_leaks_are_kept_whatever_their_order():
    leaks = np.array(
        [(9, 100 + n, n % 3, n / 8, 0) for n in range(8)] + [(7, 1, 0, 0.5, 0)], dtype=LEAK
    )
    wanted = [(7, 1), (9, 107), (9, 106), (9, 105)]
    for order in (leaks, leaks[::-1], np.concatenate([leaks, leaks])):
        kept = strongest(order, 3)
        assert [(int(a), int(b)) for a, b, *_ in kept] == wanted
