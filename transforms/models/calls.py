"""One call of an endpoint: attempts, waits, and when to stop the whole job.

What an endpoint says                        what happens
-------------------------------------------  --------------------------------------------------
200 with a chat completion                   the answer
408, 409, 429, 5xx, timeout, broken answer   another attempt, after a wait that doubles
other 4xx                                    no answer (`refused`), the job goes on
401, 403, 404, 405, a redirect               the job stops: key, model or address is wrong
403 after answers, not many in a row         no answer (`refused`): some moderate questions so
no connection, while nothing else is         the job stops: the endpoint is down
answered either
429, 502 to 504, of two questions in a row   the job stops: the endpoint is down. Of one alone
while nothing else is answered either        it may be the question: a proxy's 504 on a long answer
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

import aiohttp
from cauldron.transforms.models.budget import Budget
from cauldron.transforms.models.endpoint import Endpoint, parse_retry_after, proxy_for
from cauldron.transforms.models.questions import Answer, Failure, parse_answer

from cauldron.core.errors import CauldronError

_RETRIED = (408, 409, 429)
_MISCONFIGURED = (401, 404, 405)
# With these an endpoint speaks of itself, not of the question.
_BUSY = (429, 502, 503, 504)

_FIRST_WAIT = 0.5
_MAX_BODY = 16 * 1024 * 1024
# Longer than any network takes to connect. Without a limit of its own, an address from which
# nothing comes back would take the time of an answer for every attempt.
_CONNECT_SECONDS = 30.0
# So many questions in a row without an answer are the endpoint's fault, whatever it says.
_IN_A_ROW = 32
# And so many, if it says that it is busy or down.
_BUSY_IN_A_ROW = 2


NOT_ASKED = Failure("not_asked", "the limit of requests or cost is reached")


class EndpointError(CauldronError):
    """The endpoint cannot be used; the job stops."""


@dataclass(frozen=True)
class Retry:
    """An attempt that failed.

    Attributes:
        reason: a key of `cauldron.core.reasons.NO_ANSWER`.
        is_down: the endpoint itself may be down or overloaded.
        is_gone: there is not even a connection.
        after: seconds to wait, as the endpoint asks.
        is_billed: the model may have answered, and the answer was lost.
    """

    reason: str
    message: str
    is_down: bool = False
    is_gone: bool = False
    after: float = 0.0
    is_billed: bool = False


class Circuit:
    """Tells a question that fails from an endpoint that is down, over all calls of a process.

    Attributes:
        answers: so far.
        broken: why no more questions are asked; None while they are.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.answers = 0
        self.broken: EndpointError | None = None
        self._failed_in_a_row = 0

    def answered(self) -> None:
        self.answers += 1
        self._failed_in_a_row = 0

    def refused(self, failure: Failure) -> Failure:
        """Raises EndpointError if every question so far was refused, and there were many."""
        self._failed_in_a_row += 1
        if not self.answers and self._failed_in_a_row >= _IN_A_ROW:
            raise self._error("refuses every question", failure.message)
        return failure

    def gave_up(self, last: Retry, answers_before: int) -> Failure:
        """A question whose attempts are used up.

        Args:
            answers_before: of the circuit, when the question was first asked.

        Raises:
            EndpointError: the endpoint is down.
        """
        self._failed_in_a_row += 1
        alone = self.answers == answers_before
        most = 1 if last.is_gone else _BUSY_IN_A_ROW if last.is_down else _IN_A_ROW
        if alone and self._failed_in_a_row >= most:
            raise self._error("does not answer", last.message)
        return Failure(last.reason, last.message)

    def forbidden(self, message: str) -> Failure:
        """One question that is moderated, if others were answered. Raises EndpointError if not."""
        if not self.answers or self._failed_in_a_row >= _IN_A_ROW:
            raise self.misconfigured(403, message)
        return Failure("refused", message)

    def misconfigured(self, status: int, message: str) -> EndpointError:
        return self._error(f"answers {status}", f"{message}; check address, model and key")

    def _error(self, what: str, message: str) -> EndpointError:
        self.broken = EndpointError(
            f"{self._endpoint.chat_url} (model {self._endpoint.model.name}) {what}: {message}; "
            f"answers so far are kept: mend it and run this again"
        )
        return self.broken


