"""`cauldron docmatix`: every document and pair is accounted for, no question is asked twice."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from cauldron.sources import pdfs as pdf_places
from cauldron.sources.formats import pdf
from click.testing import CliRunner
from PIL import Image

from cauldron.cli import main
from cauldron.sample.model_server import Behaviour, ModelServer
from cauldron.sample.pdfs import MadePdf, endless_pdf, made_pdfs, write_pdfa_tar, write_pdfs

COUNT = 18
USED = 14
PART = 5
REASONS = {
    "password": "pdf_encrypted",
    "cut": "pdf_unreadable",
    "long": "too_many_pages",
    "blank": "no_text",
}


def small_pdfs(count: int, seed: int = 0) -> Iterator[MadePdf]:
    """Pages of a quarter of A4's sides: drawing them whole took half of these tests' time."""
    return made_pdfs(count, seed, shrink=4)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


@pytest.fixture(scope="module")
def pdfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pdfs")
    write_pdfs(folder, small_pdfs(COUNT))
    return folder


@pytest.fixture(scope="module")
def whole(pdfs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset of an undisturbed run."""
    output = tmp_path_factory.mktemp("whole") / "hub" / "HuggingFaceM4" / "Docmatix"
    with pytest.MonkeyPatch.context() as patch, ModelServer() as running:
        patch.setattr(pdf_places, "DOCUMENTS", PART)
        made(pdfs, output, running)
    return output


def manifest_of(output: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((output / "manifest.json").read_text())
    return manifest


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_places, "DOCUMENTS", PART)


def run(pdfs: Path | str, output: Path, server: ModelServer | None, *more: str) -> Any:
    endpoint = ["--endpoint", server.url, "--model", "rules"] if server else []
    return CliRunner().invoke(
        main, ["docmatix", str(pdfs), "--output", str(output), *endpoint, *more]
    )


def made(pdfs: Path | str, output: Path, server: ModelServer, *more: str) -> dict[str, Any]:
    result = run(pdfs, output, server, *more)
    assert result.exit_code == 0, result.output
    return manifest_of(output)


