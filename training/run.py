"""A run from start to end: join the ranks, build the network, load a checkpoint, train, export."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from cauldron.training import checkpoint, failure
from cauldron.training.checkpoint import Checkpoint, CheckpointWriter, checkpoint_at
from cauldron.training.config import TrainConfig, TrainRecipe
from cauldron.training.data.loader import PackLoader
from cauldron.training.data.settings import loader_settings, upscale_of_run
from cauldron.training.data.tokenization import TokenLayout
from cauldron.training.disk import FULL, not_written
from cauldron.training.export import export_run
from cauldron.training.generation import engine_of_network
from cauldron.training.lineage import write_lineage
from cauldron.training.metrics import Metrics, peak_of
from cauldron.training.network.build import (
    Network,
    base_dtype,
    load_adapted,
    make_network,
    make_optimizer,
)
from cauldron.training.network.flops import ModelShape
from cauldron.training.network.load import LoadedModel
from cauldron.training.network.memory import Memory, estimate
from cauldron.training.network.parallel import Ranks
from cauldron.training.resume import check_match, fields_to_match
from cauldron.training.step import Stepper, Stopped
from torch.distributed.distributed_c10d import _get_default_store

from cauldron.core import storage
from cauldron.core.errors import CauldronError, UsageError
from cauldron.core.generation import Evaluation, Share
from cauldron.core.output.mixture import Mixture
from cauldron.core.output.runs import CONFIG, lineage_of

Say = Callable[[str], None]
StopRequested = Callable[[], bool]
# A node may not see a new file of another node for this long (NFS: up to a minute).
_DISK_SECONDS = 60.0


def train(
    config: TrainConfig,
    mixture: Mixture,
    stop_requested: StopRequested,
    say: Say,
    evaluation: Evaluation | None = None,
    saved_one: Callable[[], None] = lambda: None,
) -> None:
    """Run to the end, or until a stop is requested. Raises CauldronError for a user's mistake.

    Args:
        saved_one: called by the first rank after each checkpoint.

    With several ranks it does not raise: it prints the error and ends the process (see
    `cauldron.training.failure`).
    """
    # Pillow logs every chunk of every image.
    logging.getLogger("PIL").setLevel(logging.INFO)
    ranks = Ranks.join()
    try:
        saved = _find_checkpoint(config, ranks)
        if ranks.first:
            write_lineage(config, mixture, resumes=saved is not None)
        ended = _train(config, mixture, saved, ranks, stop_requested, say, evaluation, saved_one)
        if ended and ranks.first:
            _export(config, mixture, say)
    except BaseException as error:
        shown = _explained(config, error)
        if ranks.world > 1:
            failure.end(shown, ranks.rank, ranks.world, _get_default_store(), say)
        ranks.leave()
        if shown is error:
            raise
        raise shown from None
    ranks.leave()


def _find_checkpoint(config: TrainConfig, ranks: Ranks) -> Checkpoint | None:
    """The checkpoint to resume, the same on all ranks. Incomplete ones are deleted.

    Raises UsageError, on all ranks, when a rank does not see the files of the first rank.
    """
    run, saved = Path(config.output), None
    if ranks.first:
        checkpoint.remove_incomplete(run)
        run.mkdir(parents=True, exist_ok=True)
        storage.write_json(str(run / CONFIG), config.model_dump(mode="json"))
        saved = checkpoint.newest_checkpoint(run)
    # The first rank decides: another node may see other files.
    step = int(ranks.total(torch.tensor([saved.step if saved else 0])))
    if not ranks.first:
        saved = _wait_for_checkpoint(run, step)
    if ranks.any(not ranks.first and (bool(step) != bool(saved) or not (run / CONFIG).exists())):
        what = f"its checkpoint of step {step}" if step else f"its {CONFIG}"
        raise UsageError(
            f"{run} must be on a disk that all nodes share: not every rank sees {what}; "
            "give --output"
        )
    return saved


def _wait_for_checkpoint(run: Path, step: int) -> Checkpoint | None:
    """The first rank's checkpoint. A network disk may show new files with a delay."""
    end = time.monotonic() + _DISK_SECONDS
    while True:
        saved = checkpoint_at(run, step) if step else None
        if ((run / CONFIG).exists() and (saved or not step)) or time.monotonic() > end:
            return saved
        time.sleep(0.2)


