"""Shows images to an exported model as training did.

The image processor of transformers scales every image to `longest_edge`, up or down: the setting
``published``. With ``never`` and ``{up_to: x}`` training scaled small images up less, so a stock
processor gives them other tiles and more tokens: at 1820, an image of 640 x 480 gets 3,549 image
tokens instead of 845. There are two ways to the tiles of training, both without remote code:

    processor = load_processor("runs/sft/model")    # same pixels, tiles and tokens, for any image

and, where a stock processor must do (vLLM), its `size` for each image:

    size = {"longest_edge": longest_edge_for(640, 480, 1820, 364, "never")}

With that, tokens are those of training if the limit and the tile are whole and even: the limit a
multiple of the tile, as in the packaged recipe. Pixels differ a little, because the stock processor
resizes twice.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from transformers import AutoProcessor, Idefics3ImageProcessor
from transformers.image_utils import SizeDict

from cauldron.core.tiles import Upscale, resize_steps, tile_count, tile_grid


def load_processor(folder: str | Path, **options: Any) -> Any:
    """The processor of an exported model, with images sized as in training.

    Args:
        folder: or hub id.
        options: of `from_pretrained`.
    """
    processor: Any = AutoProcessor.from_pretrained(folder, **options)  # type: ignore[no-untyped-call]
    processor.image_processor = TrainedImageProcessor(**processor.image_processor.to_dict())
    return processor


def longest_edge_for(width: int, height: int, limit: int, tile: int, upscale: Upscale) -> int:
    """The `longest_edge` with which a stock processor cuts an image as training did.

    Args:
        width, height: of the image, pixels.
        limit: the stage's `longest_edge`.
        tile: side of a tile.
    """
    if upscale == "published":
        return limit
    longest, shortest = max(width, height), min(width, height)
    wanted = longest * (1.0 if upscale == "never" else float(upscale))
    edge = limit if wanted > limit else math.ceil(wanted / tile) * tile
    # As in training: one tile if the shorter side would become 0.
    return edge if edge * shortest // longest else tile


class TrainedImageProcessor(Idefics3ImageProcessor):
    """The published image processor with the `upscale` of the exported configuration.

    Attributes:
        upscale: as in `cauldron.core.tiles`; ``published``: as the stock processor.
    """

    upscale: Upscale = "published"

    def resize(  # type: ignore[override]
        self, image: Any, size: SizeDict, resample: Any = None, **more: Any
    ) -> Any:
        """Resize to a longest edge: to whole tiles at once, so the next resize does nothing."""
        if size.longest_edge and self.upscale != "published":
            height, width = image.shape[-2:]
            tile = self.max_image_size["longest_edge"]
            height, width = resize_steps(width, height, size.longest_edge, tile, self.upscale)[-1]
            size = SizeDict(height=height, width=width)
        return super().resize(image, size, resample=resample, **more)

    def to_dict(self) -> dict[str, Any]:
        """With the stock name, so that what is saved loads without this package too."""
        values: dict[str, Any] = super().to_dict()  # type: ignore[no-untyped-call]
        return values | {"image_processor_type": Idefics3ImageProcessor.__name__}

    def get_number_of_image_patches(
        self, height: int, width: int, images_kwargs: dict[str, Any] | None = None
    ) -> tuple[int, int, int]:
        """Tiles with the whole image, rows and columns; rows and columns are 0 for one tile."""
        edge, tile = self.size["longest_edge"], self.max_image_size["longest_edge"]
        count = tile_count(width, height, edge, tile, self.upscale)
        rows, columns = tile_grid(width, height, edge, tile, self.upscale)
        return (count, rows, columns) if count > 1 else (1, 0, 0)
