"""What the commands share: defaults, examples in the help, Beam's options told apart from ours."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import FrameType
from typing import Any

import click

from cauldron.core.errors import UsageError

DEFAULT_OUTPUT = "./cauldron-out"
DEFAULT_RECIPE = "idefics3"
HUB = "hub"

shared_folders = click.option(
    "--shared-folders",
    is_flag=True,
    help="Workers of a remote runner see the same folders, as on a cluster's file system.",
)
key_from = click.option(
    "--key-from",
    metavar="NAME",
    help="Environment variable with the key, or projects/P/secrets/S/versions/V.",
)
concurrency = click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Requests in flight, of each worker process.",
)


def examples(*lines: str) -> Callable[[Any], Any]:
    """Append examples to a command's help, unwrapped."""

    def decorate(command: click.Command) -> click.Command:
        text = "\n".join(f"  {line}" for line in lines)
        command.help = f"{inspect.cleandoc(command.help or '')}\n\n\b\nExamples:\n{text}"
        return command

    return decorate


def say(line: str) -> None:
    click.echo(line, err=True)


def stop(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends a build like Ctrl-C: locks are released."""
    raise KeyboardInterrupt(number)


def recipe_and_beam(arguments: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Separate the recipe from Beam's options, whose values may be separate: ``--runner R``."""
    recipes, beam_args = [], []
    value_may_follow = False
    for argument in arguments:
        is_option = argument.startswith("-")
        is_value = value_may_follow and not argument.endswith((".yaml", ".yml"))
        if is_option or is_value:
            beam_args.append(argument)
        else:
            recipes.append(argument)
        value_may_follow = is_option and "=" not in argument
    if len(recipes) > 1:
        raise UsageError(f"give one recipe, not {', '.join(recipes)}")
    return (recipes or [DEFAULT_RECIPE])[0], tuple(beam_args)


def load(name: str, weights: tuple[str, ...]) -> Any:
    """The recipe of a name or path, with changed weights."""
    from cauldron.recipe import load_recipe, with_weights

    return with_weights(load_recipe(name), weights)
