"""What decides the packs of a run, and what makes two runs have the same order of packs.

No torch here: a mistake is told before anything heavy is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cauldron.training.flops import IDEFICS3_8B, ModelShape, Passes, pack_flops

from cauldron.core.errors import CauldronError, UsageError
from cauldron.core.mixture import Mixture
from cauldron.core.tiles import Upscale

# Markers <row_i_col_j> exist up to this i and j.
MOST_TILES_A_SIDE = 6


class Layout(Protocol):
    """Of a `TokenLayout`: the tile's side in pixels, and what its ids follow from."""

    tile: int

    @property
    def identity(self) -> str: ...


@dataclass(frozen=True, slots=True)
class LoaderSettings:
    """What decides the packs and how they are prepared.

    Attributes:
        batch: packs in a step, over all ranks.
        sequence_length: tokens in a pack, at most; a longer row is dropped and counted.
        longest_edge: pixels; pairs of (first step, pixels) change it over the run.
        upscale: ``published``, ``never``, or the factor that small images grow by at most.
        seed: of the order.
        workers: processes; 0 prepares packs in this one, when they are asked for.
        ahead: packs in preparation for each worker.
        window_rows: rows that are packed together; more fill packs better and take more memory.
        windows: prepared side by side; workers beyond it have nothing to do.
        max_bad_rows: so many bad rows in a row are an error.
        only, exclude: sources to take alone, or to leave out.
        shape, passes: what a pack costs is computed from these, to deal packs evenly.
    """

    batch: int
    sequence_length: int = 10_240
    longest_edge: int | tuple[tuple[int, int], ...] = 1820
    upscale: Upscale = "never"
    seed: int = 0
    workers: int = 2
    ahead: int = 2
    window_rows: int = 1024
    windows: int = 8
    max_bad_rows: int = 100
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    shape: ModelShape = IDEFICS3_8B
    passes: Passes = Passes()  # noqa: RUF009 - frozen

    def edge_at(self, step: int) -> int:
        """The longest edge of a step, pixels."""
        if isinstance(self.longest_edge, int):
            return self.longest_edge
        return [pixels for first, pixels in self.longest_edge if first <= step][-1]

    def cost(self, tiles: int, lengths: Sequence[int], supervised: int) -> float:
        """What a pack costs: operations of a training step."""
        return pack_flops(self.shape, tiles, lengths, supervised, self.passes).total

    @property
    def edges(self) -> list[int]:
        """Every longest edge of the run, pixels."""
        if isinstance(self.longest_edge, int):
            return [self.longest_edge]
        return [pixels for _, pixels in self.longest_edge]


def left_out(mixture: Mixture, settings: LoaderSettings) -> frozenset[str]:
    """The sources whose rows are passed over."""
    only, exclude = settings.only, settings.exclude
    names = mixture.manifest.sources
    return frozenset(name for name in names if (only and name not in only) or name in exclude)


def check(mixture: Mixture, tokens: Layout, settings: LoaderSettings, world: int) -> None:
    """Raises UsageError with what does not go together."""
    names = mixture.manifest.sources
    for name in (*settings.only, *settings.exclude):
        if name not in names:
            known = ", ".join(sorted(names))
            raise UsageError(f"{mixture.folder} has no source {name!r}; it has: {known}")
    if left_out(mixture, settings) >= names.keys():
        raise UsageError(f"no source of {mixture.folder} is left by what only and exclude say")
    if settings.batch % world:
        raise UsageError(
            f"a batch of {settings.batch} sequences does not divide by {world} ranks; take "
            f"{-(-settings.batch // world) * world} sequences, or another number of ranks"
        )
    widest = MOST_TILES_A_SIDE * tokens.tile
    if max(settings.edges) > widest:
        raise UsageError(
            f"longest_edge {max(settings.edges)} is more than {MOST_TILES_A_SIDE} tiles of "
            f"{tokens.tile}; the model has markers up to {widest} pixels"
        )


def identity(mixture: Mixture, tokens: Layout, settings: LoaderSettings) -> dict[str, Any]:
    """What the order of packs follows from, besides positions and edges. Plain JSON."""
    return {
        "mixture": mixture.manifest.fingerprint,
        "tokenizer": tokens.identity,
        "seed": settings.seed,
        "sequence_length": settings.sequence_length,
        "upscale": settings.upscale,
        "window_rows": settings.window_rows,
        "windows": settings.windows,
        "left_out": sorted(left_out(mixture, settings)),
    }


def check_state(state: dict[str, Any], expected: dict[str, Any]) -> None:
    """Raises CauldronError when a state belongs to another order."""
    saved = state["order"]
    for name, value in expected.items():
        if saved.get(name) != value:
            raise CauldronError(
                f"the checkpoint's data position is of another order: {name} was "
                f"{saved.get(name)!r} and is {value!r}; set it back, or start a new run"
            )
