"""A model endpoint without a model: the OpenAI protocol, answers by rule.

``python -m cauldron.sample.model_server --port 8000`` serves ``/v1/chat/completions`` (streaming
off) and ``/v1/models``, so that pipelines that ask a model run without a network. It answers as
`cauldron.sample.model_answers` says, and misbehaves on demand: ``--fault 429=0.1`` refuses a tenth
of the requests. Transport faults hit a request on its first attempts only (`FAULTY_ATTEMPTS`).
Flaws of the text hit a question always, as with a real model at temperature 0.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import IO, Any, get_args

from aiohttp import web

from cauldron.sample.model_answers import Flaw, answer_to, text_of

TRANSPORT = ("400", "401", "403", "429", "500", "503", "slow", "cut", "malformed")
FLAWS: tuple[Flaw, ...] = get_args(Flaw)
FAULTY_ATTEMPTS = 2


@dataclass(frozen=True)
class Asked:
    """A line of the log.

    Attributes:
        question: digest of the request's body; equal requests have equal digests.
        label: the fault or flaw of the answer, "" if it has none.
        started: seconds since the epoch.
        completed: the whole answer was sent.
    """

    question: str
    label: str
    status: int
    started: float
    seconds: float
    key: str | None
    completed: bool


@dataclass
class Behaviour:
    """How the server answers.

    Attributes:
        delay: seconds before each answer.
        faults: the part of the questions that a fault or flaw hits, 0 to 1, by its name.
        slow: seconds before an answer with the fault ``slow``.
        retry_after: the header that is sent with 429 and 503.
        faulty_attempts: how often a transport fault hits a question before it is answered.
    """

    delay: float = 0.0
    faults: Mapping[str, float] = field(default_factory=dict)
    slow: float = 5.0
    retry_after: str | None = None
    faulty_attempts: int = FAULTY_ATTEMPTS

    def __post_init__(self) -> None:
        unknown = set(self.faults) - {*TRANSPORT, *FLAWS}
        if unknown:
            known = ", ".join((*TRANSPORT, *FLAWS))
            raise ValueError(f"no such fault: {', '.join(sorted(unknown))}; there are: {known}")

    def fault_of(self, question: str) -> str:
        """The fault that hits a question; "" if none does."""
        drawn = int(question[:8], 16) / 2**32
        for fault, share in self.faults.items():
            if drawn < share:
                return fault
            drawn -= share
        return ""


class ModelServer:
    """The server, in a thread of its own; a context manager.

    Attributes:
        behaviour: may be changed while it runs.
        asked: every request, oldest first.
    """

    def __init__(self, behaviour: Behaviour | None = None, port: int = 0, log: str = "") -> None:
        self.behaviour = behaviour or Behaviour()
        self.asked: list[Asked] = []
        self._port = port
        self._log: IO[str] | None = open(log, "a", buffering=1) if log else None  # noqa: SIM115
        self._attempts: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        assert self._runner is not None, "use the server as a context manager"
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    @property
    def answered(self) -> Counter[str]:
        """How often each question was answered."""
        return Counter(
            line.question for line in self.asked if line.status == 200 and line.completed
        )

    def __enter__(self) -> ModelServer:
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        if self._log is not None:
            self._log.close()

    async def _start(self) -> None:
        app = web.Application(client_max_size=1 << 28)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/v1/models", self._models)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, backlog=1024).start()

    async def _stop(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _models(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"object": "list", "data": [{"id": "rules", "object": "model"}]})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        started, data = time.time(), await request.read()
        question = hashlib.blake2b(data, digest_size=16).hexdigest()
        fault = self.behaviour.fault_of(question)
        self._attempts[question] += 1
        if fault in TRANSPORT and self._attempts[question] > self.behaviour.faulty_attempts:
            fault = ""
        status, completed = 200, False
        try:
            await asyncio.sleep(self.behaviour.slow if fault == "slow" else self.behaviour.delay)
            response = self._response(data, fault)
            if fault == "cut":
                response = await _cut(request, response)
            status, completed = response.status, fault not in ("cut", "malformed")
            return response
        finally:
            bearer = request.headers.get("Authorization", "").removeprefix("Bearer ") or None
            seconds = time.time() - started
            self._write(Asked(question, fault, status, started, seconds, bearer, completed))

    def _response(self, data: bytes, fault: str) -> web.Response:
        if fault.isdigit():
            said = {"error": {"message": f"injected {fault}", "type": "injected"}}
            after = self.behaviour.retry_after
            headers = {"Retry-After": after} if after and fault in ("429", "503") else {}
            return web.json_response(said, status=int(fault), headers=headers)
        try:
            completion = complete(json.loads(data), fault)
        except (ValueError, KeyError, TypeError) as error:
            said = {"error": {"message": f"not a chat completion request: {error!r}"}}
            return web.json_response(said, status=400)
        body = json.dumps(completion).encode()
        if fault == "malformed":
            body = body[: len(body) // 2]
        return web.Response(body=body, content_type="application/json")

    def _write(self, line: Asked) -> None:
        self.asked.append(line)
        if self._log is not None:
            said = asdict(line)
            del said["key"]  # no key is ever written to a file
            self._log.write(json.dumps(said) + "\n")


async def _cut(request: web.Request, response: web.Response) -> Any:
    """Send half of the body and close the connection."""
    body = response.body
    assert isinstance(body, bytes)
    half = web.StreamResponse(headers={"Content-Length": str(len(body))})
    await half.prepare(request)
    await half.write(body[: len(body) // 2])
    assert request.transport is not None
    request.transport.close()
    return half


def complete(request: dict[str, Any], fault: str) -> dict[str, Any]:
    """A chat completion. Tokens are counted as words."""
    flaw = next((flaw for flaw in FLAWS if flaw == fault), None)
    text = answer_to(request, flaw)
    asked = sum(len(text_of(message["content"]).split()) for message in request["messages"])
    words = text.split(" ")
    cut = len(words) > int(request.get("max_tokens", 1 << 30))
    if cut:
        words = words[: request["max_tokens"]]
    message = {"role": "assistant", "content": " ".join(words)}
    return {
        "id": "chatcmpl-rule",
        "object": "chat.completion",
        "created": 0,
        "model": request["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "length" if cut else "stop"}],
        "usage": {
            "prompt_tokens": asked,
            "completion_tokens": len(words),
            "total_tokens": asked + len(words),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--log", default="", help="a file that gets a JSON line for each request")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME=SHARE",
        help=f"a part of the questions, 0 to 1, goes wrong: {', '.join((*TRANSPORT, *FLAWS))}",
    )
    options = parser.parse_args()
    try:
        faults = {name: float(share) for name, share in (item.split("=") for item in options.fault)}
        behaviour = Behaviour(options.delay, faults)
    except ValueError as error:
        parser.error(f"--fault: {error}")
    with ModelServer(behaviour, options.port, options.log) as server:
        print(f"serving {server.url}/v1/chat/completions; Ctrl-C ends it", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
