"""`cauldron eval` with a model or an output in an object store: both are copied to this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from cauldron.core import storage
from cauldron.core.stores.mirror import fetched, working_folder
from cauldron.evaluate.command import EvalOptions
from cauldron.training.remote import to_answer


@dataclass(frozen=True)
class OnDisk:
    """What is asked for, with folders of this machine.

    Attributes:
        against: the folder of another evaluation.
        said: pairs of a folder here and the address that it is a copy of.
    """

    options: EvalOptions
    against: str | None
    said: tuple[tuple[str, str], ...]

    def shown(self, text: str) -> str:
        """A message with addresses in place of folders here."""
        for local, address in self.said:
            text = text.replace(local, address)
        return text


@contextmanager
def on_disk(options: EvalOptions, against: str | None) -> Iterator[OnDisk]:
    """Copies while the block runs. What was predicted is sent back after each benchmark and at the
    end."""
    said = []
    with ExitStack() as stack:
        if _is_in_store(options.model):
            local = str(stack.enter_context(fetched(options.model, to_answer)))
            said.append((local, options.model))
            options = replace(options, model=local, known_as=options.model)
        if options.output is not None and _is_in_store(options.output):
            mirror = stack.enter_context(working_folder(options.output))
            said.append((str(mirror.folder), mirror.url))
            options = replace(options, output=str(mirror.folder), sent=mirror.send)
        if against is not None and _is_in_store(against):
            other = str(stack.enter_context(fetched(against)))
            said.append((other, against))
            against = other
        yield OnDisk(options, against, tuple(said))


def _is_in_store(place: str) -> bool:
    return not storage.is_local(place) and not place.startswith(("http://", "https://"))
