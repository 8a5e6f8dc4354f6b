"""An estimate of the memory of a GPU, said before a run: what stays for a whole step.

With w parameters, t of them trained, on a rank that holds 1/s of them:

* weights: 4 t / s + 2 (w - t) / s bytes (fp32 if trained, else bf16), and 2 w more for the bf16
  copy that one rank alone keeps while all of them train;
* gradients: 4 t / s; moments of Adam: 8 t / s;
* activations, in bf16, of a full pack of L tokens and its L / tokens-per-tile tiles: a layer that
  is recomputed keeps its input, h numbers a token; any other keeps 10 h + 2 m in the vision tower,
  and 4 h + 2 q + 2 kv + 4 m in the language model. To these the largest layer is added once, since
  one is recomputed at a time.

Transients (gathered layers, logits, kernels' workspace, fragmentation) come on top: 5 to 10 GiB.
"""

from __future__ import annotations

from dataclasses import dataclass

from cauldron.training.config import TrainRecipe
from cauldron.training.network.flops import ModelShape

_GIB = 2**30


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on a GPU by purpose."""

    weights: float
    gradients: float
    moments: float
    activations: float

    @property
    def total(self) -> float:
        return self.weights + self.gradients + self.moments + self.activations

    def __str__(self) -> str:
        parts = ("weights", "gradients", "moments", "activations")
        shown = ", ".join(f"{name} {getattr(self, name) / _GIB:.1f}" for name in parts)
        return f"memory: about {self.total / _GIB:.0f} GiB a GPU before transients ({shown})"


def estimate(
    shape: ModelShape, rules: TrainRecipe, parameters: int, trained: int, world: int
) -> Memory:
    """The memory of a run in bf16; see the module. Args: parameters: all, the trained included."""
    shards = rules.shard or world
    copy = 2 * parameters if shards == 1 and trained == parameters else 0
    return Memory(
        weights=(4 * trained + 2 * (parameters - trained)) / shards + copy,
        gradients=4 * trained / shards,
        moments=8 * trained / shards,
        activations=_activations(shape, rules),
    )


def _activations(shape: ModelShape, rules: TrainRecipe) -> float:
    seen, text = shape.vision, shape.language
    tokens = rules.sequence_length
    patches = tokens / shape.tokens_per_tile * seen.patches
    query, key = text.heads * text.head_dim, text.key_heads * text.head_dim
    vision = 2 * patches * (10 * seen.hidden + 2 * seen.intermediate)
    language = 2 * tokens * (4 * text.hidden + 2 * query + 2 * key + 4 * text.intermediate)
    # A frozen vision tower runs without gradients, and keeps nothing.
    layers = 0 if "vision" in rules.frozen else seen.layers
    kept_vision = vision if rules.recompute == "none" else 2 * patches * seen.hidden
    kept_language = 2 * tokens * text.hidden if rules.recompute == "all" else language
    again = {"none": 0.0, "vision": vision, "all": max(vision, language)}
    return layers * kept_vision + text.layers * kept_language + again[rules.recompute]
