"""How busy one worker process keeps an endpoint, and what that costs it.

    python benchmarks/questions.py --slots 256 --delay 0.5

The sample's model server, in a process of its own, takes ``--delay`` seconds for each answer. This
process asks as a pipeline does, answers are stored. Busy is the time that requests spent at the
server, of all slots, until the last question was sent; a core is this process's CPU time by the
clock. See README.md for the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from cauldron.transforms.models.ask import ask_all, close_callers
from cauldron.transforms.models.endpoint import Endpoint
from cauldron.transforms.models.questions import Answer, Message, Question

from cauldron.core.sections.models import ModelRules


def main() -> None:
    parser = argparse.ArgumentParser(description="How busy one process keeps an endpoint.")
    parser.add_argument("--slots", type=int, default=256)
    parser.add_argument("--delay", type=float, default=0.5, help="seconds for each answer")
    parser.add_argument("--questions", type=int, default=10_000)
    parser.add_argument("--words", type=int, default=2_000, help="length of each question")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "log")
        command = [sys.executable, "-m", "cauldron.sample.model_server", "--port", "0"]
        server = subprocess.Popen(
            [*command, "--delay", str(options.delay), "--log", log],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout is not None
            url = server.stdout.readline().split()[1]
            wall, core = ask(url.rstrip(";"), options, folder)
        finally:
            server.terminate()
            server.wait()
        with open(log) as file:
            lines = [json.loads(line) for line in file]
    print(f"{len(lines)} requests in {wall:.1f} s, {len(lines) / wall:.0f} a second")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    server_core = (used.ru_utime + used.ru_stime) / wall
    print(f"busy slots {busy(lines, options.slots):.1%}, cores of the asking process {core:.2f}")
    print(f"cores of the server {server_core:.2f}")


def ask(url: str, options: argparse.Namespace, folder: str) -> tuple[float, float]:
    """Seconds by the clock, and CPU seconds for each of them."""
    text = "word " * options.words
    questions = (
        Question(str(n), (Message("user", (f"{n} {text}",)),)) for n in range(options.questions)
    )
    endpoint = Endpoint(url, ModelRules(name="rules"), concurrency=options.slots)
    wall, cpu = time.monotonic(), time.process_time()
    for _, outcome in ask_all(questions, endpoint, os.path.join(folder, "answers")):
        assert isinstance(outcome, Answer), outcome
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    close_callers()
    return wall, cpu / wall


def busy(lines: list[dict[str, float]], slots: int) -> float:
    """The part of the slots' time in which a request was at the server, until the last came."""
    first = min(line["started"] for line in lines)
    last = max(line["started"] for line in lines)
    inside = sum(min(line["started"] + line["seconds"], last) - line["started"] for line in lines)
    return inside / ((last - first) * slots)


if __name__ == "__main__":
    main()