def _train(
    config: TrainConfig,
    mixture: Mixture,
    saved: Checkpoint | None,
    ranks: Ranks,
    stop_requested: StopRequested,
    say: Say,
    evaluation: Evaluation | None,
    saved_one: Callable[[], None],
) -> bool:
    """Whether the run was trained to its end."""
    if saved is not None and saved.step >= config.train.steps:
        return True
    say = say if ranks.first else (lambda line: None)
    loaded = load_adapted(config.train, base_dtype(config.train, ranks.device))
    # Before anything goes to the GPU, so that mistakes are reported early.
    with _make_loader(config, mixture, loaded, ranks, saved) as loader:
        network = make_network(loaded, config.train, ranks)
        optimizer = make_optimizer(network, config.train, ranks.device)
        if saved is not None:
            checkpoint.load(saved, network.trainable(), optimizer, ranks)
            say(f"resuming from step {saved.step}, {saved.folder}")
        say(_summary(config, mixture, network, ranks))
        if ranks.device.type == "cuda":
            say(str(_memory(config, network, ranks)))
        run = _Run(config, mixture, ranks, network, optimizer, loader, evaluation, saved_one)
        ended = run.steps(saved.step if saved else 0, stop_requested, say)
        _report_end(ended, loader, say)
    return ended


def _make_loader(
    config: TrainConfig,
    mixture: Mixture,
    loaded: LoadedModel,
    ranks: Ranks,
    saved: Checkpoint | None,
) -> PackLoader:
    tokens = TokenLayout(loaded.tokenizer, loaded.tile, loaded.tile_tokens)
    settings = loader_settings(config, mixture, ModelShape.of(loaded.model.config))
    position = saved.position if saved else None
    return PackLoader(mixture, tokens, settings, ranks.rank, ranks.world, position)


def _summary(config: TrainConfig, mixture: Mixture, network: Network, ranks: Ranks) -> str:
    rules = config.train
    trainable = sum(p.numel() for p in network.trainable().values())
    total = sum(p.numel() for p in network.parameters())
    noun = "rank" if ranks.world == 1 else "ranks"
    return (
        f"{config.stage}: {mixture.manifest.totals.rows:,} rows of {mixture.folder}; "
        f"{trainable / 1e6:,.2f} of {total / 1e6:,.2f} M parameters train; {ranks.world} {noun} on "
        f"{ranks.device.type}; {rules.batch} sequences of {rules.sequence_length:,} tokens a step"
    )


def _memory(config: TrainConfig, network: Network, ranks: Ranks) -> Memory:
    # FSDP's parameters count whole, wherever their shards are.
    trained = sum(p.numel() for p in network.trainable().values())
    total = sum(p.numel() for p in network.parameters())
    shape = ModelShape.of(network.model.config)
    return estimate(shape, config.train, total, trained, ranks.world)


def _report_end(ended: bool, loader: PackLoader, say: Say) -> None:
    long, bad = sum(loader.too_long.values()), sum(loader.bad_rows.values())
    if long or bad:
        say(f"rows skipped: {long} longer than a sequence, {bad} that could not be read")
    if not ended:
        say("stopped by SIGTERM; the same command resumes from here")


