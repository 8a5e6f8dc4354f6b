"""Contamination by text: what is found, what is a form of words, and the same on every runner."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from cauldron.sources.base import RawImage
from cauldron.transforms.matching.records import MatchJob, MatchSource
from cauldron.transforms.matching.texts import FindTexts, TextJob
from cauldron.transforms.matching.texts.turns import sequences, turns_of
from cauldron.transforms.normalise import Kept
from cauldron.transforms.parts import PartNames, PartWriter
from cauldron.transforms.pictures.prepare import prepare_image

from cauldron.core.schema import CONTAMINATION_SCHEMA, NO_QUESTION, Origin, Sample, Turn
from cauldron.core.sections.rules import ImageRules
from tests.transforms.matching.contamination.world import make, row_id

QUESTION = (
    "In the year before the bridge was closed, how many lorries crossed it on an average Monday "
    "morning between six and nine?"
)
ANSWER = "About four hundred and twenty."

Part = list[tuple[str, list[tuple[str, str]]]]


def set_up(
    folder: Path,
    training: dict[str, list[Part]],
    tests: dict[str, list[Part]],
    pictures: Mapping[str, bytes] = MappingProxyType({}),
) -> MatchJob:
    corpora = [(name, parts, False) for name, parts in training.items()]
    corpora += [(name, parts, True) for name, parts in tests.items()]
    sources = tuple(
        MatchSource(name, str(folder / "corpus" / name), len(parts), benchmark)
        for name, parts, benchmark in corpora
    )
    for source, (_, parts, _) in zip(sources, corpora, strict=True):
        for number, rows in enumerate(parts):
            names = PartNames(source.corpus, source.corpus + "-q", number, len(parts))
            with PartWriter(names, source.name) as writer:
                for name, turns in rows:
                    sample = _sample(source.name, name, turns, pictures.get(name))
                    writer.add(_kept(sample, pictures.get(name)), 1)
    return MatchJob(sources, str(folder / "matches"), 1, 8, 56, 0.035, 32)


def _sample(source: str, name: str, turns: list[tuple[str, str]], picture: bytes | None) -> Sample:
    images = () if picture is None else (prepare_image(RawImage(picture), ImageRules()).info,)
    return Sample(
        id=row_id(name),
        source=source,
        system=None,
        turns=tuple(Turn(user=q, assistant=a, source=source) for q, a in turns),
        images=images,
        origin=Origin(file=f"{source}.parquet", key=name),
        license="mit",
        language=None,
    )


def _kept(sample: Sample, picture: bytes | None) -> Kept:
    if picture is None:
        return Kept(sample, [], [])
    stored = prepare_image(RawImage(picture), ImageRules())
    return Kept(sample, [stored.data], [stored.signature])


def find(match: MatchJob, folder: Path, *arguments: str, **rules: object) -> list[dict]:
    values = {"ngram": 13, "overlap": 0.5, "max_texts": 10, "remove": True}
    values |= {"remove_pictured": False, **rules}
    job = TextJob(match, str(folder), 2, **values)  # type: ignore[arg-type]
    parts = [(n, part) for n, source in enumerate(match.sources) for part in range(source.parts)]
    with beam.Pipeline(options=PipelineOptions(["--runner=FnApiRunner", *arguments])) as pipeline:
        _ = pipeline | beam.Create(parts) | FindTexts(job)
    return pa.concat_tables(pq.read_table(job.file(number)) for number in range(2)).to_pylist()


def pairs(records: list[dict]) -> set[tuple[str, str]]:
    return {(record["id"], record["benchmark_id"]) for record in records}


def test_a_text_only_row_with_a_benchmarks_question_is_found(tmp_path):
    match = set_up(
        tmp_path,
        {"lima": [[("a", [("Hello there", "Hi"), (QUESTION.upper(), "No idea")])], []]},
        {"mmmu": [[("t", [(QUESTION, ANSWER)])]]},
    )
    (record,) = find(match, tmp_path / "out")
    assert record == {
        **dict.fromkeys(CONTAMINATION_SCHEMA.names),
        "kind": "text",
        "source": "lima",
        "id": row_id("a"),
        "origin": {"file": "lima.parquet", "row_group": -1, "row": -1, "key": "a"},
        "benchmark": "mmmu",
        "benchmark_id": row_id("t"),
        "benchmark_origin": {"file": "mmmu.parquet", "row_group": -1, "row": -1, "key": "t"},
        "score": 1.0,
        "overlap": " ".join(QUESTION.lower().replace(",", "").replace("?", "").split()),
        "removed": True,
    }


@pytest.mark.parametrize(
    ("question", "answer", "found"),
    [
        (QUESTION, "Other words.", True),
        (f"Look at the chart and answer. {QUESTION} Be brief.", "x", True),
        (QUESTION.replace("average", "ordinary"), ANSWER, True),  # 15 words before, none after
        (QUESTION.replace("lorries", "vans").replace("Monday", "Friday"), ANSWER, False),
        ("How many lorries crossed the bridge?", ANSWER, False),
        ("Tell me.", f"{QUESTION} {ANSWER}", True),
        (" ".join(reversed(QUESTION.split())), ANSWER, False),
    ],
)
def test_what_counts_as_the_same_text(tmp_path, question, answer, found):
    match = set_up(
        tmp_path,
        {"lima": [[("a", [(question, answer)])]]},
        {"mmmu": [[("t", [(QUESTION, ANSWER)])]]},
    )
    assert bool(find(match, tmp_path / "out")) is found


@pytest.mark.parametrize("pictured", ["", "a", "t", "at"])
def test_one_question_about_two_pictures_is_only_listed(tmp_path, pictured):
    pictures = {name: make(number) for number, name in enumerate(pictured)}
    match = set_up(
        tmp_path,
        {"vqa": [[("a", [(QUESTION, "No idea")])]]},
        {"mmmu": [[("t", [(QUESTION, ANSWER)])]]},
        pictures,
    )
    (record,) = find(match, tmp_path / "out")
    assert record["removed"] is (pictured != "at")
    (record,) = find(match, tmp_path / "all", remove_pictured=True)
    assert record["removed"] is True


def test_the_question_counts_without_its_choices(tmp_path):
    choices = "\n".join(f"{letter}. {word} of the lorries " * 8 for letter, word in ["AB", "BC"])
    match = set_up(
        tmp_path,
        {"lima": [[("a", [(QUESTION, "No idea")])]]},
        {"mmmu": [[("t", [(f"{QUESTION}\n{choices}", ANSWER)])]]},
    )
    assert [record["score"] for record in find(match, tmp_path / "out")] == [1.0]


def test_words_that_many_texts_have_are_no_evidence(tmp_path):
    form = "Please answer the question above with a single word or phrase and nothing else at all"
    rows = [(f"r{n}", [(f"{form} {n}", str(n))]) for n in range(11)]
    tests = {"mmmu": [[("t", [(form, "yes")])]]}
    match = set_up(tmp_path / "many", {"lima": [rows[:4], rows[4:]]}, tests)
    assert find(match, tmp_path / "out-many") == []
    match = set_up(tmp_path / "few", {"lima": [rows[:4], rows[4:10]]}, tests)
    assert len(find(match, tmp_path / "out-few")) == 10
    # A leak does not become a form of words by being copied.
    copies = [(f"c{n}", [(QUESTION, ANSWER)]) for n in range(40)]
    match = set_up(
        tmp_path / "copies",
        {"lima": [copies[:30], copies[30:]]},
        {"mmmu": [[("t", [(QUESTION, ANSWER)])]]},
    )
    assert len(pairs(find(match, tmp_path / "out-copies"))) == 40


def test_a_row_without_a_published_question_is_compared_by_its_answer(tmp_path):
    row = {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": f"key {QUESTION}"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "Four."}]},
        ],
        "turn_sources": [f"mmmu{NO_QUESTION}"],
    }
    assert [turn.words for turn in turns_of(row)] == [("four",)]


def test_sequences_do_not_cross_turns():
    words = [tuple("abcd"), tuple("efg"), tuple("ab"), (), tuple("bcd")]
    hashes, owner = sequences(words, 3)
    assert owner.tolist() == [0, 0, 1, 4]
    assert hashes[1] == hashes[3]
    assert len(np.unique(hashes)) == 3


def test_every_leak_is_found_and_nothing_else_whatever_the_parts(tmp_path):
    """Against a plain comparison of all pairs, on random texts of few words."""
    draw = random.Random(0)
    words = [f"w{n}" for n in range(40)]

    def text() -> str:
        return " ".join(draw.choices(words, k=draw.randint(3, 30)))

    tests = [(f"t{n}", text()) for n in range(30)]
    rows = []
    for n in range(200):
        body = text()
        if n % 4 == 0:
            body = f"{body} {draw.choice(tests)[1]} {text()}"
        rows.append((f"r{n}", body))

    def runs(body: str) -> set[tuple[str, ...]]:
        split = body.split()
        return {tuple(split[at : at + 5]) for at in range(len(split) - 4)}

    expected = set()
    for name, body in rows:
        for test, target in tests:
            split, ours = target.split(), runs(body)
            hit = {p for at in range(len(split) - 4) if tuple(split[at : at + 5]) in ours
                   for p in range(at, at + 5)}  # fmt: skip
            if hit and len(hit) / len(split) >= 0.5:
                expected.add((row_id(name), row_id(test)))
    assert len(expected) > 20
    found = []
    for cuts in ([rows], [rows[:60], rows[60:61], rows[61:]]):
        folder = tmp_path / str(len(cuts))
        parts: list[Part] = [[(name, [(body, "")]) for name, body in part] for part in cuts]
        match = set_up(folder, {"lima": parts}, {"mmmu": [[(t, [(b, "")]) for t, b in tests]]})
        found.append(find(match, folder / "out", ngram=5, max_texts=1000))
    assert pairs(found[0]) == expected
    assert found[0] == found[1]
