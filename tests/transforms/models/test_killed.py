"""Killed while it asks: what was answered is not asked again."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cauldron.transforms.models.store import AnswerStore

from cauldron.sample.model_server import Behaviour, ModelServer
from tests.transforms.models.asker import CONCURRENCY
from tests.transforms.models.conftest import MODEL, questions

COUNT = 400
ROOT = Path(__file__).parents[3]


def start(server: ModelServer, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.transforms.models.asker"]
    arguments = [server.url, str(folder), str(COUNT)]
    return subprocess.Popen([*command, *arguments], cwd=ROOT, stdout=subprocess.PIPE)


def stored(folder: Path) -> set[str]:
    """Digests, as the server logs them, of the questions with a stored answer."""
    store = AnswerStore(str(folder))
    return {
        hashlib.blake2b(question.body(MODEL), digest_size=16).hexdigest()
        for question in questions(COUNT)
        if store.get(question.key(MODEL))
    }


@pytest.mark.slow
def test_killed_three_times_it_asks_nothing_again_that_was_answered(tmp_path):
    kept: set[str] = set()
    with ModelServer(Behaviour(delay=0.02)) as server:
        for target in (60, 150, 260, None):
            before = len(server.asked)
            process = start(server, tmp_path)
            if target is not None:
                while len(server.asked) < target:
                    time.sleep(0.005)
                process.kill()
            result, _ = process.communicate()
            time.sleep(0.1)  # what was in flight arrives in the server's log
            assert not kept & {line.question for line in server.asked[before:]}
            kept = stored(tmp_path)
        asked = [line.question for line in server.asked]
    assert set(asked) == kept
    assert len(asked) - COUNT <= 3 * CONCURRENCY, "more than what was in flight at the kills"
    assert result.decode() == "".join(f"say {number}\n" for number in range(COUNT))
    print(f"{len(asked) - COUNT} questions, in flight at three kills, were asked again")
