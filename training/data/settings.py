"""The loader's settings, their checks, and the fields that must match to resume its order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cauldron.training.config import TrainConfig
from cauldron.training.network.flops import IDEFICS3_8B, ModelShape, Passes, pack_flops
from cauldron.training.network.special_tokens import LARGEST_GRID

from cauldron.core.errors import CauldronError, UsageError
from cauldron.core.output.mixture import Mixture
from cauldron.core.sections.rules import upscale_of
from cauldron.core.tiles import Upscale


class Layout(Protocol):
    """What is needed of a `TokenLayout`. `tile`: side in pixels."""

    tile: int

    @property
    def fingerprint(self) -> str: ...


@dataclass(frozen=True, slots=True)
class LoaderSettings:
    """Which packs are made and how they are prepared.

    Attributes:
        batch: packs in a step, over all ranks.
        sequence_length: most tokens in a pack; a longer row is dropped and counted.
        cut_documents: a longer document is cut instead.
        longest_edge: pixels; pairs of (first step, pixels) change it during the run.
        upscale: ``published``, ``never``, or the largest factor for small images.
        seed: of the order.
        workers: processes; 0 prepares packs in this process, on demand.
        ahead: packs prefetched by each worker.
        window_rows: rows packed together; more rows fill packs better and take more memory.
        windows: windows in a round; more workers than this are of no use.
        max_bad_rows: more bad rows in a row are an error.
        only, exclude: the only sources to use, or sources not to use.
        shape, passes: the cost of a pack is computed from these, to balance the ranks.
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
    cut_documents: bool = False

    def edge_at(self, step: int) -> int:
        """The longest edge at a step, in pixels."""
        if isinstance(self.longest_edge, int):
            return self.longest_edge
        return [pixels for first, pixels in self.longest_edge if first <= step][-1]

    def cost(self, tiles: int, lengths: Sequence[int], supervised: int) -> float:
        """The cost of a pack: operations of its forward and backward passes."""
        return pack_flops(self.shape, tiles, lengths, supervised, self.passes).total

    @property
    def edges(self) -> list[int]:
        """Every longest edge of the run, in pixels."""
        if isinstance(self.longest_edge, int):
            return [self.longest_edge]
        return [pixels for _, pixels in self.longest_edge]


def loader_settings(config: TrainConfig, mixture: Mixture, shape: ModelShape) -> LoaderSettings:
    """The loader's settings of a run. Args: shape: of its model."""
    rules = config.train
    trains = "full" if rules.adapter is None else "adapter"
    vision, language = (
        "frozen" if part in rules.frozen else trains for part in ("vision", "language")
    )
    return LoaderSettings(
        batch=rules.batch,
        sequence_length=rules.sequence_length,
        longest_edge=rules.longest_edge,
        upscale=upscale_of_run(config, mixture),
        seed=rules.seed,
        workers=rules.workers,
        window_rows=rules.window,
        max_bad_rows=rules.max_bad_rows,
        only=config.only,
        exclude=config.exclude,
        shape=shape,
        passes=Passes.of(vision=vision, language=language),
        cut_documents=rules.cut_documents,
    )


def upscale_of_run(config: TrainConfig, mixture: Mixture) -> Upscale:
    """How small images are scaled up: as the run's rules say, or as the mixture was counted."""
    chosen = config.train.upscale
    return mixture.upscale if chosen is None else upscale_of(chosen)


def excluded_sources(mixture: Mixture, settings: LoaderSettings) -> frozenset[str]:
    """The sources whose turns are not used."""
    only, exclude = settings.only, settings.exclude
    names = mixture.manifest.sources
    return frozenset(name for name in names if (only and name not in only) or name in exclude)


def check_sources(mixture: Mixture, names: Sequence[str]) -> None:
    """Raises UsageError for a source that the mixture does not have."""
    known = mixture.manifest.sources
    for name in names:
        if name not in known:
            has = ", ".join(sorted(known))
            raise UsageError(f"{mixture.folder} has no source {name!r}; it has: {has}")


def check_settings(mixture: Mixture, tokens: Layout, settings: LoaderSettings, world: int) -> None:
    """Raises UsageError for settings that contradict each other or the mixture."""
    check_sources(mixture, (*settings.only, *settings.exclude))
    if excluded_sources(mixture, settings) >= mixture.manifest.sources.keys():
        raise UsageError(f"no source of {mixture.folder} is left; change only or exclude")
    if settings.batch % world:
        raise UsageError(
            f"a batch of {settings.batch} sequences does not divide by {world} ranks; take "
            f"{-(-settings.batch // world) * world} sequences, or another number of ranks"
        )
    widest = LARGEST_GRID * tokens.tile
    if max(settings.edges) > widest:
        raise UsageError(
            f"longest_edge {max(settings.edges)} is more than {LARGEST_GRID} tiles of "
            f"{tokens.tile} pixels; set it to {widest} at most"
        )


def order_fields(mixture: Mixture, tokens: Layout, settings: LoaderSettings) -> dict[str, Any]:
    """Fields that must match before the loader's position is resumed. Plain JSON."""
    return {
        "mixture": mixture.manifest.fingerprint,
        "tokenizer": tokens.fingerprint,
        "seed": settings.seed,
        "sequence_length": settings.sequence_length,
        "cut_documents": settings.cut_documents,
        "upscale": settings.upscale,
        "window_rows": settings.window_rows,
        "windows": settings.windows,
        "left_out": sorted(excluded_sources(mixture, settings)),
    }


def check_state(state: dict[str, Any], expected: dict[str, Any]) -> None:
    """Raises CauldronError when a saved state belongs to another order of packs."""
    saved = state["order"]
    for name, value in expected.items():
        if saved.get(name) != value:
            raise CauldronError(
                f"the checkpoint's data position belongs to another order of packs: {name} was "
                f"{saved.get(name)!r} and is {value!r}; set it back, or start a new run"
            )
