"""Worker processes: they die in one line, end with the trainer, and share memory safely."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from cauldron.training.data.shared_memory import SlotReader, SlotWriter

from cauldron.core.errors import CauldronError
from tests.training.data.conftest import take

_SCRIPT = """
import multiprocessing, os, signal, sys

def main():
    from cauldron.core.mixture import load_mixture
    from tests.training.data.conftest import LAYOUT, small_settings
    from cauldron.training.data.loader import PackLoader

    loader = PackLoader(load_mixture(sys.argv[1]), LAYOUT, small_settings(workers=2), 0, 1)
    next(iter(next(loader)))
    print(*[child.pid for child in multiprocessing.active_children()], flush=True)
    if sys.argv[2] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    main()
"""


def test_a_worker_that_dies_is_told_in_one_line(opened):
    loader = opened(workers=2)
    list(next(loader))
    victim = next(p for p in multiprocessing.active_children() if p.name == "loader-1")
    os.kill(victim.pid, signal.SIGKILL)
    with pytest.raises(CauldronError, match=r"loader worker 1 died \(exit code -9\)"):
        take(loader, 20)


def test_signals_to_the_whole_group_leave_workers_at_work(opened):
    loader = opened(workers=2)
    list(next(loader))
    for process in multiprocessing.active_children():
        os.kill(process.pid, signal.SIGTERM)
        os.kill(process.pid, signal.SIGINT)
    time.sleep(0.2)
    assert len(take(loader, 5)) == 5


def test_closing_leaves_no_process_and_packs_stay_valid(opened):
    before = set(multiprocessing.active_children())
    loader = opened(workers=2)
    (packs,) = take(loader, 1)
    copies = [pack.tiles.clone() for pack in packs]
    loader.close()
    loader.close()
    assert set(multiprocessing.active_children()) == before
    assert all(torch.equal(p.tiles, copy) for p, copy in zip(packs, copies, strict=True))


def test_a_loader_that_nobody_holds_stops_its_workers(mixture):
    from cauldron.training.data.loader import PackLoader

    from tests.training.data.conftest import LAYOUT, small_settings

    before = set(multiprocessing.active_children())
    loader = PackLoader(mixture, LAYOUT, small_settings(workers=1), 0, 1)
    list(next(loader))
    del loader
    gc.collect()
    assert set(multiprocessing.active_children()) == before


@pytest.mark.parametrize("how", ["killed", "ended"])
def test_workers_end_with_the_trainer(mixture, tmp_path, how):
    script = tmp_path / "run.py"
    script.write_text(_SCRIPT)
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, str(script), mixture.folder, how],
        env=os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == (-signal.SIGKILL if how == "killed" else 0), done.stderr
    workers = [int(pid) for pid in done.stdout.split()]
    assert len(workers) == 2
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < deadline, "a worker outlived its trainer"
        time.sleep(0.1)


def test_packs_that_are_held_are_not_written_over(opened):
    loader, plain = opened(workers=2), opened()
    held, expected = take(loader, 6), take(plain, 6)
    for step, other in zip(held, expected, strict=True):
        for pack, same in zip(step, other, strict=True):
            assert torch.equal(pack.tiles, same.tiles)


def test_slots_are_used_again_once_their_tensors_are_gone():
    ours, theirs = multiprocessing.Pipe()
    writer, reader = SlotWriter(2, 1000), SlotReader(2, 1000)

    def pass_on(value: int) -> tuple[int, torch.Tensor]:
        writer.allocate(3).fill_(value)
        use = writer.hand_over()
        writer.send(theirs, use)
        reader.receive(ours, use)
        return use.slot, reader.tiles(use, 3)

    first, tiles = pass_on(7)
    second, others = pass_on(8)
    assert first != second
    part = tiles[1:].permute(0, 3, 1, 2)
    del tiles
    assert reader.take_freed() == []
    assert (part == 7).all()
    assert (others == 8).all()
    del part
    assert reader.take_freed() == [first]
    writer.free([first])
    assert pass_on(9)[0] == first
    assert (others == 8).all()


def test_a_slot_that_was_not_handed_over_is_not_lost():
    writer = SlotWriter(2, 1000)
    writer.allocate(3)
    writer.allocate(1)
    assert writer.hand_over().slot == 0
