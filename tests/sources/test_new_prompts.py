"""DocVQA, TextVQA and ChartQA with the prompts of Idefics3."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
from cauldron.sources.base import Row
from cauldron.sources.catalog import registry
from cauldron.sources.repos.roots import open_root
from cauldron.sources.the_cauldron.new_prompts import INSTRUCTIONS

from cauldron.core.errors import UsageError
from cauldron.recipe import load_recipe
from tests.sources.reader_base import Outcome, ReaderTests, kept, picture, read_all, write_parquet
from tests.sources.test_the_cauldron import SCHEMA, image, row, shard, turn

# Every request for a short answer that the three sets have.
REQUESTS = (
    "Make the answer very short.", "Give a very brief answer.", "Your answer should be very brief.",
    "Offer a terse response.", "Provide a succinct answer.", "Keep it short and to the point.",
    "Ensure brevity in your answer. ", "Offer a very short reply.",
    "Your response must be concise.", "Your answer should be compact.",
    "Provide a short and direct response.", "Answer briefly.", "Write a very short answer.",
    "Quick response, please.", "Short answer required.", "Keep it brief.",
    "Concise answer only.", "Be succinct.",
)  # fmt: skip


def write(folder: Path, config: str, *turns: dict[str, Any]) -> None:
    rows = [row([image(picture("a"))], *turns)]
    write_parquet(folder / shard(config, 0, 1), rows, SCHEMA)


def texts(root: Path, config: str, **options: str) -> list[tuple[str | None, str | None]]:
    (found,) = read_all(root, registry()[f"the_cauldron/{config}"], options)
    assert isinstance(found, Row)
    return [(turn.user, turn.assistant) for turn in found.turns]


class TestDocVqa(ReaderTests):
    name = "the_cauldron/docvqa"
    options: ClassVar = {"prompt": "new"}
    published: ClassVar = [shard("docvqa", 0, 1)]

    def publish(self, folder: Path, root: Path) -> None:
        turns = (turn("Who signs?\nKeep it brief.", "J. Doe."), turn("Which year?", None))
        write(folder, "docvqa", *turns)

    def expected(self) -> list[Outcome]:
        asked = INSTRUCTIONS["docvqa"].replace("{question}", "Who signs?")
        return [kept([picture("a")], [(asked, "J. Doe"), ("Which year?", None)])]

    def test_lists_the_files_that_matter(self, root: Path) -> None:
        repo = open_root(str(root)).repo(self.source.repo)
        assert [file.path for file in self.source.files(repo, self.options)] == self.published
        notes = self.source.notes(repo, self.options)
        assert [note.partition(":")[0] for note in notes] == ["option prompt"] * 2


@pytest.mark.parametrize("config", INSTRUCTIONS)
def test_rows_are_as_published_unless_the_recipe_asks(tmp_path: Path, config: str) -> None:
    said = ("How many?\nBe succinct.", "3.")
    write(tmp_path / "HuggingFaceM4/the_cauldron", config, turn(*said))
    assert texts(tmp_path, config) == [said]
    assert texts(tmp_path, config, prompt="published") == [said]
    assert texts(tmp_path, config, prompt="new")[0][0] != said[0]


@pytest.mark.parametrize("config", INSTRUCTIONS)
def test_the_packaged_recipe_asks_for_the_new_prompts(config: str) -> None:
    recipe = load_recipe("idefics3")
    assert recipe.source(f"the_cauldron/{config}").options == {"prompt": "new"}
    assert recipe.image_rules("the_cauldron/docvqa").drop_side == 2940


@pytest.mark.parametrize("wanted", REQUESTS)
def test_every_requestfor_a_short_answer_is_removed(tmp_path: Path, wanted: str) -> None:
    published = turn(f"What is the quick total?\n{wanted}", "4.5.")
    write(tmp_path / "HuggingFaceM4/the_cauldron", "textvqa", published)
    found = texts(tmp_path, "textvqa", prompt="Read: {question}")
    assert found == [("Read: What is the quick total?", "4.5")]


@pytest.mark.parametrize(
    ("question", "answer", "asked", "said"),
    [
        ("Is it short?", "Yes.", "Is it short?", "Yes"),
        ("Is this\nbrief?", "No.", "Is this\nbrief?", "No"),
        ("Which?\nA line of no request.", "The end.", "Which?\nA line of no request.", "The end"),
        ("{question}?", "U.S..", "{question}?", "U.S."),
        ("What is written?", ".", "What is written?", "."),
        ("What is {x}?", "No stop", "What is {x}?", "No stop"),
    ],
)
def test_nothing_else_of_a_question_or_answer_changes(
    tmp_path: Path, question: str, answer: str, asked: str, said: str
) -> None:
    write(tmp_path / "HuggingFaceM4/the_cauldron", "chartqa", turn(question, answer))
    assert texts(tmp_path, "chartqa", prompt="{question}") == [(asked, said)]


@pytest.mark.parametrize("prompt", ["old", "", None, 3])
def test_another_prompt_is_refused_with_the_choices(tmp_path: Path, prompt: Any) -> None:
    source = registry()["the_cauldron/docvqa"]
    with pytest.raises(UsageError, match=r"published, new, or a text with \{question"):
        source.settled({"prompt": prompt})
    with pytest.raises(UsageError, match="has no option prompt"):
        registry()["the_cauldron/ai2d"].settled({"prompt": "new"})
    with pytest.raises(UsageError, match="did you mean 'prompt'"):
        source.settled({"promt": "new"})


def test_notes_say_what_could_not_be_restored(tmp_path: Path) -> None:
    write(tmp_path / "HuggingFaceM4/the_cauldron", "docvqa", turn("A?", "B."))
    source = registry()["the_cauldron/docvqa"]
    repo = open_root(str(tmp_path)).repo(source.repo)
    assert source.notes(repo, {}) == []
    own, casing = source.notes(repo, {"prompt": "new"})
    assert "in other words than the authors'" in own
    assert "not known which letters were capitals" in casing
    theirs, _ = source.notes(repo, {"prompt": "Theirs: {question}"})
    assert "other words" not in theirs
