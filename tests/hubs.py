"""Small published-layout hubs for tests of the whole build, made in a moment."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cauldron.core.output.manifests import MixtureManifest
from cauldron.pipeline.build import BuildOptions, build
from cauldron.recipe import load_recipe

ZIP_PREFIX = "mnt/petrelfs/wangwenhai/workspace_cef/4o/image/"


def photo(number: int, side: int = 96) -> bytes:
    """A JPEG unlike any other number's."""
    rng = np.random.default_rng(number)
    coarse = rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def write_dolly(root: str, rows: int, broken: int = 0) -> None:
    """Text-only rows; the last of them, besides `broken` lines that are no JSON."""
    folder = os.path.join(root, "databricks", "databricks-dolly-15k")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "databricks-dolly-15k.jsonl"), "w") as file:
        for number in range(rows):
            row = {
                "instruction": f"How much is {number} and {number}?",
                "context": "",
                "response": f"{number} and {number} make {2 * number}.",
                "category": "open_qa",
            }
            file.write(json.dumps(row) + "\n")
        file.write("{not json\n" * broken)


def write_sharegpt(
    root: str, rows: int, side: int = 96, turns: int = 1, pictures: int | None = None
) -> None:
    """Captioned photographs in a zip; with fewer `pictures` than rows, some rows share one."""
    folder = os.path.join(root, "OpenGVLab", "ShareGPT-4o")
    os.makedirs(os.path.join(folder, "image_conversations"), exist_ok=True)
    with zipfile.ZipFile(os.path.join(folder, "images.zip"), "w") as archive:
        for number in range(rows):
            entry = zipfile.ZipInfo(f"{ZIP_PREFIX}{number:06d}.jpg")
            archive.writestr(entry, photo(number % (pictures or rows), side))
    with open(os.path.join(folder, "image_conversations", "gpt-4o.jsonl"), "w") as file:
        for number in range(rows):
            conversations = []
            for turn in range(turns):
                asked = f"<image>\nDescribe aspect {turn} of picture {number}."
                said = f"Aspect {turn} of picture {number} is a pattern of soft colours."
                conversations += [{"from": "human", "value": asked}, {"from": "gpt", "value": said}]
            row = {
                "image": f"{number:06d}.jpg",
                "width": side,
                "height": side,
                "conversations": conversations,
            }
            file.write(json.dumps(row) + "\n")


def write_recipe(path: str, **changes: object) -> str:
    """A recipe over the two sources above; `changes` replace fields of its stage."""
    stage: dict[str, Any] = {
        "mixture": {"sharegpt_4o": 1, "dolly": 0.5},
        "shard_bytes": 200_000,
        "row_group_bytes": 50_000,
    }
    stage.update(changes)
    first = next(iter(stage["mixture"]))
    stage.setdefault("budget", {"epochs_of": {first: 2.5}})
    with open(path, "w") as file:
        json.dump({"name": "test", "seed": 3, "stages": {"sft": stage}}, file)
    return path


def build_sample(sample: Path, output: Path, *beam_args: str, **changes: Any) -> MixtureManifest:
    """Build the miniature hub with the recipe ``sample``, some of its fields changed."""
    recipe = load_recipe("sample").model_copy(update=changes)
    options = BuildOptions(
        recipe=recipe, stages=("sft",), root=str(sample), output=str(output), beam_args=beam_args
    )
    return build(options, lambda line: None)[0]
