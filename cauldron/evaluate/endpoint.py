"""An engine behind an OpenAI-compatible endpoint: ``POST /v1/chat/completions``.

408, 429, 5xx, a lost connection and a body that is no completion are tried again, with waits that
double, or as long as ``Retry-After`` says within a bound. Any other 4xx is the question's own
fault, and it stays unanswered; 401, 403 and 404 end the evaluation, because every question would
meet them. Images go as ``data:`` URLs, as large as published: the server scales them.
"""

from __future__ import annotations

import base64
import json
import os
import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx2

from cauldron.core.errors import CauldronError, UsageError, first_line
from cauldron.core.generation import Decoding, Question, Unanswered
from cauldron.transforms.models.endpoint import chat_url, parse_retry_after
from cauldron.transforms.models.questions import parse_answer

KEY_VARIABLE = "CAULDRON_API_KEY"
_FORMATS = {b"\xff\xd8\xff": "jpeg", b"\x89PNG": "png", b"RIFF": "webp"}
_MISCONFIGURED = (401, 403, 404)
_RETRIED = (408, 429)
_SAID = 200


@dataclass(frozen=True)
class Patience:
    """How often and how long to try.

    Attributes:
        attempts: for one question.
        timeout: seconds for one attempt.
        first_wait: seconds before the second attempt; doubled after each.
        longest_wait: seconds at most between two attempts, whatever ``Retry-After`` says.
    """

    attempts: int = 6
    timeout: float = 300.0
    first_wait: float = 1.0
    longest_wait: float = 60.0


class _Again(Exception):  # noqa: N818 - not an error
    """An attempt that failed and may succeed later. Args: why, seconds that the server asks for."""

    def __init__(self, why: str, after: float = 0.0) -> None:
        super().__init__(why)
        self.after = after


class EndpointEngine:
    """An `Engine` behind an address.

    Args:
        url: of the server, or of its API (``http://HOST:8000``, ``https://HOST/v1``).
        name: of the model, as the server knows it.
        concurrency: requests at once.
        sleep: for tests; None: waits, unless the engine is closed.

    Raises:
        UsageError: the address is not an address, or holds a password.
    """

    independent = True

    def __init__(
        self,
        url: str,
        name: str,
        concurrency: int = 16,
        patience: Patience = Patience(),
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.username is not None or parts.password is not None:
            raise UsageError(
                f"{parts.hostname}: the address must not hold a key; set {KEY_VARIABLE}"
            )
        if not parts.hostname:
            raise UsageError(f"{url}: give http://HOST:PORT or https://HOST/v1")
        self._url = chat_url(url)
        self._closed = threading.Event()
        self._name, self._patience = name, patience
        self._sleep = self._closed.wait if sleep is None else sleep
        key = os.environ.get(KEY_VARIABLE, "").strip()
        # Redirects are not followed: the key is for this address only.
        self._client = httpx2.Client(
            headers={"Authorization": f"Bearer {key}"} if key else {}, timeout=patience.timeout
        )
        self._pool = ThreadPoolExecutor(concurrency)

    def length(self, question: Question, decoding: Decoding) -> int:
        """Questions are sent one by one, so their lengths do not matter."""
        return 0

    def generate(self, questions: Sequence[Question], decoding: Decoding) -> list[str | Unanswered]:
        return list(self._pool.map(lambda question: self._ask(question, decoding), questions))

    def close(self) -> None:
        """Ends when the requests on their way are answered; none is sent again."""
        self._closed.set()
        self._pool.shutdown(cancel_futures=True)
        self._client.close()

    def _ask(self, question: Question, decoding: Decoding) -> str | Unanswered:
        body = self._body(question, decoding)
        for attempt in range(1, self._patience.attempts + 1):
            try:
                answer = self._attempt(body)
            except _Again as again:
                if attempt == self._patience.attempts or self._closed.is_set():
                    raise CauldronError(
                        f"{self._url} does not answer after {attempt} attempts ({again}); answers "
                        "so far are kept: run the same command again when it does"
                    ) from None
                self._sleep(self._wait(attempt, again.after))
            else:
                return answer if isinstance(answer, Unanswered) else decoding.cut(answer)
        raise AssertionError("an attempt returns or raises")

    def _wait(self, attempt: int, after: float) -> float:
        backoff = self._patience.first_wait * 2.0 ** (attempt - 1) * random.uniform(0.5, 1.0)
        return min(max(backoff, after), self._patience.longest_wait)

    def _body(self, question: Question, decoding: Decoding) -> bytes:
        request: dict[str, Any] = {
            "model": self._name,
            "messages": [{"role": "user", "content": [_part(part) for part in question.parts]}],
            "max_tokens": decoding.max_new_tokens,
            "temperature": 0,
            "stop": list(decoding.stop_words),
        }
        return json.dumps(request).encode()

    def _attempt(self, body: bytes) -> str | Unanswered:
        """Raises _Again, and CauldronError if the endpoint is not the right one."""
        try:
            response = self._client.post(
                self._url, content=body, headers={"Content-Type": "application/json"}
            )
        except httpx2.TransportError as error:
            raise _Again(first_line(error)) from None
        status = response.status_code
        if status in _RETRIED or status >= 500:
            raise _Again(f"status {status}", parse_retry_after(response.headers.get("Retry-After")))
        said = " ".join(response.text[:_SAID].split())
        if status in _MISCONFIGURED or 300 <= status < 400:
            raise CauldronError(
                f"{self._url} answers {status} ({said}); check the address, --model-name and "
                f"{KEY_VARIABLE}"
            )
        if status != 200:
            return Unanswered(f"status {status}: {said}")
        try:
            return parse_answer(response.content).text
        except ValueError:
            raise _Again(f"a body that is no chat completion: {said!r}") from None


def _part(part: str | bytes) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    kind = next(kind for magic, kind in _FORMATS.items() if part.startswith(magic))
    data = base64.b64encode(part).decode("ascii")
    return {"type": "image_url", "image_url": {"url": f"data:image/{kind};base64,{data}"}}
