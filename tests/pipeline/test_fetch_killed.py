"""A build that is killed while it fetches, twice, and goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from cauldron.transforms.fetching.entries import ENTRY, url_key

from tests.doubles.images import ImageServer
from tests.url_hubs import corpus_files, linked, url_recipe, write_pixelprose

IN_FLIGHT = 8
ROWS = 240


def stored(output: Path) -> set[bytes]:
    """The keys of all URLs with an answer on disk."""
    found: set[bytes] = set()
    for path in output.glob("fetched/index/*/*.index"):
        data = path.read_bytes()
        entries = np.frombuffer(data[: len(data) // ENTRY.itemsize * ENTRY.itemsize], ENTRY)
        found.update(bytes(key).ljust(16, b"\0") for key in entries["key"])
    return found


@pytest.mark.slow
def test_a_killed_build_asks_for_nothing_again_that_was_answered(tmp_path: Path) -> None:
    hub, output = tmp_path / "hub", tmp_path / "out"
    recipe = tmp_path / "urls.yaml"
    rules = url_recipe(per_host=IN_FLIGHT, concurrency=IN_FLIGHT)
    recipe.write_text(rules.model_dump_json())
    command = [sys.executable, "-m", "cauldron", "build", str(recipe), "--root", str(hub)]
    with ImageServer(delay=0.2) as server:
        write_pixelprose(hub, [linked(server.port, n) for n in range(ROWS)])
        key_of = {f"/{n}.jpg": url_key(linked(server.port, n).url) for n in range(ROWS)}
        kept: list[set[bytes]] = []
        for enough in (50, 120):
            run = subprocess.Popen([*command, "--output", str(output)])
            while len(server.answered) < enough:
                assert run.poll() is None, "the build ended before it was killed"
                time.sleep(0.01)
            run.send_signal(signal.SIGKILL)
            run.wait()
            time.sleep(0.5)  # the server ends the answers that nobody waits for
            kept.append(stored(output))
            before = Counter(line.path for line in server.log)
            # Nothing that was answered is lost but what was in flight.
            assert enough <= len(kept[-1]) + IN_FLIGHT * len(kept)
            assert len(before) <= len(kept[-1]) + IN_FLIGHT
        subprocess.run([*command, "--output", str(output)], check=True)
        asked = Counter(line.path for line in server.log)
        assert asked.keys() == key_of.keys()
        assert all(asked[path] == 1 for path, key in key_of.items() if key in kept[0])
        twice = {path: count for path, count in asked.items() if count > 1}
        assert len(twice) <= 2 * IN_FLIGHT
        server.delay = 0.0
        subprocess.run([*command, "--output", str(tmp_path / "whole")], check=True)
    assert corpus_files(output) == corpus_files(tmp_path / "whole")
