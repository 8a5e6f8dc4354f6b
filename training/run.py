"""A whole run: meet the other ranks, build, go on from a checkpoint, train, export."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from cauldron.training import checkpoint, failure
from cauldron.training.config import TrainConfig, TrainRecipe
from cauldron.training.data.loader import PackLoader
from cauldron.training.data.prompts import TokenLayout
from cauldron.training.data.settings import LoaderSettings
from cauldron.training.exported import export_run
from cauldron.training.flops import ModelShape, Passes
from cauldron.training.identity import check_same, decides
from cauldron.training.loop import run_steps
from cauldron.training.metrics import Metrics, peak_of
from cauldron.training.model import LoadedModel
from cauldron.training.network import Network, adapted, base_dtype, make_network, make_optimizer
from cauldron.training.parallel import Ranks
from cauldron.training.saved import Saved, at_step, newest, remove_leftovers
from cauldron.training.signals import StopRequest
from cauldron.training.step import Stepper
from torch.distributed.distributed_c10d import _get_default_store

from cauldron.core import storage
from cauldron.core.errors import CauldronError, UsageError
from cauldron.core.mixture import Mixture
from cauldron.core.rules import upscale_of

Say = Callable[[str], None]
_CONFIG = "config.json"
# So long a node may go on not seeing a file that another wrote (NFS keeps that up to a minute).
_DISK_SECONDS = 60.0


def loader_settings(config: TrainConfig, mixture: Mixture, shape: ModelShape) -> LoaderSettings:
    """What the loader needs of a run's configuration."""
    rules = config.train
    upscale = mixture.upscale if rules.upscale is None else upscale_of(rules.upscale)
    return LoaderSettings(
        batch=rules.batch,
        sequence_length=rules.sequence_length,
        longest_edge=rules.longest_edge,
        upscale=upscale,
        seed=rules.seed,
        workers=rules.workers,
        window_rows=rules.window,
        max_bad_rows=rules.max_bad_rows,
        only=config.only,
        exclude=config.exclude,
        shape=shape,
        passes=passes(rules),
    )


def passes(rules: TrainRecipe) -> Passes:
    """Which passes the stage's frozen and adapted parts need."""

    def how(part: str) -> str:
        if part in rules.frozen:
            return "frozen"
        return "full" if rules.adapter is None else "adapter"

    return Passes.of(vision=how("vision"), language=how("language"))


def train(config: TrainConfig, mixture: Mixture, stop: StopRequest, say: Say) -> None:
    """Run to the end, or until SIGTERM. Raises CauldronError for what the user can mend.

    With several ranks it does not raise: it prints the error and ends the process (see
    `cauldron.training.failure`).
    """
    # Pillow tells of every chunk of every image.
    logging.getLogger("PIL").setLevel(logging.INFO)
    ranks = Ranks.join()
    try:
        saved = _found(config, ranks)
        if _train(config, mixture, saved, ranks, stop, say) and ranks.first:
            _exported(config, mixture, say)
    except BaseException as error:
        known = _explained(config, error)
        if ranks.world > 1:
            failure.end(known, ranks.rank, ranks.world, _get_default_store(), say)
        ranks.leave()
        if known is error:
            raise
        raise known from None
    ranks.leave()


def _found(config: TrainConfig, ranks: Ranks) -> Saved | None:
    """The checkpoint to go on from, the same on all ranks; nothing half written is left.

    Raises UsageError, on all ranks, when one does not see what the first sees.
    """
    run, saved = Path(config.output), None
    if ranks.first:
        remove_leftovers(run)
        run.mkdir(parents=True, exist_ok=True)
        storage.write_json(str(run / _CONFIG), config.model_dump(mode="json"))
        saved = newest(run)
    # The first rank's: what lies there may look different from another node.
    step = int(ranks.total(torch.tensor([saved.step if saved else 0])))
    if not ranks.first:
        saved = _seen(run, step)
    if ranks.any(not ranks.first and (bool(step) != bool(saved) or not (run / _CONFIG).exists())):
        what = f"its checkpoint of step {step}" if step else f"its {_CONFIG}"
        raise UsageError(
            f"{run} must be on a disk that all nodes share: not every rank sees {what}; "
            "give --output"
        )
    return saved


def _seen(run: Path, step: int) -> Saved | None:
    """The first rank's checkpoint. A network disk may show what is new with a delay."""
    end = time.monotonic() + _DISK_SECONDS
    while True:
        saved = at_step(run, step) if step else None
        if ((run / _CONFIG).exists() and (saved or not step)) or time.monotonic() > end:
            return saved
        time.sleep(0.2)


