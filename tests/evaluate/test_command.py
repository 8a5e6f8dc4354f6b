"""``cauldron eval`` from the command to scores, the model behind an endpoint."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cauldron.transforms.models import calls
from click.testing import CliRunner, Result

from cauldron.cli import main
from cauldron.evaluate.benchmarks.catalog import BENCHMARKS
from cauldron.evaluate.predictions.files import read_predictions
from tests.doubles.chat import ChatServer, Reply, text_of
from tests.evaluate.published import publish
from tests.training.launch import wait_for


def by_rule(number: int, body: dict[str, Any]) -> Reply:
    """A letter where one is asked for, else a word."""
    asks = "letter" in text_of(body)
    return Reply("Answer: B" if asks else "invoice")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish(tmp_path_factory.mktemp("root"))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["eval", *arguments])


def arguments(server: ChatServer, root: Path, folder: Path, *more: str) -> list[str]:
    places = ["--root", str(root), "--output", str(folder)]
    return [server.url, "--model-name", "m", *places, *more]


def scores(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return found["results"]


def test_all_benchmarks_are_scored_beside_the_published_scores(root: Path, tmp_path: Path) -> None:
    markdown, values = tmp_path / "card.md", tmp_path / "scores.json"
    files = ("--markdown", str(markdown), "--json", str(values))
    with ChatServer(by_rule) as server:
        found = run(*arguments(server, root, tmp_path / "e", *files))
    assert found.exit_code == 0, found.output
    lines = {line.split("  ")[0]: line for line in found.output.splitlines()}
    assert lines["MMMU"].split()[-3:] == ["45.2", "58.0", "46.6"]
    assert {benchmark.title for benchmark in BENCHMARKS.values()} <= lines.keys()
    assert lines["MMBench"].split()[-2:] == ["76.7", "(test)"]
    assert lines["DocVQA"].split()[1] == "validation"
    assert lines["DocVQA"].split()[-2:] == ["87.7", "(test)"]
    assert (
        "DocVQA: scored on the validation split; the published scores are of the test split, whose "
        "answers are not published."
    ) in found.output
    assert "- Science" in lines
    assert "MMStar: items not scored: 1 image_unreadable." in found.output
    assert "Not compared with the training data: " in found.output
    assert json.loads(values.read_text())["results"] == scores(tmp_path / "e")
    assert "| MMMU | validation | accuracy |" in markdown.read_text()
    for name, result in scores(tmp_path / "e").items():
        records = read_predictions(tmp_path / "e", name)
        assert list(records) == list(range(len(records))), name
        answered = sum(record.text is not None for record in records.values())
        assert answered + sum(result["refused"].values()) == len(records), name


def test_a_rerun_asks_nothing_again_and_a_larger_limit_goes_on(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "e"
    with ChatServer(by_rule) as server:
        for limit, total in (("2", 2), ("2", 2), ("3", 3)):
            more = ("--benchmark", "mathvista", "--limit", limit)
            assert run(*arguments(server, root, folder, *more)).exit_code == 0
            assert len(server.asked) == total
    with ChatServer(by_rule) as server:
        # The address is part of what was evaluated, and this server has another port.
        found = run(*arguments(server, root, folder, "--benchmark", "docvqa"))
    assert found.exit_code == 2
    assert "has predictions of another model or other settings: model was 'm at " in found.output
    assert found.output.count("\n") == 1


def test_an_item_that_the_server_always_fails_on_is_a_reason_and_the_rest_is_scored(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "_FIRST_WAIT", 0.001)
    first: list[str] = []

    def fails_on_one(number: int, body: dict[str, Any]) -> Reply:
        first.append(text_of(body))
        return Reply(status=500) if text_of(body) == first[0] else by_rule(number, body)

    more = ("--benchmark", "mathvista", "--batch", "1")
    with ChatServer(by_rule) as server:
        assert run(*arguments(server, root, tmp_path / "whole", *more)).exit_code == 0
        count = len(server.asked)
    server, folder = ChatServer(fails_on_one), tmp_path / "e"
    with server:
        for again in range(2):  # the second time nothing else is asked
            found = run(*arguments(server, root, folder, *more))
            assert found.exit_code == 0, found.output
            assert "MathVista: the model's server fails on 1 of 4 items" in found.output
            assert "items not scored: 1 bad_row, 1 endpoint_error." in found.output
            result = scores(folder)["mathvista"]
            assert result["refused"] == {"bad_row": 1, "endpoint_error": 1}
            assert result["overall"]["size"] == count - 1
            assert len(server.asked) == count - 1 + 6 * (again + 1)
        first[0] = "the server is mended"
        assert run(*arguments(server, root, folder, *more)).exit_code == 0
        assert len(server.asked) == count - 1 + 6 * 2 + 1
    assert scores(folder) == scores(tmp_path / "whole")


def test_a_server_that_fails_on_every_item_ends_in_one_line_and_is_asked_again(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "_FIRST_WAIT", 0.001)
    broken = True

    def rule(number: int, body: dict[str, Any]) -> Reply:
        return Reply(status=500, body=b"no\nmemory") if broken else by_rule(number, body)

    with ChatServer(rule) as server:
        given = arguments(server, root, tmp_path / "e", "--benchmark", "mathvista")
        found = run(*given)
        assert found.exit_code == 1
        assert found.output == (
            "cauldron: MathVista: the model's server answers none of 3 questions "
            "(status 500: no memory); the same command asks again\n"
        )
        assert not (tmp_path / "e/manifest.json").exists()
        broken = False
        assert run(*given).exit_code == 0
    assert scores(tmp_path / "e")["mathvista"]["refused"] == {"bad_row": 1}


def test_scores_can_be_made_again_without_model_and_benchmark(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "e"
    with ChatServer(by_rule) as server:
        run(*arguments(server, root, folder, "--benchmark", "docvqa"))
    before = (folder / "manifest.json").read_bytes()
    (folder / "manifest.json").unlink()
    again = run(server.url, "--model-name", "m", "--output", str(folder), "--score-only")
    assert again.exit_code == 0, again.output
    assert (folder / "manifest.json").read_bytes() == before


def test_half_a_line_is_cut_off_and_its_answer_not_paid_for_again(
    root: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "e"
    with ChatServer(by_rule) as server:
        more = ("--benchmark", "mathvista")
        run(*arguments(server, root, folder, *more))
        path = folder / "predictions/mathvista/rank-00000.jsonl"
        whole = path.read_bytes()
        expected, count = scores(folder), len(server.asked)
        for rest in (whole[:-20], whole + '{"id": "gr\u00f6'.encode()[:-1]):
            path.write_bytes(rest)  # the second is cut within a character
            assert run(*arguments(server, root, folder, *more)).exit_code == 0
        assert len(server.asked) == count
    assert sorted(path.read_bytes().splitlines()) == sorted(whole.splitlines())
    assert scores(folder) == expected


def test_a_kill_changes_neither_predictions_nor_scores(root: Path, tmp_path: Path) -> None:
    """SIGKILL while the fourth answer is awaited; one question at a time."""
    waiting = tmp_path / "waiting"

    def rule(number: int, body: dict[str, Any]) -> Reply:
        if number == 3 and not waiting.exists():
            waiting.touch()
            wait_for(lambda: process.poll() is not None)
        return by_rule(number, body)

    more = ("--batch", "1", "--benchmark", "mmmu", "--benchmark", "mathvista")
    with ChatServer(rule) as server:
        command = [sys.executable, "-m", "cauldron", "eval"]
        given = arguments(server, root, tmp_path / "killed", *more)
        process = subprocess.Popen([*command, *given], stderr=subprocess.DEVNULL)
        wait_for(waiting.exists)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not (tmp_path / "killed/manifest.json").exists()
        assert run(*given).exit_code == 0
        killed = len(server.asked)
        assert run(*arguments(server, root, tmp_path / "whole", *more)).exit_code == 0
        assert killed == len(server.asked) - killed + 1  # the awaited question was asked twice
    for name in ("mmmu", "mathvista"):
        ours, theirs = (read_predictions(tmp_path / at, name) for at in ("killed", "whole"))
        assert ours == theirs
    assert scores(tmp_path / "killed") == scores(tmp_path / "whole")


def test_a_damaged_line_is_named(root: Path, tmp_path: Path) -> None:
    with ChatServer(by_rule) as server:
        given = arguments(server, root, tmp_path / "e", "--benchmark", "docvqa")
        run(*given)
        path = tmp_path / "e/predictions/docvqa/rank-00000.jsonl"
        lines = path.read_text().splitlines()
        path.write_text("\n".join([lines[0], "{}", *lines[1:]]) + "\n")
        found = run(*given)
    assert found.exit_code == 1
    assert f"{path} line 2 is damaged" in found.output
    assert found.output.count("\n") == 1


def test_a_named_benchmark_that_is_missing_is_an_error_and_others_are_skipped(
    root: Path, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    shutil.copytree(root / "lmms-lab/DocVQA", small / "lmms-lab/DocVQA")
    with ChatServer(by_rule) as server:
        named = run(*arguments(server, small, tmp_path / "a", "--benchmark", "mmmu"))
        assert named.exit_code == 1
        assert "MMMU/MMMU" in named.output
        assert named.output.count("\n") == 1
        assert not server.asked
        rest = run(*arguments(server, small, tmp_path / "b"))
        assert rest.exit_code == 0
        assert "mmmu is skipped: " in rest.output
        assert [*scores(tmp_path / "b")] == ["docvqa"]
        none = run(*arguments(server, tmp_path / "empty", tmp_path / "c"))
        assert none.exit_code != 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("http://localhost:1",), "give --model-name"),
        (("model", "--engine", "endpoint"), "takes an http(s) address"),
        (("http://localhost:1", "--engine", "vllm"), "takes an http(s) address"),
        (("model", "--model-name", "m"), "is for an endpoint"),
        (("http://localhost:1", "--model-name", "m", "--benchmark", "mmu"), "did you mean 'mmmu'"),
        (("model", "--ablation"), "give --against DIR2"),
        (("http://h", "--model-name", "m", "--score-only", "--output", "/no"), "no predictions"),
    ],
)
def test_a_mistake_is_one_line(given: tuple[str, ...], said: str) -> None:
    found = run(*given)
    assert found.exit_code == 2
    assert said in found.output
    assert found.output.count("\n") == 1


def test_two_evaluations_are_compared_item_by_item(root: Path, tmp_path: Path) -> None:
    def right(number: int, body: dict[str, Any]) -> Reply:
        return Reply("Answer: A")

    names = ("--benchmark", "ai2d", "--benchmark", "docvqa")
    with ChatServer(by_rule) as one, ChatServer(right) as other:
        run(*arguments(one, root, tmp_path / "one", *names))
        against = ("--against", str(tmp_path / "one"), "--ablation")
        found = run(*arguments(other, root, tmp_path / "other", *names, *against))
    assert found.exit_code == 0, found.output
    first, second = (scores(tmp_path / at)["ai2d"]["overall"]["value"] for at in ("one", "other"))
    difference = f"{100 * (second - first):+.1f}"
    after = found.output.split("Difference to")[1]
    assert after.split("AI2D")[1].split()[0] == difference
    assert "without Docmatix" in after


def test_evaluations_are_views_of_a_query(root: Path, tmp_path: Path) -> None:
    with ChatServer(by_rule) as server:
        run(*arguments(server, root, tmp_path / "out/evaluations/m", "--benchmark", "mmstar"))
    sql = "SELECT count(*) FILTER (score IS NULL) AS refused, avg(score) AS mean FROM predictions"
    found = CliRunner().invoke(main, ["query", str(tmp_path / "out"), sql, "--json"])
    result = scores(tmp_path / "out/evaluations/m")["mmstar"]
    assert json.loads(found.output) == [{"refused": 1, "mean": result["overall"]["value"]}]
    sql = "SELECT evaluation, score FROM scores WHERE part = 'overall'"
    found = CliRunner().invoke(main, ["query", str(tmp_path / "out"), sql, "--json"])
    assert json.loads(found.output) == [{"evaluation": "m", "score": result["overall"]["value"]}]


def test_an_evaluation_does_not_load_torch_for_an_endpoint(root: Path, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom cauldron.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "assert 'torch' not in sys.modules"
    )
    with ChatServer(by_rule) as server:
        given = arguments(server, root, tmp_path / "e", "--benchmark", "ai2d")
        command = [sys.executable, "-c", code, "eval", *given]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    assert done.returncode == 0, done.stderr


def test_a_model_here_needs_the_train_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    found = run("model")
    assert found.exit_code == 2
    assert "pip install 'cauldron-vlm[train]'" in found.output
    assert found.output.count("\n") == 1
