"""Which part of Cauldron may import which: the floors of the house, and no circles."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Each part may import the parts before it. `training` may import `core` only.
FLOORS = (
    *("core", "recipe", "sources", "transforms", "inspect", "evaluate", "pipeline", "sample"),
    *("commands", "cli"),
)
FOREIGN = {
    "apache_beam": ("transforms", "pipeline"),
    "torch": ("training",),
    "transformers": ("training",),
    "duckdb": ("inspect",),
}
# An evaluation runs the model of a training run; it imports the trainer when it loads one.
BESIDE = {"evaluate": ("training",)}
# The only files of a part that import a foreign package of another.
EXCEPTIONS = {("cauldron.core.tokenizer", "transformers")}


def modules() -> dict[str, Path]:
    """Every module of the product by its import name."""
    found = {}
    for top in ("cauldron", "sources", "transforms", "training"):
        for path in (ROOT / top).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts if parts[-1] != "__init__" else parts[:-1])
            found[name if top == "cauldron" else f"cauldron.{name}"] = path
    return found


MODULES = modules()


def part_of(module: str) -> str:
    return module.split(".")[1] if module.count(".") else ""


def imported(node: ast.AST) -> Iterator[str]:
    """Full names that an import statement loads; of `from a import b` both `a` and `a.b`."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        inner = [f"{node.module}.{alias.name}" for alias in node.names]
        known = [name for name in inner if name in MODULES]
        yield from known
        if len(known) < len(inner):
            yield node.module


def imports(path: Path, everywhere: bool) -> set[str]:
    """What a file imports: anywhere, or only when it is loaded itself."""
    tree = ast.parse(path.read_text())
    nodes = ast.walk(tree) if everywhere else iter(tree.body)
    return {name for node in nodes for name in imported(node)}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_only_the_floors_below(module):
    part = part_of(module)
    for name in imports(MODULES[module], everywhere=True):
        top = name.split(".")[0]
        if name in MODULES and part_of(name) not in ("", part) and module != "cauldron.__main__":
            other = part_of(name)
            if part == "training":
                assert other == "core", f"{module} imports {name}"
            elif part in ("commands", "cli"):
                continue
            else:
                below = (*FLOORS[: FLOORS.index(part)], *BESIDE.get(part, ()))
                assert other in below, f"{module} imports {name}"
        elif top in FOREIGN and (module, top) not in EXCEPTIONS:
            assert part in FOREIGN[top], f"{module} imports {top}"


def test_no_modules_import_each_other_in_a_circle():
    graph = {
        module: {name for name in imports(path, everywhere=True) if name in MODULES} - {module}
        for module, path in MODULES.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' -> '.join(error.args[1])}")


def test_every_package_is_listed_and_ships():
    listed = (ROOT / "setup.cfg").read_text().split("packages =\n")[1].split("python_requires")[0]
    packages = {name for name, path in MODULES.items() if path.name == "__init__.py"}
    assert {line.strip() for line in listed.splitlines() if line.strip()} == packages