class Calls:
    """Calls one endpoint over one HTTP session. For one event loop."""

    def __init__(
        self,
        endpoint: Endpoint,
        key: str | None,
        session: aiohttp.ClientSession,
        budget: Budget,
    ) -> None:
        self._endpoint = endpoint
        self._key = key
        self._session = session
        self._budget = budget
        self._proxy = proxy_for(endpoint.chat_url)
        self.circuit = Circuit(endpoint)

    async def ask(self, body: bytes, most: float) -> Answer | Failure:
        """The answer, after as many attempts as it takes.

        Args:
            most: dollars that the request may cost.

        Raises:
            EndpointError: the endpoint is down or misconfigured.
        """
        start = seen = self.circuit.answers
        attempt = 0
        while True:
            if self.circuit.broken is not None:
                raise self.circuit.broken
            if not await self._budget.take(most):
                return NOT_ASKED
            outcome = await self._attempt(body)
            if isinstance(outcome, Answer):
                self._budget.settle(most, outcome)
                self.circuit.answered()
                return outcome
            if isinstance(outcome, Failure) or not outcome.is_billed:
                self._budget.give_back(most)
            if isinstance(outcome, Failure):
                return self.circuit.refused(outcome)
            # An endpoint that is busy with our other questions will have time for this one.
            if not (outcome.is_down and self.circuit.answers > seen):
                attempt += 1
            seen = self.circuit.answers
            if attempt >= self._endpoint.attempts:
                return self.circuit.gave_up(outcome, start)
            await asyncio.sleep(self._wait(attempt, outcome.after))

    async def close(self) -> None:
        await self._session.close()

    def _wait(self, attempt: int, after: float) -> float:
        backoff = _FIRST_WAIT * 2.0 ** max(0, attempt - 1) * random.uniform(0.5, 1.0)
        # Jitter on Retry-After too: it tells all callers the same second.
        return min(max(backoff, after * random.uniform(1.0, 1.1)), self._endpoint.longest_wait)

    async def _attempt(self, body: bytes) -> Answer | Failure | Retry:
        headers = {"Content-Type": "application/json"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        try:
            async with self._session.post(
                self._endpoint.chat_url,
                data=body,
                headers=headers,
                proxy=self._proxy,
                timeout=aiohttp.ClientTimeout(
                    total=self._endpoint.timeout,
                    sock_connect=min(_CONNECT_SECONDS, self._endpoint.timeout),
                ),
                allow_redirects=False,  # the key is for this address only
            ) as response:
                data = await response.content.read(_MAX_BODY)
                while not response.content.at_eof() and len(data) < _MAX_BODY:
                    data += await response.content.read(_MAX_BODY - len(data))
                return self._judge(response.status, response.headers.get("Retry-After"), data)
        except aiohttp.ClientHttpProxyError as error:
            # Its own text has the proxy's address, which may hold a password.
            said = f"the proxy of the environment answers {error.status}"
            return Retry("endpoint_error", said, is_down=True, is_gone=True)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return Retry("endpoint_error", _plain(error), is_down=True, is_gone=True)
        except TimeoutError:
            return Retry(
                "endpoint_error", f"no answer in {self._endpoint.timeout:g} s", is_billed=True
            )
        except aiohttp.ClientPayloadError:
            return Retry("broken_answer", "the answer is cut in the middle", is_billed=True)
        except aiohttp.ClientError as error:
            return Retry("endpoint_error", _plain(error))

    def _judge(self, status: int, after: str | None, data: bytes) -> Answer | Failure | Retry:
        if status == 200:
            try:
                return parse_answer(data)
            except ValueError as error:
                return Retry("broken_answer", self._said(str(error)), is_billed=True)
        message = self._said(f"status {status}: {data[:2000].decode(errors='replace')}")
        if status in _RETRIED or status >= 500:
            return Retry(
                "endpoint_error",
                message,
                is_down=status in _BUSY,
                after=parse_retry_after(after),
            )
        if status == 403:
            return self.circuit.forbidden(message)
        if status in _MISCONFIGURED or status < 400:
            raise self.circuit.misconfigured(status, message)
        return Failure("refused", message)

    def _said(self, text: str) -> str:
        """An endpoint's words in one short line; some repeat the key, which must not be shown."""
        if self._key is not None:
            text = text.replace(self._key, "***")
        return " ".join(text.split())[:200]


def _plain(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