def table(output: Path, kind: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for path in sorted((output / kind).glob("*.parquet")):
        rows += pq.read_table(path).to_pylist()
    return rows


def files_of(output: Path) -> dict[str, str]:
    """Digests of everything that a dataset is made of."""
    return {
        str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(output.rglob("*"))
        if path.is_file() and "answers" not in path.parts
    }


def test_every_document_and_pair_is_accounted_for(
    pdfs: Path, tmp_path: Path, server: ModelServer
) -> None:
    manifest = made(pdfs, tmp_path / "out", server)
    documents = table(tmp_path / "out", "documents")
    expected = {f"{item.name}.pdf": REASONS.get(item.damage, "") for item in small_pdfs(COUNT)}
    assert {row["key"]: row["reason"] for row in documents} == expected
    assert {row["reason"]: row["outcome"] for row in documents} == {
        "": "kept",
        "pdf_encrypted": "quarantined",
        "pdf_unreadable": "quarantined",
        "too_many_pages": "dropped",
        "no_text": "dropped",
    }
    assert manifest["documents"] == dict(Counter(row["reason"] or "kept" for row in documents))
    pairs = table(tmp_path / "out", "pairs")
    assert manifest["pairs"] == dict(Counter(row["reason"] or "kept" for row in pairs))
    for row in documents:
        mine = [pair for pair in pairs if pair["key"] == row["key"]]
        kept = [pair for pair in mine if not pair["reason"]]
        assert (row["pairs"], row["pairs_kept"]) == (len(mine), len(kept))
    assert all(count == 1 for count in server.answered.values())
    assert len(server.answered) == manifest["requests"] == USED


def test_both_configurations_are_in_the_published_layout(whole: Path) -> None:
    manifest = manifest_of(whole)
    images, documents = (table(whole, kind) for kind in ("images", "pdf"))
    assert [row["texts"] for row in images] == [row["texts"] for row in documents]
    assert sum(len(row["images"]) for row in images) == manifest["pages"]
    by_name = {item.name: item for item in small_pdfs(COUNT)}
    for row, document in zip(images, documents, strict=True):
        (source,) = {text["source"] for text in row["texts"]}
        item = by_name[source.removeprefix("PDFA key: ").removesuffix(".pdf")]
        assert document["pdf"] == item.data
        pages = [Image.open(io.BytesIO(image["bytes"])) for image in row["images"]]
        assert len(pages) == len(item.pages)
        assert {page.format for page in pages} == {"PNG"}
        assert {page.size for page in pages} == {(311, 438)}  # 149 x 210 points at 150 dpi
    for kind, entries in manifest["files"].items():
        for entry in entries:
            data = (whole / kind / entry["name"]).read_bytes()
            assert hashlib.sha256(data).hexdigest() == entry["sha256"]


def test_the_datasets_library_loads_both_configurations(whole: Path, tmp_path: Path) -> None:
    import datasets

    loaded = {
        name: datasets.load_dataset(str(whole), name, split="train", cache_dir=str(tmp_path))
        for name in ("images", "pdf")
    }
    for name, dataset in loaded.items():
        assert dataset.num_rows == USED
        assert set(dataset.column_names) == {name, "texts"}
    assert loaded["images"][0]["images"][0].size == (311, 438)


@pytest.mark.parametrize("config", ["images", "pdf"])
def test_build_mixes_the_dataset(config: str, whole: Path, tmp_path: Path) -> None:
    hub, manifest = whole.parents[1], manifest_of(whole)
    recipe = {
        "name": "own",
        "language": {"identify": False},
        "sources": {"docmatix": {"options": {"config": config}}},
        "stages": {"sft": {"budget": {"samples": USED}, "mixture": {"docmatix": 1}}},
    }
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(recipe))
    arguments = ["build", str(tmp_path / "own.yaml"), "--root", str(hub), "--json"]
    result = CliRunner().invoke(main, [*arguments, "--output", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    (mixture,) = json.loads(result.stdout)
    assert mixture["totals"]["rows"] == manifest["documents"]["kept"]
    assert mixture["totals"]["images"] == manifest["pages"]


def test_a_finished_dataset_is_found_again(pdfs: Path, tmp_path: Path, server: ModelServer) -> None:
    made(pdfs, tmp_path / "out", server)
    before, asked = files_of(tmp_path / "out"), len(server.asked)
    made(pdfs, tmp_path / "out", server)
    assert files_of(tmp_path / "out") == before
    assert len(server.asked) == asked


def test_other_filters_ask_nothing_again(pdfs: Path, tmp_path: Path, server: ModelServer) -> None:
    recipe = {"extends": "idefics3", "docmatix": {"drop_pairs": []}}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(recipe))
    first = made(pdfs, tmp_path / "out", server)
    asked = len(server.asked)
    second = made(pdfs, tmp_path / "out", server, "--recipe", str(tmp_path / "own.yaml"))
    assert len(server.asked) == asked
    assert first["fingerprint"] != second["fingerprint"]
    assert made(pdfs, tmp_path / "out", server)["fingerprint"] == first["fingerprint"]


def test_another_seed_gives_other_roles(pdfs: Path, tmp_path: Path, server: ModelServer) -> None:
    made(pdfs, tmp_path / "a", server)
    made(pdfs, tmp_path / "b", server, "--seed", "5")
    roles = [[row["role"] for row in table(tmp_path / name, "pairs")] for name in "ab"]
    assert roles[0] != roles[1]
    assert len(set(roles[0])) > 1


def test_a_limit_of_requests_stops_and_the_same_command_goes_on(
    pdfs: Path, whole: Path, tmp_path: Path, server: ModelServer
) -> None:
    runs = 0
    for runs in itertools.count(1):
        result = run(pdfs, tmp_path / "out", server, "--max-requests", "6")
        if result.exit_code == 0:
            break
        assert "run the same command again" in result.output
        assert runs < 10
    assert runs == 3
    assert set(server.answered.values()) == {1}
    assert files_of(tmp_path / "out") == files_of(whole)


def test_a_faulty_endpoint_changes_nothing(pdfs: Path, whole: Path, tmp_path: Path) -> None:
    faults = {"429": 0.2, "500": 0.2, "cut": 0.2, "malformed": 0.2}
    with ModelServer(Behaviour(faults=faults, faulty_attempts=1)) as faulty:
        made(pdfs, tmp_path / "out", faulty)
        assert len({line.label for line in faulty.asked}) >= 4
    assert files_of(tmp_path / "out") == files_of(whole)


def test_invented_numbers_are_dropped(pdfs: Path, tmp_path: Path, server: ModelServer) -> None:
    server.behaviour = Behaviour(faults={"invented": 1.0})
    manifest = made(pdfs, tmp_path / "out", server)
    assert set(manifest["pairs"]) == {"not_in_document"}
    assert manifest["documents"]["no_pairs"] == USED
    details = [row["detail"] for row in table(tmp_path / "out", "pairs")]
    assert all("73" in detail for detail in details)


@pytest.mark.parametrize(
    ("flaw", "pairs"), [("empty", set()), ("numbering", {"unpaired"}), ("language", {"kept"})]
)
def test_flaws_of_answers_are_counted(
    flaw: str, pairs: set[str], pdfs: Path, tmp_path: Path, server: ModelServer
) -> None:
    server.behaviour = Behaviour(faults={flaw: 1.0})
    manifest = made(pdfs, tmp_path / "out", server)
    assert set(manifest["pairs"]) == pairs
    assert sum(manifest["documents"].values()) == COUNT


def test_a_question_without_an_answer_costs_its_document(
    pdfs: Path, tmp_path: Path, server: ModelServer
) -> None:
    # Refused for good: 400 on every attempt, for about a fifth of the questions.
    server.behaviour = Behaviour(faults={"400": 0.2}, faulty_attempts=1_000)
    result = run(pdfs, tmp_path / "out", server)
    assert result.exit_code == 1
    assert "max_unanswered" in result.output
    recipe = {"extends": "idefics3", "docmatix": {"max_unanswered": 0.9}}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(recipe))
    manifest = made(pdfs, tmp_path / "out", server, "--recipe", str(tmp_path / "own.yaml"))
    assert 0 < manifest["unanswered"] == manifest["documents"]["no_answer"] < USED
    assert sum(manifest["documents"].values()) == COUNT
    refused = {line.question for line in server.asked if line.status == 400}
    assert not refused & set(server.answered)


