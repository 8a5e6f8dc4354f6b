"""The whole way: a model learns what can be seen in pictures, and answers about pictures that it
has not seen, in ``cauldron eval`` and in plain transformers."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")

from transformers import AutoModelForImageTextToText, AutoProcessor  # noqa: E402

from cauldron.cli import main  # noqa: E402
from cauldron.core.output.mixture import Mixture  # noqa: E402
from cauldron.evaluate.benchmarks.catalog import BENCHMARKS  # noqa: E402
from cauldron.evaluate.items.read import Item, read_items  # noqa: E402
from tests.sources.benchmark_files import write_parquet  # noqa: E402
from tests.training.data.mixtures import make_row, write_mixture  # noqa: E402
from tests.training.test_run import config, train  # noqa: E402

pytestmark = pytest.mark.slow
AI2D = BENCHMARKS["ai2d"]
COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (50, 60, 220), "white": (230,) * 3}
SIDE, ROWS, HELD_OUT = 56, 320, 40


def picture(number: int, colour: str) -> bytes:
    """A noisy rectangle of a colour on grey, placed by the number."""
    random = np.random.default_rng(number)
    pixels = random.integers(90, 160, (SIDE, SIDE, 3))
    left, top, width, height = random.integers((2, 2, 24, 24), (22, 22, 32, 32))
    noise = random.integers(-20, 20, (height, width, 3))
    pixels[top : top + height, left : left + width] = COLOURS[colour] + noise
    buffer = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def colour_of(number: int) -> str:
    return [*COLOURS][np.random.default_rng((1, number)).integers(len(COLOURS))]


def publish(root: Path, numbers: range) -> None:
    """Questions in the layout of AI2D."""
    colours = [colour_of(number) for number in numbers]
    columns: dict[str, list[Any]] = {
        "question": ["What colour is it?"] * len(numbers),
        "options": [[*COLOURS]] * len(numbers),
        "answer": [str([*COLOURS].index(colour)) for colour in colours],
        "image": [
            {"bytes": picture(number, colour), "path": None}
            for number, colour in zip(numbers, colours, strict=True)
        ],
    }
    write_parquet(root / "lmms-lab/ai2d/data/test-00000-of-00001.parquet", columns)


def items(root: Path) -> list[Item]:
    found = list(read_items("ai2d", str(root)))
    assert all(isinstance(item, Item) for item in found)
    return [item for item in found if isinstance(item, Item)]


def prompt(item: Item) -> str:
    image, text = AI2D.prompt(item)
    assert image.image == 0
    return text.text


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Mixture:
    """Other pictures, asked with the benchmark's prompt."""
    folder = tmp_path_factory.mktemp("learned")
    publish(folder, range(ROWS))
    rows = [
        make_row(
            number,
            sizes=((SIDE, SIDE),),
            turns=[(prompt(item), f"Answer: {item.answers[0]}")],
            images=item.images,
        )
        for number, item in enumerate(items(folder))
    ]
    return write_mixture(folder / "mixture", rows)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads of a small model wait for each other; with other processes about, for long."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_what_can_be_seen_is_learned_and_answered_about_unseen_pictures(
    mixture: Mixture, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    publish(root, range(ROWS, ROWS + HELD_OUT))
    output = tmp_path / "run"
    changes = ("batch=2", "sequence_length=512", "learning_rate=0.003", "checkpoint_every=1000")
    train(config(mixture, output, *changes, steps=160))
    folder = tmp_path / "evaluation"
    given = [str(output), "--root", str(root), "--output", str(folder)]
    found = CliRunner().invoke(main, ["eval", *given])
    assert found.exit_code == 0, found.output
    ours = json.loads((folder / "manifest.json").read_text())["results"]["ai2d"]["overall"]
    assert ours["size"] == HELD_OUT
    # Chance is a quarter.
    assert ours["value"] > 0.8
    assert plain_transformers(output / "model", items(root)) == pytest.approx(ours["value"])


def plain_transformers(folder: Path, asked: list[Item]) -> float:
    """The score of an exported model, one question at a time, without this project's loader."""
    processor: Any = AutoProcessor.from_pretrained(folder)
    model: Any = AutoModelForImageTextToText.from_pretrained(folder).eval()
    scores = []
    for item in asked:
        image = Image.open(io.BytesIO(item.images[0]))
        content = [{"type": "image", "image": image}, {"type": "text", "text": prompt(item)}]
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"images_kwargs": {"size": {"longest_edge": SIDE}}},
        )
        new = model.generate(**inputs, do_sample=False, max_new_tokens=16)
        text = processor.decode(new[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        scores.append(AI2D.score(item, AI2D.parse(item, text)))
    return sum(scores) / len(scores)
