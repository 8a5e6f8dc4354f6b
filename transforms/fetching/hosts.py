"""Politeness: how often a host is asked, how long it is left alone, and when it is given up."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from cauldron.core.sections.fetching import FetchRules


@dataclass(eq=False)
class Host:
    """What is known of a host.

    Attributes:
        answers: so far, failures of the host included.
        failures: answers that were the host's fault: no connection, a busy server, a timeout.
    """

    name: str
    rules: FetchRules
    answers: int = 0
    failures: int = 0
    _slots: asyncio.Semaphore = field(init=False)
    _next: float = 0.0

    def __post_init__(self) -> None:
        self._slots = asyncio.Semaphore(self.rules.per_host)

    @property
    def is_given_up(self) -> bool:
        return self.failures >= self.rules.give_up_after and 2 * self.failures > self.answers

    def note(self, failed: bool) -> None:
        """Count an answer to an image, after all attempts."""
        self.answers += 1
        self.failures += failed

    def remember(self, answers: int, failures: int) -> None:
        """Count what was answered in an earlier run."""
        self.answers += answers
        self.failures += failures

    def rest(self, seconds: float) -> None:
        """Ask nothing for a while, whoever wants to."""
        now = asyncio.get_running_loop().time()
        self._not_before(now + min(seconds, self.rules.longest_wait))

    def _not_before(self, moment: float) -> None:
        if moment > self._next:
            self._next = moment
            # Until then the loop holds this host: one that others redirect to has no other holder,
            # and would be forgotten, its rest with it.
            asyncio.get_running_loop().call_at(moment, self._rested)

    def _rested(self) -> None:
        """Nothing is left to wait for."""

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """One of the requests that may be in flight to the host, not before it is due."""
        async with self._slots:
            loop = asyncio.get_running_loop()
            while (wait := self._next - loop.time()) > 0:
                await asyncio.sleep(wait)
            if self.rules.delay:
                self._not_before(loop.time() + self.rules.delay)
            yield


class Hosts:
    """The hosts of a worker process; one that nobody uses is forgotten. For one event loop."""

    def __init__(self, rules: FetchRules) -> None:
        self._rules = rules
        self._found: weakref.WeakValueDictionary[str, Host] = weakref.WeakValueDictionary()

    def of(self, name: str) -> Host:
        host = self._found.get(name)
        if host is None:
            host = self._found[name] = Host(name, self._rules)
        return host
