"""`cauldron eval` with a model or an output in an object store: both are copied to this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from cauldron.core import storage
from cauldron.core.mirror import fetched, working_folder
from cauldron.evaluate.command import EvalOptions
from cauldron.training.remote import to_answer


@contextmanager
def on_disk(options: EvalOptions) -> Iterator[tuple[EvalOptions, Callable[[str], str]]]:
    """Options with local folders while the block runs, and what makes a message name the
    addresses instead. What was predicted is sent back after each benchmark and at the end."""
    said = []
    with ExitStack() as stack:
        if _is_in_store(options.model):
            local = str(stack.enter_context(fetched(options.model, to_answer)))
            said.append((local, options.model))
            options = replace(options, model=local, known_as=options.model)
        if options.output is not None and not storage.is_local(options.output):
            mirror = stack.enter_context(working_folder(options.output))
            said.append((str(mirror.folder), mirror.url))
            options = replace(options, output=str(mirror.folder), sent=mirror.send)
        yield options, lambda text: _replaced(text, said)


def _is_in_store(model: str) -> bool:
    return not storage.is_local(model) and not model.startswith(("http://", "https://"))


def _replaced(text: str, said: list[tuple[str, str]]) -> str:
    for local, address in said:
        text = text.replace(local, address)
    return text
