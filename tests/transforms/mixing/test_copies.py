"""What a copy of a sample says of its image tokens."""

from __future__ import annotations

from typing import Any

import pytest
from cauldron.transforms.mixing.copies import Copy, chosen_turns, mixture_row

from cauldron.core.schema import ImageInfo, Origin, Sample, Turn
from cauldron.core.sections.stage import StageRecipe


def counted(upscale: Any, **stage: Any) -> tuple[list[int], int]:
    """Tiles of each image, and image tokens, of a row with a small and a large image."""
    info = {"format": "PNG", "mode": "RGB", "sha256": "", "phash": 0}
    sample = Sample(
        id="0" * 32,
        source="s",
        system=None,
        turns=(Turn(user="?", assistant="!", source="s"),),
        images=(
            ImageInfo(width=640, height=480, **info),
            ImageInfo(width=4000, height=4000, **info),
        ),
        origin=Origin(file="f", row_group=0, row=0, key=""),
        license="cc0",
        language=None,
    )
    rules = {"budget": {"samples": 1}, "mixture": {"s": 1}, "upscale": upscale, **stage}
    recipe = StageRecipe.model_validate(rules)
    copy = Copy(0, 1)
    turns = chosen_turns(sample, copy, recipe, seed=0, dialogue=False)
    row = mixture_row(sample, [b"", b""], turns, copy, recipe, recipe.edges[0][1])
    tiles = [image["tiles"] for image in row["image_info"]]
    assert sum(tiles) == row["tiles"]
    return tiles, row["tokens"]["image"]


@pytest.mark.parametrize(
    ("upscale", "tiles"),
    [("never", [5, 26]), ({"up_to": 2}, [13, 26]), ("published", [21, 26])],
)
def test_image_tokens_follow_how_small_images_are_scaled_up(upscale: Any, tiles: list[int]) -> None:
    assert counted(upscale) == (tiles, sum(tiles) * 169)


def test_image_tokens_follow_the_tile() -> None:
    assert counted("never", tile=56, longest_edge=280) == ([21, 26], 47 * 4)
