"""Reading a mixture: its manifest, its shards, its rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cauldron.core import storage
from cauldron.core.errors import CauldronError, UsageError
from cauldron.core.output.manifests import MANIFEST, MixtureManifest, mixture_folder, read_manifest
from cauldron.core.sections.rules import upscale_of
from cauldron.core.sections.stage import StageRecipe
from cauldron.core.tiles import Upscale


@dataclass(frozen=True)
class Mixture:
    """A finished mixture.

    Attributes:
        folder: local path or ``gs://`` URL.
    """

    folder: str
    manifest: MixtureManifest

    @property
    def shards(self) -> list[str]:
        """Full paths, in order."""
        data = storage.join(self.folder, self.manifest.data)
        return [storage.join(data, shard.name) for shard in self.manifest.shards]

    @property
    def upscale(self) -> Upscale:
        """How small images are scaled up, as its image tokens were counted."""
        stage = self.manifest.recipe["stages"][self.manifest.stage]
        return upscale_of(StageRecipe.model_validate(stage).upscale)

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """One table per row group, in order. Only the named columns are read.

        Raises:
            CauldronError: a shard is gone.
        """
        for shard in self.shards:
            try:
                yield from read_row_groups(shard, columns)
            except FileNotFoundError:
                raise CauldronError(
                    f"{shard} is not there any more: if a build has replaced the mixture, open it "
                    "again; else check it with cauldron verify"
                ) from None

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Rows as Python values, in order. Without `columns` the images are read too."""
        for table in self.batches(columns):
            yield from table.to_pylist()


def load_mixture(folder: str) -> Mixture:
    """Open a mixture by its folder, ``OUT/mixtures/<recipe>/<stage>``.

    Raises:
        CauldronError: the folder holds no finished mixture.
    """
    try:
        return Mixture(folder, read_manifest(MixtureManifest, folder))
    except (FileNotFoundError, NotADirectoryError):
        raise CauldronError(
            f"{folder}: unfinished or missing mixture, it has no {MANIFEST}; "
            "give OUT/mixtures/RECIPE/STAGE, or run the build again to finish it"
        ) from None


def find_mixture(out: str, stage: str) -> str:
    """The folder of the finished mixture of a stage, under whichever recipe it is.

    Raises:
        CauldronError: no recipe has one, or several have.
    """
    recipes = storage.list_folders(storage.join(out, "mixtures"))
    folders = [mixture_folder(out, recipe, stage) for recipe in recipes]
    found = [folder for folder in folders if storage.exists(storage.join(folder, MANIFEST))]
    if len(found) == 1:
        return found[0]
    if found:
        known = " or ".join(found)
        raise UsageError(f"{stage} is a stage of {len(found)} recipes: give --mixture {known}")
    if storage.exists(storage.join(out, "mixtures", stage, MANIFEST)):
        load_mixture(storage.join(out, "mixtures", stage))  # in the layout of an older version
    raise CauldronError(
        f"no finished mixture of stage {stage} in {out}: build it there, or name the folder of one"
    )


def read_row_groups(path: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """One table per row group of a parquet file: memory holds one row group."""
    with storage.open_read(path) as file:
        reader = pq.ParquetFile(file)
        for number in range(reader.num_row_groups):
            yield reader.read_row_group(number, None if columns is None else list(columns))
