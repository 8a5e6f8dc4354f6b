"""``cauldron train`` up to the first import of torch: options, configuration, checks.

Mistakes are reported before torch is imported, which takes seconds.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from cauldron.training.config import EvalRules, TrainConfig, stage_rules
from cauldron.training.data.settings import check_sources
from cauldron.training.remote import MARKS, to_resume
from cauldron.training.resume import check_match, fields_to_match

from cauldron.core import storage
from cauldron.core.errors import CauldronError, UsageError
from cauldron.core.generation import Evaluation
from cauldron.core.output.manifests import Tokenizer
from cauldron.core.output.mixture import Mixture, find_mixture, load_mixture
from cauldron.core.stores.mirror import Mirror, fetched, working_folder
from cauldron.core.tokenizer import MISTRAL_7B, digest, open_tokenizer

OUTPUT = "./cauldron-out"

Say = Callable[[str], None]
Rules = dict[str, dict[str, Any]]
# Makes the evaluation of a recipe's rules; the trainer knows no benchmark.
MakeEvaluation = Callable[[EvalRules], Evaluation]

# What `--model tiny` changes in a stage, so that it runs on a laptop in under a minute and learns
# something. No adapters: on random weights they would learn nothing.
TINY: dict[str, Any] = {
    "adapter": None,
    "frozen": [],
    "warmup_steps": 0,
    "steps": 20,
    "batch": 4,
    "sequence_length": 2048,
    "learning_rate": 5e-3,
    "workers": 0,
    "window": 64,
    "recompute": "none",
    "checkpoint_every": 10,
}
TINY_TILE = 56
_EXTRA = "training needs torch, transformers and peft: pip install 'cauldron-vlm[train]'"


@dataclass(frozen=True)
class TrainOptions:
    """The command line's options; None and empty: the recipe's value or the default.

    Attributes:
        rules: the ``training`` section of `--recipe`; None: of the mixture's own recipe.
        packaged: the same of the packaged recipe, for a missing mixture.
        mixture: its folder; None: the only mixture of the stage in the default output.
        changes: ``field=value`` of `--set`.
    """

    stage: str
    rules: Rules | None = None
    packaged: Rules = field(default_factory=dict)
    mixture: str | None = None
    output: str | None = None
    model: str | None = None
    steps: int | None = None
    changes: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    only: tuple[str, ...] = ()


def train(options: TrainOptions, say: Say, make_evaluation: MakeEvaluation) -> int:
    """Train, or resume training. Returns the exit code: 0 also after SIGTERM, with a checkpoint."""
    stop_requested = _listen_for_sigterm()
    with _reported_once():
        found = _find_mixture(options)
        config = configure(options, found)
        mixture = found or _open_mixture(options)
        rules = config.train.eval
        evaluation = None if rules is None else make_evaluation(rules)
        with _on_disk(config) as (local, mirror):
            check(local, mixture)
            from cauldron.training import run

            if mirror is None:
                run.train(local, mixture, stop_requested, say, evaluation)
            else:
                shown = mirror.shown
                run.train(
                    local,
                    mixture,
                    stop_requested,
                    lambda line: say(shown(line)),
                    evaluation,
                    mirror.send_later,
                )
    return 0


@contextmanager
def _on_disk(config: TrainConfig) -> Iterator[tuple[TrainConfig, Mirror | None]]:
    """The configuration with a folder of this machine; a run in a store has a copy there."""
    if storage.is_local(config.output):
        yield config, None
        return
    with working_folder(config.output, MARKS, to_resume) as mirror:
        yield config.model_copy(update={"output": str(mirror.folder)}), mirror


def _listen_for_sigterm() -> Callable[[], bool]:
    """Whether SIGTERM came, by which a scheduler asks the run to save itself and end.

    Called before torch is imported, which takes 4 s or more: SIGTERM would end the process.
    """
    received: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    return lambda: bool(received)


@contextmanager
def _reported_once() -> Iterator[None]:
    """All ranks find the same mistake: the first rank of each node reports it, the others exit."""
    try:
        yield
    except CauldronError as error:
        if os.environ.get("LOCAL_RANK", "0") != "0":
            sys.exit(error.exit_code)
        raise


def resolve(options: TrainOptions) -> TrainConfig:
    """The run's configuration. Raises UsageError for an unknown stage, field or value."""
    return configure(options, _find_mixture(options))


def _open_mixture(options: TrainOptions) -> Mixture:
    return load_mixture(options.mixture or find_mixture(OUTPUT, options.stage))


def _find_mixture(options: TrainOptions) -> Mixture | None:
    """The mixture, if it is there: `--print-config` does not need it.

    Raises:
        UsageError: several recipes have one.
    """
    try:
        return _open_mixture(options)
    except UsageError:
        raise
    except CauldronError:
        return None


