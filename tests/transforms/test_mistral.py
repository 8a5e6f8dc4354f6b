"""Counts by Mistral-7B's tokenizer: the published ones, exact, linear in hostile text."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import random
import subprocess
import sys
import time

import pytest
import sentencepiece
from cauldron.transforms import mistral
from cauldron.transforms.mistral import LONGEST, mistral_words, model_file
from cauldron.transforms.tokens import counter_fingerprint, token_counter

from cauldron.core.errors import UsageError
from cauldron.core.tokenizer import PROBE
from cauldron.recipe import Recipe
from tests.real import REAL

# The file is the same in every release of mistral-common from 1.8 to 1.13.
SHA256 = "dadfd56d766715c61d2ef780a525ab43b8e6da4de6865bda3d95fdef5e134055"


@pytest.fixture(scope="module")
def processor() -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_file=str(model_file()))


def published(answers: list[str]) -> int:
    """Tokens of answers as the published table has them."""
    counter = token_counter("mistral-7b")
    return sum(counter.count(answers)) + counter.per_answer * len(answers)


def test_it_is_the_default_and_counts_exactly():
    assert Recipe.model_fields["tokenizer"].default == "mistral-7b"
    counter = token_counter("mistral-7b")
    assert not counter.estimated
    assert counter.name == "mistral-7b"
    assert counter.per_answer == 1


def test_short_answers_have_the_published_tokens():
    # VSR: 10,062 tokens of 3,354 answers. AI2D: 38,832 of 9,708.
    assert published(["True.", "False."] * 1677) == 10_062
    assert published(["Answer: A", "Answer: D"] * 4854) == 38_832


def test_iiw_400_has_the_published_count_exactly():
    path = REAL / "hub/google/imageinwords/datasets/IIW-400/data.jsonl"
    if not path.exists():
        pytest.skip("the real IIW-400 file is not here")
    assert published([json.loads(line)["IIW"] for line in path.read_text().splitlines()]) == 103_024


def test_the_model_is_the_known_one_and_is_found_without_the_packages_code():
    assert hashlib.sha256(model_file().read_bytes()).hexdigest() == SHA256
    code = "import sys, cauldron.transforms.tokens as t; t.token_counter('mistral-7b').count(['a'])"
    code += "; sys.exit('mistral_common' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert token_counter("mistral-7b").digest() == "23bf0c1f9f370b1d"
    assert counter_fingerprint("mistral-7b") == "mistral-7b 23bf0c1f9f370b1d"


def test_no_token_holds_a_space_after_another_character(processor):
    """The reason why words may be counted one by one. Nor does any hold a line break."""
    pieces = [processor.id_to_piece(number) for number in range(processor.get_piece_size())]
    assert not [piece for piece in pieces if "\u2581" in piece.lstrip("\u2581")]
    assert not [piece for piece in pieces if "\n" in piece]


@pytest.mark.parametrize(
    "text",
    [
        *PROBE,
        "",
        " ",
        "    ",
        " led by a space",
        "followed by one ",
        "def f(x):\n    if x:\n        return  1\n",
        "a \n b \t c",
        "\n",
        "\n\n a",
        " \n",
        "line\nbreak\n\nand \n\r\n more \n",
        "one\n two\n  three \n four  \n\n\n  \n five\n",
        "no\u00a0break\u3000spaces",
        "\u2581 the \u2581\u2581model's own\u2581space \u2581",
        "a\0b \0 \0\0",
        "<s> </s> <unk> [INST] <0x41>",
        "x" * 5000 + " " + "y" * 5000,
        " " * 5000 + "x" + "\n " * 500,
    ],
)
def test_counts_are_those_of_the_whole_text(processor, text):
    assert token_counter("mistral-7b").count([text]) == [len(processor.encode(text))]


def test_counts_of_random_texts_are_those_of_the_whole_text(processor):
    rng = random.Random(7)
    signs = [" ", " ", "  ", "\n", "\n", "the", "x", "é", "\u2581", "\t", "Answer", ".", "\0", "1"]
    texts = ["".join(rng.choices(signs, k=rng.randrange(40))) for _ in range(3000)]
    expected = [len(processor.encode(text)) for text in texts]
    assert token_counter("mistral-7b").count(texts) == expected


def test_a_word_counts_the_same_again_and_when_the_kept_ones_are_full(monkeypatch):
    monkeypatch.setattr(mistral, "KEPT_WORDS", 3)
    words = mistral_words()
    text = "one two three four five two one"
    assert words.of(text) == words.of(text) == 7
    assert len(words) <= 3
    assert words.of("\n") == 2


def test_lone_surrogates_count_as_the_sign_that_replaces_them(processor):
    assert token_counter("mistral-7b").count(["a\ud800 \udfff"]) == [len(processor.encode("a? ?"))]


@pytest.mark.parametrize("unit", ["a", "\0", " ", "\n", "这", "=", "xq7Z/", "lorem ipsum "])
def test_long_texts_take_linear_time(unit):
    words = mistral_words()

    def seconds(length: int) -> float:
        text = unit * (length // len(unit))
        began = time.process_time()
        assert 0 < words.of(text) <= 3 * length + 1
        return time.process_time() - began

    seconds(10_000)
    # Quadratic time would be 64 times as long, and minutes.
    assert seconds(1_600_000) < 24 * max(seconds(200_000), 0.01)


def test_a_word_longer_than_one_call_is_counted_in_pieces(monkeypatch, processor):
    assert LONGEST == 1 << 20
    monkeypatch.setattr(mistral, "LONGEST", 1000)
    text = "abcdefgh" * 1000
    assert abs(mistral_words().of(text) - len(processor.encode(text))) <= 2 * 8


def test_without_the_package_one_line_says_what_to_do(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "mistral_common" else find(name)
    )
    with pytest.raises(UsageError, match=r"pip install mistral-common, or .*`tokenizer: estimate`"):
        token_counter("mistral-7b")
    assert token_counter("estimate").count(["a"]) == [1]
