"""The GPU benchmark runs where there is no GPU."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from benchmarks.made_up import SIZES, Words, conversations, packs, random_model  # noqa: E402
from benchmarks.train import (  # noqa: E402
    TRAINER,
    rules,
    trainer_steps,
    what_went_wrong,
    with_dora,
)


@pytest.mark.slow
def test_the_benchmark_prints_a_row_for_each_variant(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "benchmarks" / "train.py"
    rows = tmp_path / "rows.json"
    command = [sys.executable, str(script), "--tiny", "--steps", "3", "--json", str(rows)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.count("| tiny |") == 5
    assert all(row["tokens_per_second"] > 0 for row in json.loads(rows.read_text()))


def test_both_sides_train_on_the_same_conversations() -> None:
    """But for a few at the end, fewer than steps."""
    size, steps = SIZES["tiny"], 6
    packed = [chat.seed for step in range(steps) for chats in conversations(size, step)
              for chat in chats]  # fmt: skip
    for variant in TRAINER:
        batches = trainer_steps(size, variant, steps)
        assert len({len(step) for step in batches}) == 1
        seen = [chat.seed for step in batches for batch in step for chat in batch]
        assert len(set(seen)) == len(seen)
        assert set(seen) <= set(packed)
        assert len(packed) - len(seen) < steps


def test_no_two_steps_are_alike() -> None:
    size = SIZES["tiny"]
    ends = [tuple(tuple(pack.boundaries.tolist()) for pack in packs(size, n)) for n in range(5)]
    assert len(set(ends)) == 5
    assert all(len(step) == size.packs for step in ends)


def test_adapters_train_the_same_parts_on_both_sides() -> None:
    """PEFT names them otherwise, so they are counted, by part."""
    from cauldron.training.model import LoadedModel
    from cauldron.training.network import adapt

    size = dataclasses.replace(SIZES["tiny"], dora=True)
    loaded = LoadedModel(random_model(size, torch.float32), Words(size), 56, 4)
    adapt(loaded, rules(size, "all"))
    theirs = with_dora(random_model(size, torch.float32), size)
    assert trained(loaded.model) == trained(theirs)


def trained(model: Any) -> dict[str, int]:
    found: Counter[str] = Counter()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            part = next((p for p in ("connector", "lora_") if p in name), "rows of new tokens")
            found[part] += parameter.numel()
    return dict(found)


def test_the_line_that_says_what_went_wrong_is_shown() -> None:
    said = (
        "Traceback (most recent call last):\n"
        '  File "x.py", line 3, in <module>\n'
        "[rank0]: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB\n"
        "[rank0]:[W1127] Warning: destroy_process_group() was not called\n"
    )
    assert what_went_wrong(said).startswith("torch.OutOfMemoryError: CUDA out of memory")
