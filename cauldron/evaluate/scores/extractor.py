"""Answers that another model finds in a model's texts, through an endpoint.

What it says is kept with the evaluation, by the question: scoring again asks nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from cauldron.core.errors import CauldronError
from cauldron.core.generation import Decoding, Question, Unanswered
from cauldron.evaluate.benchmarks.catalog import Benchmark
from cauldron.evaluate.benchmarks.extraction import MAX_TOKENS
from cauldron.evaluate.endpoint import EndpointEngine
from cauldron.evaluate.predictions.files import Record
from cauldron.transforms.models.endpoint import Endpoint
from cauldron.transforms.models.store import answers_folder

# Questions that are held at once, in requests that the endpoint takes at once.
_WINDOW = 16


@dataclass(frozen=True)
class Extracted:
    """What another model found in texts.

    Attributes:
        by: its name and address; "" if no model was asked.
        answers: by the item's index. Items without one are read by rules.
    """

    by: str = ""
    answers: Mapping[int, str] = field(default_factory=dict)


NOTHING = Extracted()


def extract(
    benchmark: Benchmark,
    records: Iterable[Record],
    endpoint: Endpoint,
    folder: Path,
    say: Callable[[str], None],
) -> Extracted:
    """Ask about all texts that need it.

    Args:
        folder: of the evaluation.

    Raises:
        CauldronError: the endpoint is down or answers nothing; the answers so far are kept.
    """
    if benchmark.extract is None:
        return NOTHING
    asked = {
        record.index: prompt
        for record in records
        if record.text is not None
        and (prompt := benchmark.extract(record.item(benchmark.name), record.text)) is not None
    }
    by = f"{endpoint.model.name} at {endpoint.url}"
    say(f"{benchmark.title}: {by} is asked for the answers in {len(asked):,} texts")
    found = _ask(asked, endpoint, folder)
    if len(found) < len(asked):
        left = len(asked) - len(found)
        say(f"{benchmark.title}: it does not answer on {left:,} texts, which are read by rules")
    return Extracted(by, found)


def _ask(asked: Mapping[int, str], endpoint: Endpoint, folder: Path) -> dict[int, str]:
    decoding = Decoding(longest_edge=0, max_new_tokens=MAX_TOKENS)
    found: dict[int, str] = {}
    failed: Unanswered | None = None
    numbers, size = list(asked), endpoint.concurrency * _WINDOW
    with closing(EndpointEngine(endpoint, answers_folder(str(folder)))) as engine:
        for start in range(0, len(numbers), size):
            part = numbers[start : start + size]
            answers = engine.generate([Question((asked[number],)) for number in part], decoding)
            for number, answer in zip(part, answers, strict=True):
                if not isinstance(answer, Unanswered):
                    found[number] = answer
                elif answer.reason != "refused":
                    failed = answer
    if failed is not None and not found:
        raise CauldronError(
            f"{endpoint.chat_url} answers no question ({failed.message}): run this again"
        )
    return found
