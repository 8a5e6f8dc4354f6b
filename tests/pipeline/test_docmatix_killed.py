"""A run of `cauldron docmatix` that is killed three times and goes on."""

from __future__ import annotations

import itertools
import subprocess
import time
from pathlib import Path

import pytest

from benchmarks.docmatix import command, digests, killed, stored
from cauldron.sample.model_server import Behaviour, ModelServer
from cauldron.sample.pdfs import made_pdfs, write_pdfs

IN_FLIGHT = 4


@pytest.mark.slow
def test_killed_runs_end_in_the_bytes_of_an_undisturbed_one(tmp_path: Path) -> None:
    pdfs, output = tmp_path / "pdfs", tmp_path / "killed"
    write_pdfs(pdfs, made_pdfs(40))
    sent, kept = [0], [0]
    with ModelServer(Behaviour(delay=0.2)) as server:
        arguments = [*command(pdfs, output, server.url), "--concurrency", str(IN_FLIGHT)]
        for ready in (
            lambda: len(server.answered) >= 5,
            lambda: len(server.answered) >= 15,
            lambda: bool(list((output / "images").glob(".tmp-*"))),
        ):
            assert killed(arguments, ready)
            time.sleep(0.5)  # the server ends the answers that nobody waits for
            sent.append(len(server.asked))
            kept.append(stored(output))
        assert not (output / "manifest.json").exists()
        subprocess.run(arguments, check=True)
        sent.append(len(server.asked))
        kept.append(stored(output))
        whole = tmp_path / "whole"
        subprocess.run(command(pdfs, whole, server.url), check=True)
    assert digests(output) == digests(whole)
    # What a run sends it keeps, but for what was in flight when it was killed.
    lost = [
        (later - earlier) - (after - before)
        for (earlier, later), (before, after) in zip(
            itertools.pairwise(sent), itertools.pairwise(kept), strict=True
        )
    ]
    assert all(0 <= number <= IN_FLIGHT for number in lost[:2])
    assert lost[2:] == [0, 0]
