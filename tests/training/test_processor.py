"""An exported model is shown what training saw: the same pixels, tokens and answers."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")

from cauldron.training.config import ModelRules, TrainConfig, TrainRecipe  # noqa: E402
from cauldron.training.data.tiles import decode, split_into_tiles  # noqa: E402
from cauldron.training.data.tokenization import IGNORED, TokenLayout  # noqa: E402
from cauldron.training.export import write_processor  # noqa: E402
from cauldron.training.network.load import LoadedModel, load_model  # noqa: E402
from cauldron.training.processor import load_processor, longest_edge_for  # noqa: E402
from PIL import Image  # noqa: E402
from transformers import AutoProcessor, Idefics3ImageProcessor  # noqa: E402

from cauldron.core.schema import messages_of  # noqa: E402
from cauldron.core.tiles import Upscale, resize_steps, tile_count, tile_grid  # noqa: E402
from tests.training.data.mixtures import messages_of_row, picture  # noqa: E402

TILE, EDGE = 56, 5 * 56
CHOICES: list[Upscale] = ["never", 2.0, 1.3, "published"]
SIZES = [(99, 74), (56, 56), (57, 56), (1, 1), (30, 56), (280, 280), (281, 200), (400, 56),
         (279, 280), (56, 900), (3, 200), (168, 57)]  # fmt: skip
TURNS = [("What is in the picture?", "A small house."), ("é 中\n\nHow many?", " 12: \n- one\n")]


@pytest.fixture(scope="module")
def tiny() -> LoadedModel:
    return load_model(ModelRules(name="tiny"))


def exported(tiny: LoadedModel, folder: Path, upscale: Upscale, edge: int = EDGE) -> Path:
    rules = TrainRecipe(model=ModelRules(name="tiny"), longest_edge=edge)
    config = TrainConfig(stage="sft", mixture="", output="", train=rules)
    write_processor(config, tiny, folder, upscale)
    return folder


def shown(processor: Any, rows: Any, sizes: list[tuple[int, int]], **more: Any) -> Any:
    images = [Image.open(io.BytesIO(picture(1, *size))) for size in sizes]
    left = iter(images)
    messages = [
        {
            "role": row["role"],
            "content": [
                part | {"image": next(left)} if part["type"] == "image" else part
                for part in row["content"]
            ],
        }
        for row in rows
    ]
    return processor.apply_chat_template(
        messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=True, **more
    )


def trained(tiny: LoadedModel, rows: Any, sizes: Any, upscale: Upscale, edge: int) -> Any:
    layout = TokenLayout(tiny.tokenizer, tiny.tile, tiny.tile_tokens)
    grids = [tile_grid(*size, edge, TILE, upscale) for size in sizes]
    return layout.expand(layout.encode(messages_of_row(rows)), grids)


@pytest.mark.parametrize("edge", [EDGE, 200])
@pytest.mark.parametrize("upscale", CHOICES)
def test_the_export_gives_the_tokens_and_answers_of_training(
    tiny: LoadedModel, tmp_path: Path, upscale: Upscale, edge: int
) -> None:
    processor = load_processor(exported(tiny, tmp_path, upscale, edge))
    rows = messages_of("You answer briefly.", TURNS, len(SIZES))
    found = shown(processor, rows, SIZES)
    document = trained(tiny, rows, SIZES, upscale, edge)
    assert found["input_ids"][0] == document.ids.tolist()
    learned = np.array(found["assistant_masks"][0], dtype=bool)
    assert np.where(learned, document.ids, IGNORED)[1:].tolist() == document.labels[:-1].tolist()
    tiles = [tile_count(*size, edge, TILE, upscale) for size in SIZES]
    counted = [processor.image_processor.get_number_of_image_patches(h, w)[0] for w, h in SIZES]
    assert counted == tiles


@pytest.mark.parametrize("upscale", CHOICES)
@pytest.mark.parametrize("size", SIZES)
def test_the_export_gives_the_pixels_of_training(
    tiny: LoadedModel, tmp_path: Path, upscale: Upscale, size: tuple[int, int]
) -> None:
    images = load_processor(exported(tiny, tmp_path, upscale)).image_processor
    data = picture(1, *size)
    ours = torch.empty((tile_count(*size, EDGE, TILE, upscale), TILE, TILE, 3), dtype=torch.uint8)
    split_into_tiles(decode(data, *size), resize_steps(*size, EDGE, TILE, upscale), ours)
    found = images([[Image.open(io.BytesIO(data))]], return_tensors="np")["pixel_values"][0]
    theirs = np.round(found * 127.5 + 127.5).astype(np.uint8)
    assert np.array_equal(ours.permute(0, 3, 1, 2).numpy(), theirs)


def test_an_image_of_640_x_480_gets_845_tokens_as_in_training() -> None:
    edge = longest_edge_for(640, 480, 1820, 364, "never")
    stock = Idefics3ImageProcessor(
        size={"longest_edge": 1820}, max_image_size={"longest_edge": 364}
    )
    assert stock.get_number_of_image_patches(480, 640)[0] * 169 == 3549
    asked = {"size": {"longest_edge": edge}}
    assert stock.get_number_of_image_patches(480, 640, asked)[0] * 169 == 845
    assert tile_count(640, 480, 1820, 364) * 169 == 845


@pytest.mark.parametrize("upscale", CHOICES)
def test_a_stock_processor_cuts_as_training_when_it_is_told_the_edge(upscale: Upscale) -> None:
    stock = Idefics3ImageProcessor(max_image_size={"longest_edge": 364})
    random = np.random.default_rng(0)
    sizes = [*random.integers(1, 3000, (3000, 2)).tolist(), (640, 480), (729, 728), (364, 365)]
    for width, height in sizes:
        edge = longest_edge_for(width, height, 1820, 364, upscale)
        wanted = tile_count(width, height, 1820, 364, upscale)
        asked = {"size": {"longest_edge": edge}}
        found = stock.get_number_of_image_patches(height, width, asked)[0]
        assert max(1, found) == wanted, (width, height)


def test_the_export_loads_without_this_package_and_keeps_the_setting(
    tiny: LoadedModel, tmp_path: Path
) -> None:
    processor = load_processor(exported(tiny, tmp_path / "made", "never"))
    processor.save_pretrained(tmp_path / "again")
    for folder in ("made", "again"):
        stock = AutoProcessor.from_pretrained(tmp_path / folder)
        assert type(stock.image_processor) is Idefics3ImageProcessor
        assert stock.image_processor.upscale == "never"
        assert stock.chat_template == tiny.tokenizer.chat_template
