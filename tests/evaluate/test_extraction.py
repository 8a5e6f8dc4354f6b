"""MathVista's answers found by another model behind an endpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cauldron.transforms.models import calls
from click.testing import CliRunner, Result

from cauldron.cli import main
from cauldron.evaluate.benchmarks.catalog import BENCHMARKS
from cauldron.evaluate.items.read import Item
from tests.doubles.chat import ChatServer, Reply, text_of
from tests.evaluate.published import publish

MATHVISTA = BENCHMARKS["mathvista"]
CHOICE = Item(
    "mathvista",
    "1",
    (),
    "Which is it?",
    ("red", "blue"),
    ("blue",),
    {"type": "multi_choice", "answer_type": "text"},
)
NUMBER = Item(
    "mathvista",
    "2",
    (),
    "How much?",
    (),
    ("1.5",),
    {
        "type": "free_form",
        "answer_type": "float",
        "precision": "1.0",
        "query": "Hint: Round it.",
    },
)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "_FIRST_WAIT", 0.001)


@pytest.mark.parametrize("text", ["1.5", "Answer: 1.50", "", ' The answer is "1.5".'])
def test_a_number_alone_asks_nothing(text: str) -> None:
    assert MATHVISTA.extract is not None
    assert MATHVISTA.extract(NUMBER, text) is None


@pytest.mark.parametrize("text", ["B", "(B)", "B.", "Answer: A", "blue"])
def test_a_choice_alone_asks_nothing(text: str) -> None:
    assert MATHVISTA.extract is not None
    assert MATHVISTA.extract(CHOICE, text) is None


def test_other_texts_are_shown_with_the_question() -> None:
    assert MATHVISTA.extract is not None
    asked = MATHVISTA.extract(NUMBER, "about 1.5 litres")
    assert asked is not None
    assert asked.endswith("Hint: Round it.\n\nResponse: about 1.5 litres\n\nExtracted answer:")
    asked = MATHVISTA.extract(CHOICE, "C")  # no choice has this letter
    assert asked is not None
    assert "Question: Which is it?\nChoices:\n(A) red\n(B) blue\n\nResponse: C" in asked


def test_what_was_found_is_made_the_type_of_the_answer() -> None:
    for item, found, right in (
        (CHOICE, " B\n", 1.0),
        (CHOICE, "blue", 1.0),
        (CHOICE, "A", 0.0),
        (NUMBER, "1.52", 1.0),
        (NUMBER, "no number", 0.0),
    ):
        assert MATHVISTA.score(item, MATHVISTA.parse(item, "?", found)) == right, found
    assert MATHVISTA.score(NUMBER, MATHVISTA.parse(NUMBER, "1.5, half of 3")) == 0.0  # by rules


def evaluated(model: ChatServer, root: Path, folder: Path, *more: str) -> Result:
    given = [model.url, "--model-name", "m", "--root", str(root), "--output", str(folder)]
    return CliRunner().invoke(main, ["eval", *given, "--benchmark", "mathvista", *more])


def talks(number: int, body: dict[str, Any]) -> Reply:
    """Answers that rules read wrong."""
    return Reply("2 and 1.5 were compared to 7")


def finds(number: int, body: dict[str, Any]) -> Reply:
    last = text_of(body).rsplit("Response:", 1)
    return Reply("blue" if "(B) blue" in last[0].rsplit("Extracted answer:", 1)[1] else "1.5")


def overall(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return found["results"]["mathvista"]


def test_answers_are_found_kept_and_counted(tmp_path: Path) -> None:
    root, folder = publish(tmp_path / "root"), tmp_path / "e"
    with ChatServer(talks) as model, ChatServer(finds) as extractor:
        rules = evaluated(model, root, folder)
        assert rules.exit_code == 0, rules.output
        assert "MathVista: answers read by rules" in rules.output
        assert overall(folder)["extractor"] == ""
        before = overall(folder)["overall"]["value"]
        more = ("--extractor", extractor.url, "--extractor-model", "reader")
        for _ in range(2):  # the second time nothing is asked
            found = evaluated(model, root, folder, *more)
            assert found.exit_code == 0, found.output
            assert len(extractor.asked) == 3
        again = evaluated(model, root, folder, *more, "--score-only")
        assert again.exit_code == 0, again.output
        assert (len(extractor.asked), len(model.asked)) == (3, 3)
    assert f"MathVista: reader at {extractor.url} found the answers in 3 texts" in found.output
    assert {request["model"] for request in extractor.asked} == {"reader"}
    result = overall(folder)
    assert (result["extracted"], result["extractor"]) == (3, f"reader at {extractor.url}")
    assert result["overall"]["value"] > before


def test_differences_compare_the_scores_that_were_given(tmp_path: Path) -> None:
    """Not those by rules."""
    root = publish(tmp_path / "root")
    with ChatServer(talks) as model, ChatServer(finds) as extractor:
        evaluated(model, root, tmp_path / "rules")
        more = ("--extractor", extractor.url, "--extractor-model", "reader")
        found = evaluated(model, root, tmp_path / "e", *more, "--against", str(tmp_path / "rules"))
    ours, theirs = (overall(tmp_path / name)["overall"]["value"] for name in ("e", "rules"))
    line = found.output.split("Difference to")[1].split("MathVista")[1]
    assert line.split()[0] == f"{100 * (ours - theirs):+.1f}"


def test_texts_that_it_refuses_are_read_by_rules(tmp_path: Path) -> None:
    def refuses(number: int, body: dict[str, Any]) -> Reply:
        return Reply("no", status=400)

    root = publish(tmp_path / "root")
    with ChatServer(talks) as model, ChatServer(refuses) as extractor:
        more = ("--extractor", extractor.url, "--extractor-model", "reader")
        found = evaluated(model, root, tmp_path / "e", *more)
        evaluated(model, root, tmp_path / "rules")
    assert found.exit_code == 0, found.output
    assert "MathVista: it does not answer on 3 texts, which are read by rules" in found.output
    assert overall(tmp_path / "e")["overall"] == overall(tmp_path / "rules")["overall"]


def test_a_text_that_it_always_fails_on_is_read_by_rules_and_asked_again(tmp_path: Path) -> None:
    seen: list[str] = []

    def fails_on_one(number: int, body: dict[str, Any]) -> Reply:
        seen.append(text_of(body))
        return Reply(status=500) if text_of(body) == seen[0] else finds(number, body)

    root, folder = publish(tmp_path / "root"), tmp_path / "e"
    with ChatServer(talks) as model:
        with ChatServer(fails_on_one) as extractor:
            more = ("--extractor", extractor.url, "--extractor-model", "reader")
            found = evaluated(model, root, folder, *more)
        assert found.exit_code == 0, found.output
        assert "it does not answer on 1 texts, which are read by rules" in found.output
        assert overall(folder)["extracted"] == 2
        with ChatServer(finds) as extractor:
            more = ("--extractor", extractor.url, "--extractor-model", "reader")
            assert evaluated(model, root, folder, *more).exit_code == 0
            assert len(extractor.asked) == 1
    assert overall(folder)["extracted"] == 3


def test_an_extractor_that_fails_on_all_ends_the_scoring(tmp_path: Path) -> None:
    root = publish(tmp_path / "root")
    with (
        ChatServer(talks) as model,
        ChatServer(lambda number, body: Reply(status=500)) as extractor,
    ):
        more = ("--extractor", extractor.url, "--extractor-model", "reader")
        found = evaluated(model, root, tmp_path / "e", *more)
    assert found.exit_code == 1
    assert "answers no question (status 500" in found.output.splitlines()[-1]


def test_an_extractor_that_is_down_ends_the_scoring_and_a_rerun_asks_the_rest(
    tmp_path: Path,
) -> None:
    def down_after_one(number: int, body: dict[str, Any]) -> Reply:
        return finds(number, body) if number == 0 else Reply("down", status=503)

    root = publish(tmp_path / "root")
    with ChatServer(talks) as model:
        with ChatServer(down_after_one) as extractor:
            more = ("--extractor", extractor.url, "--extractor-model", "reader", "--batch", "1")
            found = evaluated(model, root, tmp_path / "e", *more)
        assert found.exit_code == 1
        assert found.output.splitlines()[-1].startswith("cauldron: ")
        with ChatServer(finds) as extractor:
            more = ("--extractor", extractor.url, "--extractor-model", "reader", "--batch", "1")
            found = evaluated(model, root, tmp_path / "e", *more)
            assert found.exit_code == 0, found.output
            assert len(extractor.asked) == 2
        assert len(model.asked) == 3


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--extractor", "http://localhost:1"), "give --extractor-model"),
        (("--extractor-model", "reader"), "need --extractor URL"),
        (("--extractor", "reader", "--extractor-model", "m"), "give http://HOST:PORT"),
    ],
)
def test_a_mistake_is_one_line(given: tuple[str, ...], said: str) -> None:
    found = CliRunner().invoke(main, ["eval", "http://localhost:1", "--model-name", "m", *given])
    assert found.exit_code == 2
    assert said in found.output
    assert found.output.count("\n") == 1
