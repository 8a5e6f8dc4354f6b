"""Progress: one bar on a terminal, lines in a pipe, and nothing left behind."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cauldron.core.progress import lines, shown
from tests import hubs
from tests.terminal import Finished, run_on_terminal, screen

BAR = re.compile(r"(sample|ingest|mix sft|match|curate): +\d+%\|.*\| \d+/\d+ \[\d\d:\d\d<.*\]")


PROGRAM = """
import logging, sys, warnings
from cauldron.core.progress import shown

logging.basicConfig(format="%(levelname)s %(message)s", stream=sys.stderr)
with shown("build", print) as progress:
    with progress.track("ingest", 4) as move:
        for done in range(1, 5):
            move(done)
            progress.say(f"line {done}")
            logging.warning("log %d", done)
            warnings.warn(f"warning {done}")
print("table")
"""


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """Builds a small hub."""
    root = tmp_path / "root"
    hubs.write_dolly(str(root), rows=40, broken=1)
    hubs.write_sharegpt(str(root), rows=12)
    recipe = hubs.write_recipe(str(tmp_path / "recipe.yaml"))
    return ["build", recipe, "--root", str(root), "--output", "out"]


def frames(done: Finished) -> list[str]:
    return [text for text in re.split(r"[\r\n]", done.raw) if BAR.fullmatch(text.rstrip())]


def test_sample_shows_one_bar_and_erases_it(tmp_path: Path) -> None:
    done = run_on_terminal("sample", "hub", "--rows", "6", cwd=tmp_path)
    assert done.code == 0
    assert all(len(text) < 80 for text in frames(done))
    assert frames(done)[-1].startswith("sample: 100%")
    assert done.screen[0] == "A miniature hub is in hub; build it with:"
    assert not any("%|" in line for line in done.screen)


def test_a_build_shows_one_bar_that_names_its_steps(tmp_path: Path, arguments: list[str]) -> None:
    done = run_on_terminal(*arguments, cwd=tmp_path)
    assert done.code == 0
    steps = {text.split(":")[0] for text in frames(done)}
    assert {"ingest", "mix sft"} <= steps
    assert all(len(text) <= 80 for text in frames(done))
    assert not any("%|" in line or "running for" in line for line in done.screen)
    assert not any("written" in line for line in done.screen)
    assert done.screen[0].startswith("ingest: ")
    assert any(line.startswith("Mixture sft") for line in done.screen)


def test_a_build_in_a_pipe_prints_lines(tmp_path: Path, arguments: list[str]) -> None:
    command = [sys.executable, "-m", "cauldron", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "\r" not in done.stdout + done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert all(re.match(r"(ingest|match|curate|mix sft): ", x) for x in done.stderr.splitlines())


def test_ctrl_c_leaves_the_terminal_clean(tmp_path: Path, arguments: list[str]) -> None:
    done = run_on_terminal(*arguments, cwd=tmp_path, interrupt_at="ingest: 2 pieces")
    assert done.code == 130
    assert done.screen[-1] == "cauldron: stopped; the same command goes on where it was"
    assert not any("^C" in line or "%|" in line for line in done.screen)


def test_an_error_stands_alone(tmp_path: Path, arguments: list[str]) -> None:
    done = run_on_terminal(*arguments, "--stage", "nine", cwd=tmp_path)
    assert done.code == 2
    assert done.screen[0].startswith("cauldron: ")


@pytest.mark.parametrize("width", [20, 80, 200])
def test_logs_and_warnings_are_printed_above_the_bar(tmp_path: Path, width: int) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    done = run_on_terminal(program=tmp_path / "program.py", cwd=tmp_path, width=width)
    assert done.code == 0, done.raw
    plain = [line for line in done.screen if line.startswith(("line", "WARNING log"))]
    assert plain == [text for n in range(1, 5) for text in (f"line {n}", f"WARNING log {n}")]
    assert "".join(done.screen).count("UserWarning: warning") == 4
    assert done.screen[-1] == "table"
    assert "%|" not in "".join(done.screen)
    drawn = [text for text in done.raw.split("\r") if "%|" in text]
    assert max(len(text) for text in drawn) == width - 3


def test_the_bar_follows_the_width_of_the_terminal(
    tmp_path: Path,
) -> None:
    (tmp_path / "program.py").write_text(
        "import fcntl, struct, sys, termios, time\n"
        "from cauldron.core import progress\n"
        "progress._REDRAW_SECONDS = 0.01\n"
        "with progress.shown('build', print) as shown, shown.track('ingest', 4) as move:\n"
        "    move(1)\n"
        "    fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 50, 0, 0))\n"
        "    time.sleep(0.1)\n"
    )
    done = run_on_terminal(program=tmp_path / "program.py", cwd=tmp_path)
    drawn = [text.rstrip() for text in done.raw.split("\r") if "%|" in text]
    assert [len(text) for text in drawn if "1/4" in text][-1] == 47


def test_lines_tell_what_is_new() -> None:
    said: list[str] = []
    with lines(said.append)("ingest", 5) as move:
        for done in (0, 2, 2, 5):
            move(done)
    assert said == ["ingest: 2 of 5 written", "ingest: 5 of 5 written"]


def test_without_a_terminal_logging_is_untouched(capsys: pytest.CaptureFixture[str]) -> None:
    before = [*logging.root.handlers]
    with shown("build", print) as progress:
        assert logging.root.handlers == before
        with progress.track("ingest", 1) as move:
            move(1)
    assert capsys.readouterr().out == "ingest: 1 of 1 written\n"


def test_the_screen_of_these_tests_is_a_terminals() -> None:
    assert screen("abc\rx\ny\x1b[K\n", 3) == ["xbc", " y"]
    assert screen("abcd", 3) == ["abc", "d"]