def test_a_page_without_end_costs_its_document_alone(
    tmp_path: Path, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pdf, "CPU_SECONDS", 1)
    pool = pdf._Pool()
    monkeypatch.setattr(pdf, "_POOL", pool)
    documents = list(small_pdfs(4))
    # Its text is read, and the model has answered, before the page is drawn.
    tar = [documents[0], documents[1]._replace(data=endless_pdf(), pages=[["One line of text"]])]
    write_pdfs(tmp_path / "pdfs", iter(documents[2:]))
    (tmp_path / "pdfs" / "endless.pdf").write_bytes(endless_pdf())
    write_pdfa_tar(tmp_path / "pdfs" / "t.tar", iter(tar))
    manifest = made(tmp_path / "pdfs", tmp_path / "out", server)
    pool.end()
    reasons = {row["key"]: row["reason"] for row in table(tmp_path / "out", "documents")}
    assert reasons == {
        "00002.pdf": "",
        "00003.pdf": "",
        "endless.pdf": "render_timeout",
        "0000000": "",
        "0000001": "render_timeout",
    }
    assert manifest["pairs"]["no_document"] == 2


def test_pdfa_is_read_with_its_keys(tmp_path: Path, server: ModelServer) -> None:
    (tmp_path / "pdfa").mkdir()
    documents = list(small_pdfs(6))
    for number in range(2):
        tar = tmp_path / "pdfa" / f"pdfa-eng-train-{number:04d}.tar"
        write_pdfa_tar(tar, iter(documents[3 * number : 3 * number + 3]))
    hub = tmp_path / "hub" / "HuggingFaceM4" / "Docmatix"
    made(tmp_path / "pdfa", hub, server)
    rows = table(hub, "documents")
    assert [row["key"] for row in rows] == [f"{number:07d}" for number in range(6)]
    assert {row["text_from"] for row in rows} == {"annotation"}
    sources = [{text["source"] for text in row["texts"]} for row in table(hub, "images")]
    assert sources == [{f"PDFA key: {number}"} for number in range(6)]


