"""Token counts: the estimate, a tokenizer's file, a tokenizer on the hub."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import fsspec
import pytest
from cauldron.transforms.tokens import token_counter
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from cauldron.core.errors import UsageError
from cauldron.core.tokenizer import PROBE
from tests.doubles.hub import FakeHub
from tests.doubles.web import Request, Response
from tests.real import REAL

TEXTS = ["What is the colour of the dog?", "The dog is brown.", "", "12 + 5 = 17"]


class ModelHub(FakeHub):
    """The double serves data sets; models have the same addresses without their prefix."""

    def answer(self, request: Request) -> Response:
        path = request.path if request.path.startswith("/cdn") else f"/datasets{request.path}"
        return super().answer(dataclasses.replace(request, path=path))


@pytest.fixture(scope="module")
def trained() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        show_progress=False,
        special_tokens=["<s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(TEXTS * 3, trainer)
    return tokenizer


@pytest.fixture
def file(trained: Tokenizer, tmp_path: Path) -> Path:
    path = tmp_path / "tokenizer.json"
    trained.save(str(path))
    return path


def test_the_estimate_says_that_it_is_one():
    counter = token_counter("estimate")
    assert counter.estimated
    assert counter.name == "estimate"
    assert counter.per_answer == 0


def test_estimate_of_short_answers_is_the_published_tokenizers():
    # "Yes." is 2 tokens and a BOS in VSR's count, "Answer: B" 3 and a BOS in AI2D's.
    assert token_counter("estimate").count(["Yes.", "No.", "Answer: B", ""]) == [2, 2, 3, 0]


def test_estimate_counts_digits_one_by_one_and_other_scripts_by_bytes():
    assert token_counter("estimate").count(["1234567890", "这是什么"]) == [10, 5]


def test_estimate_of_iiw_400_is_within_one_percent_of_the_published_count():
    path = REAL / "hub/google/imageinwords/datasets/IIW-400/data.jsonl"
    if not path.exists():
        pytest.skip("the real IIW-400 file is not here")
    answers = [json.loads(line)["IIW"] for line in path.read_text().splitlines()]
    published = 103_024 - 400  # one BOS an answer
    assert sum(token_counter("estimate").count(answers)) == pytest.approx(published, rel=0.01)


def test_a_file_is_counted_exactly_and_without_special_tokens(file: Path, trained: Tokenizer):
    counter = token_counter(str(file))
    assert not counter.estimated
    assert counter.name == str(file)
    expected = [len(trained.encode(text, add_special_tokens=False)) for text in TEXTS]
    assert counter.count(TEXTS) == expected
    assert expected[2] == 0


def test_truncation_and_padding_inside_the_file_do_not_count(file: Path, trained: Tokenizer):
    expected = token_counter(str(file)).count(TEXTS)
    changed = Tokenizer.from_file(str(file))
    changed.enable_truncation(2)
    changed.enable_padding(length=50)
    changed.save(str(file))
    assert token_counter(str(file)).count(TEXTS) == expected


def test_a_tokenizer_is_known_by_what_it_makes_of_text(file: Path, trained: Tokenizer):
    """And not by its name, nor by tokens that were added, nor by what it does around a text."""
    known = token_counter(str(file)).digest()
    more = Tokenizer.from_str(trained.to_str())
    more.add_special_tokens(["<image>", "<end_of_utterance>"])
    more.enable_truncation(2)
    more.save(str(file.with_name("more.json")))
    assert token_counter(str(file.with_name("more.json"))).digest() == known
    more.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    more.save(str(file.with_name("more.json")))
    assert token_counter(str(file.with_name("more.json"))).digest() != known
    assert token_counter("estimate").digest() is None


def test_the_text_that_tokenizers_are_compared_by_stays():
    """Its digests stand in manifests."""
    assert hashlib.sha256(json.dumps(PROBE).encode()).hexdigest()[:16] == "e5f61817f628c2bf"


def test_a_folder_and_a_url_are_paths_too(file: Path):
    expected = token_counter(str(file)).count(TEXTS)
    assert token_counter(str(file.parent)).count(TEXTS) == expected
    fsspec.filesystem("memory").pipe("/tok/tokenizer.json", file.read_bytes())
    assert token_counter("memory://tok/tokenizer.json").count(TEXTS) == expected
    assert token_counter("memory://tok").count(TEXTS) == expected


def test_a_hub_id_is_fetched_from_the_hub_that_the_environment_names(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    home = tmp_path / "hub" / "org" / "model"
    home.mkdir(parents=True)
    (home / "tokenizer.json").write_bytes(file.read_bytes())
    (home.parent / "gated").mkdir()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    with ModelHub(tmp_path / "hub") as hub:
        hub.use(monkeypatch)
        hub.gate("org/gated", "hf_accepted")
        counter = token_counter("org/model@main")
        assert counter.count(TEXTS) == token_counter(str(file)).count(TEXTS)
        assert counter.name == "org/model@main"
        for repo, why in (("org/absent", "not found"), ("org/gated", "gated")):
            with pytest.raises(UsageError, match=f"(?i)tokenizer {repo} cannot.*{why}") as caught:
                token_counter(repo)
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1, 2", b"\x00\xff"])
def test_a_file_that_is_no_tokenizer_is_named_in_one_line(tmp_path: Path, content: bytes):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"is not a tokenizer\.json") as caught:
        token_counter(str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(UsageError, match="cannot be read"):
        token_counter(str(tmp_path / "no.json"))
    with pytest.raises(UsageError, match="cannot be read"):
        token_counter(str(tmp_path / "no" / "folder" / "here"))
