"""Reading a mixture: its manifest, its shards, its rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cauldron.core import storage
from cauldron.core.errors import CauldronError
from cauldron.core.manifests import DATA, MANIFEST, MixtureManifest, read_manifest
from cauldron.core.rules import upscale_of
from cauldron.core.stage import StageRecipe
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
        return [storage.join(self.folder, DATA, shard.name) for shard in self.manifest.shards]

    @property
    def upscale(self) -> Upscale:
        """How small images are scaled up, as its image tokens were counted."""
        stage = self.manifest.recipe["stages"][self.manifest.stage]
        return upscale_of(StageRecipe.model_validate(stage).upscale)

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """One table per row group, in order. Only the named columns are read."""
        for shard in self.shards:
            yield from read_row_groups(shard, columns)

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Rows as Python values, in order. Without `columns` the images are read too."""
        for table in self.batches(columns):
            yield from table.to_pylist()


def load_mixture(folder: str) -> Mixture:
    """Open a mixture by its folder, ``OUT/mixtures/<stage>``.

    Raises:
        CauldronError: the folder holds no finished mixture.
    """
    try:
        return Mixture(folder, read_manifest(MixtureManifest, folder))
    except (FileNotFoundError, NotADirectoryError):
        raise CauldronError(
            f"{folder}: unfinished or missing mixture, it has no {MANIFEST}; "
            "give OUT/mixtures/STAGE, or run the build again to finish it"
        ) from None


def read_row_groups(path: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """One table per row group of a parquet file: memory holds one row group."""
    with storage.open_read(path) as file:
        reader = pq.ParquetFile(file)
        for number in range(reader.num_row_groups):
            yield reader.read_row_group(number, None if columns is None else list(columns))
