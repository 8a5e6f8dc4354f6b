"""How much a run may ask: requests and dollars, shared by all its workers.

A run's allowance is cut into equal leases. A worker takes one by creating its file, which succeeds
for one worker only, and takes the next when it is used up. So the limits hold without anybody
counting for all; what a worker leaves of its last lease is lost to this run.
"""

from __future__ import annotations

import asyncio
import math
import random
import uuid
from dataclasses import dataclass, field

from cauldron.transforms.models.questions import Answer, Question

from cauldron.core import storage
from cauldron.core.errors import UsageError
from cauldron.core.sections.models import ModelRules

_LEASES = 64
# Fields of a request that say how long an answer may get; a recipe sets them in `extra`.
_LIMITS_OF_ANSWERS = ("max_tokens", "max_completion_tokens")


@dataclass(frozen=True)
class Price:
    """Dollars per million tokens."""

    tokens_in: float = 0.0
    tokens_out: float = 0.0

    def of(self, tokens_in: int, tokens_out: int) -> float:
        return (tokens_in * self.tokens_in + tokens_out * self.tokens_out) / 1e6


def parse_price(text: str) -> Price:
    """``0.2,0.6``: dollars per million tokens in and out. Raises UsageError."""
    try:
        tokens_in, tokens_out = (float(item) for item in text.split(","))
    except ValueError:
        raise UsageError(f"--price {text}: give IN,OUT in USD per million tokens") from None
    if not (0 <= tokens_in < math.inf and 0 <= tokens_out < math.inf):
        raise UsageError(f"--price {text}: a price is 0 or more")
    return Price(tokens_in, tokens_out)


@dataclass(frozen=True)
class Limits:
    """What one run may ask. The same object must reach all workers of the run.

    Attributes:
        max_requests: sent to the endpoint, repeated attempts included. None: any number.
        max_cost: dollars by `price`. None: any.
        run: names the run; a new `Limits` is a new run, with a new allowance.
    """

    max_requests: int | None = None
    max_cost: float | None = None
    price: Price = Price()
    run: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        if self.max_cost is not None and self.price == Price():
            raise UsageError("--max-cost needs the price of tokens: --price IN,OUT")
        if self.max_requests is not None and self.max_requests < 0:
            raise UsageError("--max-requests is 0 or more")

    @property
    def leases(self) -> int:
        if self.max_requests is None:
            return _LEASES
        return min(_LEASES, self.max_requests)

    def lease(self, number: int) -> tuple[float, float]:
        """Requests and dollars of a lease."""
        requests = float("inf")
        if self.max_requests is not None:
            whole, rest = divmod(self.max_requests, self.leases)
            requests = whole + (number < rest)
        return requests, float("inf") if self.max_cost is None else self.max_cost / self.leases


def spent_folder(answers: str, limits: Limits) -> str:
    """Where a run's leases are; to be removed when the run has ended."""
    return storage.join(answers, f"_spent-{limits.run}")


class Budget:
    """The part of a run's allowance that this process has taken. For one event loop."""

    def __init__(self, limits: Limits, answers: str) -> None:
        self._limits = limits
        self._folder = spent_folder(answers, limits)
        self._requests = 0.0
        self._cost = 0.0
        # Each worker tries the leases in another order, so that they seldom try the same one.
        self._left = random.sample(range(limits.leases), limits.leases)
        self._lock = asyncio.Lock()

    @property
    def bounded(self) -> bool:
        return self._limits.max_requests is not None or self._limits.max_cost is not None

    async def take(self, most: float) -> bool:
        """Take one request that costs `most` dollars at most; False if no allowance is left."""
        if not self.bounded:
            return True
        async with self._lock:
            while self._requests < 1 or self._cost < most:
                if not self._left:
                    return False
                number = self._left.pop()
                path = storage.join(self._folder, f"{number:02d}")
                if await asyncio.to_thread(storage.create, path, b""):
                    requests, cost = self._limits.lease(number)
                    self._requests += requests
                    self._cost += cost
            self._requests -= 1
            self._cost -= most
            return True

    def give_back(self, most: float) -> None:
        """The request was not answered, and costs nothing."""
        self._cost += most

    def settle(self, most: float, answer: Answer) -> None:
        """Give back what an answer cost less than was taken for it."""
        if answer.tokens_in is not None and answer.tokens_out is not None:
            self._cost += most - self._limits.price.of(answer.tokens_in, answer.tokens_out)

    def most(self, question: Question, model: ModelRules) -> float:
        """An upper estimate of what a question costs, in dollars.

        Two bytes of text a token, 4,096 tokens a picture: more than any tokenizer of English and
        any vision encoder at the sizes that datasets have.
        """
        pictures = sum(len(message.pictures) for message in question.messages)
        text = sum(
            len(part.encode("utf-8", "surrogatepass"))
            for message in question.messages
            for part in message.parts
            if isinstance(part, str)
        )
        # The fields of a request, and the words that a server puts around a message.
        text += 1_000
        limits = [model.extra.get(name, model.max_tokens) for name in _LIMITS_OF_ANSWERS]
        longest = max((n for n in limits if isinstance(n, int)), default=model.max_tokens)
        return self._limits.price.of(text // 2 + 4_096 * pictures, longest)
