"""What ``cauldron train`` does before and around a run; mistakes are told before torch is there."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from cauldron.training.config import TrainConfig
from cauldron.training.identity import check_same, decides
from cauldron.training.options import TrainOptions, resolve
from cauldron.training.saved import newest
from cauldron.training.signals import StopRequest

from cauldron.core.errors import CauldronError, UsageError
from cauldron.core.manifests import Tokenizer
from cauldron.core.mixture import Mixture, load_mixture
from cauldron.core.tokenizer import digest, open_tokenizer

Say = Callable[[str], None]
_EXTRA = "training needs torch, transformers and peft: pip install 'cauldron-vlm[train]'"


def train(options: TrainOptions, say: Say) -> int:
    """Train, or go on training; the exit code. SIGTERM saves a checkpoint and gives 0."""
    stop = StopRequest()
    stop.listen()
    with _told_by_one():
        config = resolve(options)
        mixture = load_mixture(config.mixture)
        check(config, mixture)
    from cauldron.training import run

    run.train(config, mixture, stop, say)
    return 0


@contextmanager
def _told_by_one() -> Iterator[None]:
    """Ranks find the same mistake: the first of each node says so, the others end like it."""
    try:
        yield
    except CauldronError as error:
        if os.environ.get("LOCAL_RANK", "0") != "0":
            sys.exit(error.exit_code)
        raise


def check(config: TrainConfig, mixture: Mixture) -> None:
    """Raises UsageError for what does not go together."""
    config.per_rank(int(os.environ.get("WORLD_SIZE", "1")))
    names = mixture.manifest.sources
    unknown = [name for name in (*config.only, *config.exclude) if name not in names]
    if unknown:
        known = ", ".join(sorted(names))
        raise UsageError(f"{mixture.folder} has no source {unknown[0]!r}; it has: {known}")
    _check_tokenizer(config, mixture)
    saved = newest(Path(config.output))
    if saved is not None:
        check_same(saved.decides, decides(config, mixture), config.output)
    _check_packages(config)


def _check_packages(config: TrainConfig) -> None:
    try:
        for name in ("torch", "transformers", "peft"):
            importlib.import_module(name)
    except ImportError as error:
        raise UsageError(f"{_EXTRA} ({error})") from None
    if config.train.wandb_project is not None and importlib.util.find_spec("wandb") is None:
        raise UsageError("wandb_project is set and wandb is not installed: pip install wandb")


def _check_tokenizer(config: TrainConfig, mixture: Mixture) -> None:
    """The shares of a mixture are shares of tokens as its tokenizer counts them."""
    counted, model = mixture.manifest.tokenizer, config.train.model
    if counted.estimated or config.train.any_tokenizer or model.name == "tiny":
        return
    mine = model.name or model.language or ""
    if not _same_tokenizer(counted, mine):
        raise UsageError(
            f"the mixture's tokens were counted by {counted.name}, and the tokenizer of the model, "
            f"{mine}, cuts text otherwise: build it with `tokenizer: {mine}`, or give "
            "--set any_tokenizer=true"
        )


def _same_tokenizer(counted: Tokenizer, mine: str) -> bool:
    if counted.digest is None:  # an older manifest: it has the name alone
        return counted.name in (mine, f"{mine.rstrip('/')}/tokenizer.json")
    try:
        return digest(open_tokenizer(mine)) == counted.digest
    except UsageError:
        # That there is no such model, or no network, is told when it is loaded.
        return True


def shown(config: TrainConfig) -> str:
    """The configuration as YAML."""
    text: str = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    return text


def plot(run: str) -> str:
    """Draw the curves of a run; the picture's path."""
    try:
        from cauldron.training.plot import plot as draw
    except ImportError as error:
        raise UsageError(f"{_EXTRA} ({error})") from None
    return draw(run)
