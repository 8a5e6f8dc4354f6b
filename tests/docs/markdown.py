"""The Markdown of the repository as the tests see it: documents, their code blocks, their links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
# A comment right above a block. `not run` says why a block never runs in a test, `slow` that it
# builds or trains; `command` names a block that CI runs on a fresh machine.
_MARK = re.compile(r"<!-- (not run|slow|command): (.+) -->")
_FENCE = re.compile(r"^```(\w*)\s*$")
_HEADING = re.compile(r"^#+ +(.*)$")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_BETWEEN_COMMANDS = set("();<>|&")


@dataclass(frozen=True)
class Block:
    """A code block.

    Attributes:
        mark: ``not run``, ``slow``, ``command`` or "".
    """

    path: Path
    line: int
    language: str
    text: str
    mark: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"


def documents() -> list[Path]:
    """Every document that users read."""
    named = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "benchmarks/README.md")]
    return [path for path in named if path.exists()] + sorted((ROOT / "docs").rglob("*.md"))


def guides() -> list[Path]:
    """The documents whose blocks run: not the reference, which is made of the code."""
    howtos = sorted((ROOT / "docs" / "howto").glob("*.md"))
    return [ROOT / "README.md", ROOT / "docs" / "tutorial.md", *howtos]


def blocks(path: Path, *languages: str) -> list[Block]:
    """The code blocks of a document in these languages; all, if none is named."""
    found: list[Block] = []
    lines = iter(enumerate(path.read_text(encoding="utf-8").splitlines(), 1))
    before = ""
    for number, line in lines:
        fence = _FENCE.match(line)
        if fence:
            inside = []
            for _, text in lines:
                if text == "```":
                    break
                inside.append(text)
            mark = _MARK.fullmatch(before.strip())
            text = "\n".join(inside) + "\n"
            found.append(Block(path, number, fence[1], text, mark[1] if mark else ""))
        before = line
    return [block for block in found if not languages or block.language in languages]


def prose(path: Path) -> Iterator[str]:
    """The lines of a document outside its code blocks."""
    inside = False
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            inside = not inside
        elif not inside:
            yield line


def links(path: Path) -> list[str]:
    """Where the links of a document point to."""
    return [target for line in prose(path) for target in _LINK.findall(line)]


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a document."""
    found: set[str] = set()
    for line in prose(path):
        heading = _HEADING.match(line)
        if heading:
            plain = re.sub(r"[^\w\- ]", "", heading[1].lower()).replace(" ", "-")
            repeated = sum(name == plain or name.startswith(f"{plain}-") for name in found)
            found.add(plain if plain not in found else f"{plain}-{repeated}")
    return found


def commands(text: str) -> Iterator[list[str]]:
    """The commands of a shell block as words, those of pipes and substitutions too."""
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in lexer:
            if set(word) <= _BETWEEN_COMMANDS:
                yield words
                words = []
            else:
                words.append(word)
        yield words


def cauldron_arguments(words: list[str]) -> list[str] | None:
    """What a command gives to Cauldron; None if it runs something else."""
    if words and words[0].rpartition("/")[2] == "cauldron":
        return words[1:]
    for place, word in enumerate(words[:-1]):
        if word == "-m" and words[place + 1] == "cauldron":
            return words[place + 2 :]
    return None
