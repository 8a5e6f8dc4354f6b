"""The configuration of a run: the recipe's ``training`` section for a stage, with its overrides.

Does not import torch, so mistakes in settings are reported at once.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from cauldron.core.errors import UsageError
from cauldron.core.names import did_you_mean
from cauldron.core.plain_yaml import parse_yaml
from cauldron.core.sections.rules import Strict, UpscaleChoice

Positive = Annotated[int, Field(gt=0)]


class ModelRules(Strict):
    """The model to train: a published checkpoint, or one composed of two.

    A hub id may end in ``@`` and a branch, tag or commit.

    Attributes:
        name: ``tiny`` (random, for a laptop), or hub id or folder of an Idefics3 or SmolVLM
            checkpoint. None: composed of `vision` and `language` with a fresh connector.
        vision: hub id or folder of a SigLIP vision model.
        language: hub id or folder of a Llama-family language model.
        tile: side of a tile in pixels, for a composed model.
        scale_factor: pixel shuffle; a tile becomes ``(tile / patch / scale_factor) ** 2`` tokens.
        init_seed: of all random initial weights.
    """

    name: str | None = None
    vision: str | None = None
    language: str | None = None
    tile: Positive = 364
    scale_factor: Positive = 2
    init_seed: int = 0

    @model_validator(mode="after")
    def _name_or_parts(self) -> ModelRules:
        parts = (self.vision, self.language)
        if (self.name is None) == (None in parts) or (self.name and any(parts)):
            raise ValueError("give a name, or vision and language")
        return self


class AdapterRules(Strict):
    """DoRA (or LoRA) adapters on frozen weights.

    The paper does not give these numbers; the defaults are those of the same lab's next model
    (SmolVLM-2B, tr_348 in huggingface/smollm).

    Attributes:
        rank: of the low-rank matrices.
        alpha: the adapter's output is scaled by alpha / rank.
        dropout: of the adapter's input.
        dora: train the norms of the weights too (DoRA); False: LoRA.
        targets: last parts of the names of the adapted linear layers.
    """

    rank: Positive = 64
    alpha: Annotated[float, Field(gt=0)] = 16.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    dora: bool = True
    targets: tuple[str, ...] = (
        "q_proj", "k_proj", "v_proj", "o_proj", "out_proj",
        "gate_proj", "up_proj", "down_proj", "fc1", "fc2",
    )  # fmt: skip


class EvalRules(Strict):
    """Scores on benchmarks while a stage trains.

    Attributes:
        every: steps between two evaluations; the last step is evaluated too.
        benchmarks: names as for `cauldron eval`.
        limit: the first items of each benchmark; None: all.
        root: where benchmarks are read from, a folder or ``gs://`` in hub layout; None: the hub.
        batch: questions that a rank asks at once.
    """

    every: Positive
    benchmarks: Annotated[tuple[str, ...], Field(min_length=1)]
    limit: Positive | None = None
    root: str | None = None
    batch: Positive = 8


class TrainRecipe(Strict):
    """How one stage trains.

    Attributes:
        model: the network to train.
        steps: optimizer steps.
        learning_rate: after the warm-up.
        schedule: ``constant`` keeps the learning rate, ``linear`` lowers it to zero at the last
            step.
        warmup_steps: steps in which the learning rate rises from zero.
        batch: packs in a step, over all ranks.
        sequence_length: most tokens in a pack; a longer row is left out.
        cut_documents: a pre-training document that is longer than a sequence is cut into several,
            before an image, or inside a text that alone is longer. Off, it is left out.
        longest_edge: of images, in pixels; a list of [first step, pixels] changes it during the
            stage.
        upscale: of small images, as in the recipe's stages; None: as the mixture was counted.
        frozen: parts that do not train: ``vision``, ``language``. The connector always trains.
        adapter: train adapters on frozen weights; None: train the weights themselves.
        neftune_alpha: noise on the input embeddings; None: no noise.
        weight_decay: not on biases and norms.
        betas: of AdamW.
        clip: largest norm of the gradient.
        seed: of the order of rows, dropout and noise.
        window: rows packed together; more rows fill packs better and take more memory.
        workers: processes of a rank that prepare packs; 0: the rank's own process does.
        max_bad_rows: more undecodable rows in a row end the run.
        checkpoint_every, keep: steps between checkpoints, and number of checkpoints to keep.
        precision: ``bf16``: on a GPU, computed in bf16 with fp32 master weights; ``fp32``: in fp32.
        shard: number of ranks that shard one copy of the weights. None: all (FSDP), the least
            memory; 1: each rank has a copy (as DDP); the GPUs of a node: weights are gathered
            inside the node, and only gradients cross the network (HSDP).
        recompute: activations recomputed in the backward pass: ``none``, ``vision``, ``all``.
            Saves memory and costs time: a model of 2B that trains whole takes about 75 GiB with
            ``vision``, too close to a card of 80 GB.
        compile: with ``torch.compile``.
        head_chunk: supervised positions whose logits exist at a time.
        export: ``merged``: adapters merged into the exported model; ``adapter``: a PEFT folder of
            the adapters and the connector, to load over the base model.
        any_tokenizer: train although another tokenizer counted the mixture's tokens.
        eval: scores on benchmarks during the stage; None: none.
        tensorboard: write curves for TensorBoard into the run's folder.
        wandb_project: report to this project of Weights & Biases; None: do not.
    """

    model: ModelRules = ModelRules(name="HuggingFaceM4/Idefics3-8B-Llama3")
    steps: Positive = 5000
    learning_rate: Annotated[float, Field(gt=0)] = 5e-5
    schedule: Literal["constant", "linear"] = "linear"
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    batch: Positive = 1024
    sequence_length: Positive = 10_240
    cut_documents: bool = False
    longest_edge: Positive | tuple[tuple[int, Positive], ...] = 1820
    upscale: UpscaleChoice | None = None
    frozen: tuple[Literal["vision", "language"], ...] = ()
    adapter: AdapterRules | None = None
    neftune_alpha: Annotated[float, Field(gt=0)] | None = None
    weight_decay: Annotated[float, Field(ge=0)] = 0.1
    betas: tuple[float, float] = (0.9, 0.999)
    clip: Annotated[float, Field(gt=0)] = 1.0
    seed: int = 0
    window: Positive = 1024
    workers: Annotated[int, Field(ge=0)] = 2
    max_bad_rows: Positive = 100
    checkpoint_every: Positive = 250
    keep: Positive = 3
    precision: Literal["bf16", "fp32"] = "bf16"
    shard: Positive | None = None
    recompute: Literal["none", "vision", "all"] = "all"
    compile: bool = False
    head_chunk: Positive = 1024
    export: Literal["merged", "adapter"] = "merged"
    any_tokenizer: bool = False
    eval: EvalRules | None = None
    tensorboard: bool = True
    wandb_project: str | None = None

    @field_validator("longest_edge", mode="after")
    @classmethod
    def _starts_at_step_0(cls, value: Any) -> Any:
        if isinstance(value, tuple):
            steps = [step for step, _ in value]
            if not steps or steps[0] != 0 or steps != sorted(set(steps)):
                raise ValueError("longest_edge must start at step 0, with steps in ascending order")
        return value

    def learning_rate_at(self, step: int) -> float:
        """Rises during the warm-up, then stays constant or falls to zero at `steps`."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        if self.schedule == "constant":
            return self.learning_rate
        left = (self.steps - step) / max(1, self.steps - self.warmup_steps)
        return self.learning_rate * max(0.0, left)

    def longest_edge_at(self, step: int) -> int:
        """The longest edge at a step, in pixels."""
        if isinstance(self.longest_edge, int):
            return self.longest_edge
        return [pixels for first, pixels in self.longest_edge if first <= step][-1]


