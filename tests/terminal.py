"""Runs a command on a pseudo-terminal and says what its screen shows."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from dataclasses import dataclass
from pathlib import Path

_CONTROL = re.compile(r"\x1b\[(\d*)([A-Za-z])|([\r\n])|([^\x1b\r\n])")


@dataclass
class Finished:
    """A command that ended.

    Attributes:
        raw: everything that was written to the terminal.
        screen: its lines as they stood at the end, without empty ones at the end.
    """

    code: int
    raw: str
    screen: list[str]


def screen(raw: str, width: int) -> list[str]:
    """The lines of a terminal of any height after it was sent `raw`."""
    rows, row, column = [[" "] * width], 0, 0
    for amount, command, move, letter in _CONTROL.findall(raw):
        if letter:
            if column == width:
                row, column = row + 1, 0
            while row >= len(rows):
                rows.append([" "] * width)
            rows[row][column] = letter
            column += 1
        elif move == "\r":
            column = 0
        elif move == "\n":
            row += 1
            while row >= len(rows):
                rows.append([" "] * width)
        elif command == "K":
            rows[row][column:] = [" "] * (width - column)
        elif command == "A":
            row = max(0, row - int(amount or 1))
        elif command != "m":
            raise AssertionError(f"the terminal does not know {command!r}")
    lines = ["".join(line).rstrip() for line in rows]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def run_on_terminal(
    *arguments: str,
    cwd: Path,
    width: int = 80,
    interrupt_at: str | None = None,
    program: Path | None = None,
) -> Finished:
    """Run ``cauldron`` with a terminal as its input, output and errors.

    Args:
        program: a Python file to run instead.
        interrupt_at: types Ctrl-C once when this is written.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
    process = subprocess.Popen(
        [sys.executable, *(["-m", "cauldron"] if program is None else [str(program)]), *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=cwd,
        env=environment | {"TERM": "xterm"},
        start_new_session=True,
        preexec_fn=_own_terminal,
    )
    os.close(theirs)
    raw = _read_all(ours, process, interrupt_at)
    os.close(ours)
    return Finished(process.wait(), raw, screen(raw, width))


def _own_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    # Ignored in what a shell script runs in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _read_all(terminal: int, process: subprocess.Popen[bytes], interrupt_at: str | None) -> str:
    data, deadline = b"", time.monotonic() + 120
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            data += os.read(terminal, 1 << 16)
        except OSError:  # the other end is closed
            return data.decode()
        if interrupt_at is not None and interrupt_at.encode() in data:
            interrupt_at = None
            os.write(terminal, b"\x03")
    os.killpg(process.pid, signal.SIGKILL)
    raise AssertionError(f"the command does not end: {data[-500:]!r}")