def _train(
    config: TrainConfig,
    mixture: Mixture,
    saved: Saved | None,
    ranks: Ranks,
    stop: StopRequest,
    say: Say,
) -> bool:
    """Whether the run came to its end."""
    if saved is not None and saved.step >= config.train.steps:
        return True
    tell = say if ranks.first else _silent
    loaded = adapted(config.train, base_dtype(config.train, ranks.device))
    # Before anything goes to the GPU: what does not go together is told here.
    with _loader(config, mixture, loaded, ranks, saved) as loader:
        network = make_network(loaded, config.train, ranks)
        optimizer = make_optimizer(network, config.train, ranks.device)
        if saved is not None:
            checkpoint.load(saved, network.trainable(), optimizer, ranks)
            tell(f"going on from step {saved.step}, {saved.folder}")
        tell(_summary(config, mixture, network, ranks))
        run = _Run(config, mixture, ranks, network, optimizer, loader)
        ended = run.steps(saved.step if saved else 0, stop, tell)
        _tell_end(ended, loader, tell)
    return ended


def _loader(
    config: TrainConfig, mixture: Mixture, loaded: LoadedModel, ranks: Ranks, saved: Saved | None
) -> PackLoader:
    tokens = TokenLayout(loaded.tokenizer, loaded.tile, loaded.tile_tokens)
    settings = loader_settings(config, mixture, ModelShape.of(loaded.model.config))
    position = saved.position if saved else None
    return PackLoader(mixture, tokens, settings, ranks.rank, ranks.world, position)


def _summary(config: TrainConfig, mixture: Mixture, network: Network, ranks: Ranks) -> str:
    rules = config.train
    trains = sum(p.numel() for p in network.trainable().values())
    every = sum(p.numel() for p in network.parameters())
    of = "rank" if ranks.world == 1 else "ranks"
    return (
        f"{config.stage}: {mixture.manifest.totals.rows:,} rows of {mixture.folder}; "
        f"{trains / 1e6:,.2f} of {every / 1e6:,.2f} M parameters train; {ranks.world} {of} on "
        f"{ranks.device.type}; {rules.batch} sequences of {rules.sequence_length:,} tokens a step"
    )


def _silent(line: str) -> None:
    """Of ranks other than the first."""


def _tell_end(ended: bool, loader: PackLoader, say: Say) -> None:
    long, bad = sum(loader.too_long.values()), sum(loader.bad_rows.values())
    if long or bad:
        say(f"rows left out: {long} longer than a sequence, {bad} that could not be read")
    if not ended:
        say("stopped by SIGTERM; the same command goes on from here")


@dataclass(frozen=True)
class _Run:
    """What the steps of a run are made with."""

    config: TrainConfig
    mixture: Mixture
    ranks: Ranks
    network: Network
    optimizer: torch.optim.AdamW
    loader: PackLoader

    def steps(self, first: int, stop: StopRequest, tell: Say) -> bool:
        """Whether all were done."""
        rules, parameters = self.config.train, self.network.trainable()
        metrics = self._metrics(first) if self.ranks.first else None
        checkpoints = checkpoint.Checkpoints(
            Path(self.config.output),
            self.ranks,
            decides(self.config, self.mixture) if self.ranks.first else {},
            rules.keep,
            first,
        )
        try:
            ended = run_steps(
                first,
                rules,
                self.loader,
                self._stepper(stop),
                checkpoints,
                lambda: checkpoint.training_state(parameters, self.optimizer),
                metrics,
                tell,
            )
        except CauldronError:
            # The line says to go on from the last one: it may be written and lack only its name.
            checkpoints.poll()
            raise
        checkpoints.close()
        if metrics is not None:
            metrics.close()
        return ended

    def _stepper(self, stop: StopRequest) -> Stepper:
        shape = ModelShape.of(self.network.model.config)
        settings = loader_settings(self.config, self.mixture, shape)
        return Stepper(
            self.network,
            self.optimizer,
            self.config.train,
            self.ranks,
            sorted(self.mixture.manifest.sources),
            settings.cost,
            lambda: stop.came,
        )

    def _metrics(self, first: int) -> Metrics:
        peak = None
        if self.ranks.device.type == "cuda":
            peak = peak_of(torch.cuda.get_device_name(self.ranks.device))
        return Metrics(self.config, first, peak and peak * self.ranks.world)


def _exported(config: TrainConfig, mixture: Mixture, say: Say) -> None:
    last = newest(Path(config.output))
    assert last is not None
    # The model below the adapters is loaded again, days after the run began perhaps.
    check_same(last.decides, decides(config, mixture), config.output)
    target, made = export_run(config, last)
    say(f"model: {target}" if made else f"done already: {target}")


def _explained(config: TrainConfig, error: BaseException) -> BaseException:
    if isinstance(error, torch.OutOfMemoryError):
        return CauldronError(_out_of_memory(config, error))
    return error


def _out_of_memory(config: TrainConfig, error: Exception) -> str:
    rules = config.train
    less = [f"--set sequence_length={rules.sequence_length // 2}"]
    if rules.recompute != "all":
        less.insert(0, "--set recompute=all")
    if rules.head_chunk > 256:
        less.append("--set head_chunk=256")
    said = str(error).split(". ")[0]
    return f"out of GPU memory ({said}); use more GPUs, or {', '.join(less)}"
