"""A run of `cauldron docmatix` that is killed three times and goes on."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from benchmarks.docmatix import command, digests, kept_questions, killed
from cauldron.sample.model_server import Behaviour, ModelServer
from cauldron.sample.pdfs import made_pdfs, write_pdfs

IN_FLIGHT = 4


@pytest.mark.slow
def test_killed_runs_end_in_the_bytes_of_an_undisturbed_one(tmp_path: Path) -> None:
    pdfs, output = tmp_path / "pdfs", tmp_path / "killed"
    write_pdfs(pdfs, made_pdfs(40))
    kept: set[str] = set()
    with ModelServer(Behaviour(delay=0.2)) as server:
        arguments = [*command(pdfs, output, server.url), "--concurrency", str(IN_FLIGHT)]
        for ready in (
            lambda: len(server.answered) >= 5,
            lambda: len(server.answered) >= 15,
            lambda: bool(list((output / "images").glob(".tmp-*"))),
            None,
        ):
            before = len(server.asked)
            if ready is None:
                subprocess.run(arguments, check=True)
            else:
                assert killed(arguments, ready)
                assert not (output / "manifest.json").exists()
                time.sleep(0.5)  # the server ends the answers that nobody waits for
            assert not kept & {line.question for line in server.asked[before:]}
            kept = kept_questions(output)
        sent = [line.question for line in server.asked]
        whole = tmp_path / "whole"
        subprocess.run(command(pdfs, whole, server.url), check=True)
    assert digests(output) == digests(whole)
    assert set(sent) == kept
    # Only what was in flight at the two kills while the model was asked.
    assert len(sent) - len(kept) <= 2 * IN_FLIGHT
