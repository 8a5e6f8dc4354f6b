"""Answers by transformers: of a run, of its export, of the weights in the middle of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")

from cauldron.training import generation  # noqa: E402
from cauldron.training.network.build import Network, load_adapted  # noqa: E402
from transformers import AutoModelForImageTextToText  # noqa: E402

from cauldron.core.errors import UsageError  # noqa: E402
from cauldron.core.generation import Decoding, Question  # noqa: E402
from cauldron.core.output.mixture import Mixture  # noqa: E402
from tests.training.data.mixtures import mixed_rows, picture, write_mixture  # noqa: E402
from tests.training.test_run import config, train  # noqa: E402

CPU = torch.device("cpu")
DECODING = Decoding(longest_edge=1456, max_new_tokens=12, stop_words=("Question",))
QUESTIONS = [
    Question((picture(1, 40, 30), "What is 1?")),
    Question(("<image 1>:", picture(2, 400, 90), "\nand", picture(3, 20, 20), "Which is larger?")),
    Question((picture(4, 224, 224), "What is 4? " * 5)),
]


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Mixture:
    return write_mixture(tmp_path_factory.mktemp("mixture"), mixed_rows(40))


@pytest.fixture(scope="module")
def run(mixture: Mixture, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("run") / "run"
    train(config(mixture, output, "adapter.rank=4", "learning_rate=0.01", steps=3))
    return output


def test_a_run_answers_as_its_export_does(run: Path) -> None:
    ours = generation.load_engine(str(run), CPU).generate(QUESTIONS, DECODING)
    theirs = generation.load_engine(str(run / "model"), CPU).generate(QUESTIONS, DECODING)
    assert ours == theirs
    assert any(ours)


def test_answers_are_those_of_plain_transformers_one_at_a_time(run: Path) -> None:
    """Alignment and padding of a batch change no answer, and images have the tiles of training."""
    engine = generation.load_engine(str(run / "model"), CPU)
    processor = generation.load_processor(run / "model")
    plain: Any = AutoModelForImageTextToText.from_pretrained(run / "model").eval()
    spoken = processor.tokenizer.convert_tokens_to_ids("<end_of_utterance>")
    ends = [spoken, processor.tokenizer.eos_token_id]
    expected = []
    for question in QUESTIONS:
        chat = [{"role": "user", "content": generation.content_of(question)}]
        inputs = processor.apply_chat_template(
            [chat],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"images_kwargs": {"size": {"longest_edge": 4 * 56}}},
        )
        found = plain.generate(**inputs, do_sample=False, max_new_tokens=12, eos_token_id=ends)
        new = found[:, inputs["input_ids"].shape[1] :]
        expected.append(processor.batch_decode(new, skip_special_tokens=True)[0].strip())
    assert engine.generate(QUESTIONS, DECODING) == expected
    # 16 tiles and the whole image, of 4 tokens each; 55 bytes of text.
    assert engine.length(QUESTIONS[2], DECODING) == 17 * 4 + 55 // 4


def test_the_weights_at_hand_are_evaluated(mixture: Mixture, run: Path) -> None:
    """And neither they nor training's attention change by it."""
    settings = config(mixture, run, "adapter.rank=4", "learning_rate=0.01", steps=3)
    from cauldron.training.checkpoint import newest_checkpoint
    from cauldron.training.export import load_trained

    last = newest_checkpoint(run)
    assert last is not None
    network = Network(load_trained(settings, last.folder), settings.train)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    engine = generation.engine_of_network(settings, network, mixture.upscale, CPU)
    expected = generation.load_engine(str(run), CPU).generate(QUESTIONS, DECODING)
    assert engine.generate(QUESTIONS, DECODING) == expected
    assert all(torch.equal(p, before[name]) for name, p in network.named_parameters())
    start = load_adapted(settings.train, torch.float32)
    untrained = generation.engine_of_network(
        settings, Network(start, settings.train), mixture.upscale, CPU
    )
    assert untrained.generate(QUESTIONS, DECODING) != expected


def test_weights_are_known_by_a_digest(mixture: Mixture, run: Path, tmp_path: Path) -> None:
    train(config(mixture, tmp_path, "adapter.rank=4", steps=1))
    names = (str(run), str(tmp_path), str(run / "model"), str(tmp_path / "model"))
    assert len({generation.digest_of(name) for name in names}) == 4
    assert generation.digest_of(str(run)) == generation.digest_of(str(run))
    assert generation.name_of(str(run)) == "run-step-000003"


def test_a_model_that_is_none_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the model cannot be loaded"):
        generation.load_engine(str(tmp_path), CPU)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(UsageError, match="is a llama model"):
        generation.load_engine(str(tmp_path), CPU)


def test_a_run_without_a_checkpoint_is_named(mixture: Mixture, tmp_path: Path) -> None:
    text = config(mixture, tmp_path).model_dump_json()
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UsageError, match="has no checkpoint yet"):
        generation.load_engine(str(tmp_path), CPU)