@dataclass(frozen=True)
class _Run:
    """The objects that the steps of a run need."""

    config: TrainConfig
    mixture: Mixture
    ranks: Ranks
    network: Network
    optimizer: torch.optim.AdamW
    loader: PackLoader
    evaluation: Evaluation | None
    saved_one: Callable[[], None]

    def steps(self, first: int, stop_requested: StopRequested, say: Say) -> bool:
        """Train from a step on; whether all steps were done."""
        rules, parameters = self.config.train, self.network.trainable()
        metrics = self._metrics(first) if self.ranks.first else None
        checkpoints = CheckpointWriter(
            Path(self.config.output),
            self.ranks,
            fields_to_match(self.config, self.mixture) if self.ranks.first else {},
            rules.keep,
            first,
            self.saved_one,
        )
        try:
            ended = run_steps(
                first,
                rules,
                self.loader,
                self._stepper(stop_requested),
                checkpoints,
                lambda: checkpoint.training_state(parameters, self.optimizer),
                metrics,
                say,
                lambda done: self._scores(done, stop_requested),
            )
        except CauldronError:
            # The message says to resume the last checkpoint, which may only lack its final name.
            checkpoints.poll()
            raise
        except OSError:
            # The disk is full, or gone: the checkpoint is completed or deleted.
            checkpoints.finish()
            raise
        checkpoints.close()
        if metrics is not None:
            metrics.close()
        return ended

    def _scores(self, done: int, stop_requested: StopRequested) -> dict[str, float]:
        """The scores after a step, {} if it is none to evaluate after, or a stop was requested."""
        rules, last = self.config.train.eval, self.config.train.steps
        if self.evaluation is None or rules is None or (done % rules.every and done != last):
            return {}
        upscale = upscale_of_run(self.config, self.mixture)
        engine = engine_of_network(self.config, self.network, upscale, self.ranks.device)
        share = Share(self.ranks.rank, self.ranks.world, self.ranks.gather, stop_requested)
        found = self.evaluation(engine, share)
        del engine
        torch.cuda.empty_cache()  # training needs the room again
        return {} if self.ranks.any(stop_requested()) else found

    def _stepper(self, stop_requested: StopRequested) -> Stepper:
        shape = ModelShape.of(self.network.model.config)
        return Stepper(
            self.network,
            self.optimizer,
            self.config.train,
            self.ranks,
            sorted(self.mixture.manifest.sources),
            loader_settings(self.config, self.mixture, shape).cost,
            stop_requested,
        )

    def _metrics(self, first: int) -> Metrics:
        peak = None
        if self.ranks.device.type == "cuda":
            peak = peak_of(torch.cuda.get_device_name(self.ranks.device))
        return Metrics(self.config, first, peak and peak * self.ranks.world)


def run_steps(
    first: int,
    rules: TrainRecipe,
    loader: PackLoader,
    stepper: Stepper,
    checkpoints: CheckpointWriter,
    state: Callable[[], dict[str, Any]],
    metrics: Metrics | None,
    say: Say,
    scores: Callable[[int], dict[str, float]] = lambda done: {},
) -> bool:
    """Train from a step on. Returns whether all steps were done, or False if a stop was requested.

    In both cases a checkpoint of the last finished step is on disk on return.

    Args:
        state: the tensors that a checkpoint holds, not copied.
        metrics: of the first rank.
        scores: of an evaluation after so many steps; {} if there is none.
    """
    for number in range(first, rules.steps):
        position = loader.state()
        start = time.perf_counter()
        try:
            result = stepper.step(number, next(loader))
        except Stopped:
            # The step is repeated after resuming: a batch of 1,024 may take longer than the
            # seconds that a scheduler grants.
            if number:
                checkpoints.save(number, position, state())
            checkpoints.finish()
            return False
        seconds = time.perf_counter() - start
        found = scores(number + 1)
        if metrics is not None:
            skipped = sum(loader.bad_rows.values())
            say(metrics.step(number, result, seconds, skipped, found))
        checkpoints.poll()
        done = number + 1
        if done % rules.checkpoint_every == 0 or done == rules.steps:
            checkpoints.save(done, loader.state(), state())
    checkpoints.finish()
    return True


def _export(config: TrainConfig, mixture: Mixture, say: Say) -> None:
    last = checkpoint.newest_checkpoint(Path(config.output))
    assert last is not None
    # The base weights are loaded again and may have changed since the run began.
    check_match(last.must_match, fields_to_match(config, mixture), config.output)
    lineage = lineage_of(config.output)
    assert lineage is not None
    target, made = export_run(config, last, upscale_of_run(config, mixture), lineage)
    say(f"model: {target}" if made else f"done already: {target}")


def _explained(config: TrainConfig, error: BaseException) -> BaseException:
    """The error, or for a lack of room one that says which path or settings to change."""
    if isinstance(error, OSError) and error.errno in FULL:
        return not_written(Path(error.filename or config.output), error.strerror or str(error))
    if not isinstance(error, torch.OutOfMemoryError):
        return error
    rules = config.train
    less = [f"--set sequence_length={rules.sequence_length // 2}"]
    if rules.recompute != "all":
        less.insert(0, "--set recompute=all")
    if rules.head_chunk > 256:
        less.append("--set head_chunk=256")
    reason = str(error).split(". ")[0]
    return CauldronError(f"out of GPU memory ({reason}); use more GPUs, or {', '.join(less)}")