def test_equal_documents_are_asked_once(
    tmp_path: Path, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pdf_places, "DOCUMENTS", 4)
    (document,) = small_pdfs(1)
    (tmp_path / "pdfs").mkdir()
    for number in range(15):
        (tmp_path / "pdfs" / f"{number:02d}.pdf").write_bytes(document.data)
    (tmp_path / "pdfs" / os.fsdecode(b"caf\xe9.pdf")).write_bytes(document.data)  # in Latin-1
    manifest = made(tmp_path / "pdfs", tmp_path / "out", server)
    assert manifest["documents"] == {"kept": 16}
    assert 1 <= len(server.asked) <= 5  # once for each of the five roles


def test_the_plan_asks_nothing_and_is_what_is_asked(
    pdfs: Path, tmp_path: Path, server: ModelServer
) -> None:
    given = ["--output", str(tmp_path / "out"), "--rate", "2", "--price", "1,10", "--json"]
    shown = CliRunner().invoke(main, ["docmatix", "plan", str(pdfs), *given])
    assert shown.exit_code == 0, shown.output
    plan = json.loads(shown.stdout)
    assert not server.asked
    manifest = made(pdfs, tmp_path / "out", server)
    assert plan["requests"] == manifest["requests"] == len(server.answered)
    assert plan["documents"] == COUNT
    assert plan["left_out"] == {
        name: number
        for name, number in manifest["documents"].items()
        if name not in ("kept", "no_pairs")
    }
    assert plan["hours"] == pytest.approx(USED / 2 / 3600)
    cost = plan["tokens_in"] + 10 * plan["tokens_out"]
    assert plan["dollars"] == pytest.approx(cost / 1e6)


def test_a_share_of_the_documents_is_the_same_share_each_time(
    pdfs: Path, tmp_path: Path, server: ModelServer
) -> None:
    recipe = {"extends": "idefics3", "docmatix": {"share": 0.5}}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(recipe))
    arguments = ("--recipe", str(tmp_path / "own.yaml"))
    manifest = made(pdfs, tmp_path / "a", server, *arguments)
    assert 4 < manifest["documents"]["not_chosen"] < 16
    made(pdfs, tmp_path / "b", server, *arguments)
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


def test_a_pdf_that_changes_during_the_run_is_told(
    pdfs: Path, tmp_path: Path, server: ModelServer
) -> None:
    shutil.copytree(pdfs, tmp_path / "pdfs")
    assert run(tmp_path / "pdfs", tmp_path / "out", server, "--max-requests", "1").exit_code == 1
    other = next(iter(small_pdfs(1, seed=9))).data
    (tmp_path / "pdfs" / "00000.pdf").write_bytes(other)
    manifest = made(tmp_path / "pdfs", tmp_path / "out", server)  # a new selection
    assert manifest["documents"]["kept"] == USED


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["PDFS"], "--endpoint"),
        (["PDFS", "--endpoint", "http://127.0.0.1:1"], "--model"),
        (["PDFS", "--endpoint", "nowhere", "--model", "m"], "http://HOST:PORT"),
        ([], "give one folder"),
        (["PDFS", "PDFS"], "give one folder"),
        (["EMPTY", "--endpoint", "http://127.0.0.1:1", "--model", "m"], "no .pdf"),
        (["PDFS", "--output", "PDFS/out"], "is inside"),
        (["plan", "PDFS", "--price", "1"], "IN,OUT"),
        (["PDFS", "--endpont", "x"], "no such option|--endpoint"),
    ],
)
def test_a_wrong_command_is_told_in_a_line(
    arguments: list[str], message: str, pdfs: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"PDFS": str(pdfs), "EMPTY": str(tmp_path / "empty"), "PDFS/out": f"{pdfs}/out"}
    words = [places.get(word, word) for word in arguments]
    if "--output" not in words:
        words += ["--output", str(tmp_path / "out")]
    result = CliRunner().invoke(main, ["docmatix", *words])
    assert result.exit_code == 2, result.output
    assert any(part in result.output for part in message.split("|")), result.output


def test_no_pdfs_of_use_is_told(tmp_path: Path, server: ModelServer) -> None:
    (tmp_path / "pdfs").mkdir()
    (tmp_path / "pdfs" / "a.pdf").write_bytes(b"%PDF-1.4 no")
    result = run(tmp_path / "pdfs", tmp_path / "out", server)
    assert result.exit_code == 1
    assert "pdf_unreadable 1" in result.output