def configure(options: TrainOptions, mixture: Mixture | None) -> TrainConfig:
    """The run's configuration. Raises UsageError for an unknown stage, field or value."""
    rules = options.rules
    if rules is None:
        rules = (mixture and mixture.manifest.recipe.get("training")) or options.packaged
    section = {name: dict(values) for name, values in rules.items()}
    if options.stage in section:
        values = section[options.stage]
        if options.model is not None:
            values["model"] = {"name": options.model}
        if _is_tiny(values, options.changes):
            steps = options.steps or TINY["steps"]
            values |= TINY | {"steps": steps, "longest_edge": _tiny_edge(values, steps)}
        elif options.steps is not None:
            values["steps"] = options.steps
    train = stage_rules(section, options.stage, options.changes)
    output = options.output or storage.join(OUTPUT, "runs", options.stage)
    folder = options.mixture or storage.join(OUTPUT, "mixtures", "*", options.stage)
    if mixture is not None:
        folder = mixture.folder
    return TrainConfig(
        stage=options.stage,
        mixture=folder,
        output=str(Path(output)) if storage.is_local(output) else output,
        exclude=options.exclude,
        only=options.only,
        train=train,
    )


def _is_tiny(values: dict[str, Any], changes: tuple[str, ...]) -> bool:
    """Whether the model is the tiny one, or what a stage made of it."""
    name = (values.get("model") or {}).get("name") or ""
    if name == "tiny" or "model.name=tiny" in changes:
        return True
    config = storage.join(name, "config.json")
    # A hub id is no folder; every published model has larger tiles.
    if not name or not storage.exists(config):
        return False
    try:
        side = storage.read_json(config)["vision_config"]["image_size"]
    except (ValueError, KeyError, TypeError):
        return False  # what is wrong with the model is told when it is loaded
    return bool(side == TINY_TILE)


def _tiny_edge(values: dict[str, Any], steps: int) -> Any:
    """The longest edge that gives as many tiny tiles as a large model has; of a list, at the same
    parts of the run."""
    edge = values.get("longest_edge", 1820)
    if isinstance(edge, int):
        return -(-edge * TINY_TILE // 364)
    whole = values.get("steps", 5000)
    # With few steps, several edges begin at one of them: the last holds.
    first = {start * steps // whole: -(-pixels * TINY_TILE // 364) for start, pixels in edge}
    return [[start, pixels] for start, pixels in first.items()]


def check(config: TrainConfig, mixture: Mixture) -> None:
    """Raises UsageError for settings that contradict each other, the mixture or a checkpoint."""
    config.per_rank(int(os.environ.get("WORLD_SIZE", "1")))
    check_sources(mixture, (*config.only, *config.exclude))
    _check_tokenizer(config, mixture)
    _check_packages(config)
    # Imports torch.
    from cauldron.training.checkpoint import newest_checkpoint

    saved = newest_checkpoint(Path(config.output))
    if saved is not None:
        check_match(saved.must_match, fields_to_match(config, mixture), config.output)


def _check_packages(config: TrainConfig) -> None:
    try:
        for name in ("torch", "transformers", "peft"):
            importlib.import_module(name)
    except ImportError as error:
        raise UsageError(f"{_EXTRA} ({error})") from None
    if config.train.wandb_project is not None and importlib.util.find_spec("wandb") is None:
        raise UsageError("wandb_project is set and wandb is not installed: pip install wandb")


def _check_tokenizer(config: TrainConfig, mixture: Mixture) -> None:
    """A mixture's shares are shares of tokens, so they hold for the tokenizer that counted them.

    The published shares are an exception: the authors counted with Mistral-7B's tokenizer and
    trained Llama. Only shares depend on these counts. Training encodes the text with the model's
    own tokenizer and reads no count of the mixture.
    """
    counted, model = mixture.manifest.tokenizer, config.train.model
    if counted.estimated or counted.name == MISTRAL_7B:
        return
    if config.train.any_tokenizer or model.name == "tiny":
        return
    mine = model.name or model.language or ""
    if not _same_tokenizer(counted, mine):
        raise UsageError(
            f"the mixture's tokens were counted by {counted.name}, and the tokenizer of the model, "
            f"{mine}, cuts text otherwise: build it with `tokenizer: {mine}`, or give "
            "--set any_tokenizer=true"
        )


def _same_tokenizer(counted: Tokenizer, mine: str) -> bool:
    if counted.digest is None:  # an older manifest: it has the name only
        return counted.name in (mine, f"{mine.rstrip('/')}/tokenizer.json")
    try:
        return digest(open_tokenizer(mine)) == counted.digest
    except UsageError:
        # A missing model, or a missing network, is reported when the model is loaded.
        return True


def shown(config: TrainConfig) -> str:
    """The configuration as YAML."""
    text: str = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    return text


def plot(run: str) -> str:
    """Draw the curves of a run. Returns the picture's path."""
    try:
        from cauldron.training.metrics import METRICS
        from cauldron.training.metrics import plot as draw
    except ImportError as error:
        raise UsageError(f"{_EXTRA} ({error})") from None
    if storage.is_local(run):
        return draw(run)
    with fetched(run, lambda names: [name for name in names if name == METRICS]) as folder:
        if not (folder / METRICS).exists():
            raise UsageError(f"{run} has no {METRICS}; give the folder of a run")
        picture = Path(draw(str(folder)))
        target = storage.join(run, picture.name)
        storage.write_bytes(target, picture.read_bytes())
    return target