class TrainConfig(Strict):
    """One run: its input, its output, and its rules.

    Attributes:
        mixture: folder of a finished mixture, local or ``gs://``.
        output: the run's folder.
        exclude, only: sources whose turns are not used, or alone are used.
    """

    stage: str
    mixture: str
    output: str
    exclude: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    train: TrainRecipe

    def per_rank(self, world: int) -> int:
        """Packs of a step for each rank. Raises UsageError when they do not divide evenly."""
        shard = self.train.shard
        if shard is not None and world % shard:
            raise UsageError(
                f"{world} ranks do not divide into groups of {shard}; "
                "give --set shard=N that divides them, or null for all"
            )
        if self.train.batch % world:
            raise UsageError(
                f"a batch of {self.train.batch} sequences does not divide by {world} ranks; "
                f"use another number of GPUs or --set batch={-(-self.train.batch // world) * world}"
            )
        return self.train.batch // world


def stage_rules(section: dict[str, Any], stage: str, changes: tuple[str, ...]) -> TrainRecipe:
    """The rules of a stage from a recipe's ``training`` section.

    Args:
        changes: ``field=value``, the value in YAML; ``adapter.rank=8`` sets a nested field.

    Raises:
        UsageError: unknown stage, field or value.
    """
    if stage not in section:
        known = ", ".join(section) or "none"
        raise UsageError(f"the recipe does not say how to train {stage!r}; it has: {known}")
    values = dict(section[stage])
    for change in changes:
        path, found, text = change.partition("=")
        if not found:
            raise UsageError(f"--set {change}: give FIELD=VALUE")
        try:
            value = parse_yaml(text)
        except ValueError as error:
            raise UsageError(f"--set {change}: the value {error}") from None
        _put(values, path.split("."), value, change)
    try:
        return TrainRecipe.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        message = first["msg"]
        if first["type"] == "extra_forbidden":
            message = "no such field" + did_you_mean(place, TrainRecipe.model_fields)
        raise UsageError(f"training.{stage}.{place}: {message}") from None


def _put(values: dict[str, Any], path: list[str], value: Any, change: str) -> None:
    for name in path[:-1]:
        inner = values.get(name) or {}
        if not isinstance(inner, dict):
            raise UsageError(f"--set {change}: {name} has no fields")
        values[name] = dict(inner)
        values = values[name]
    values[path[-1]] = value
