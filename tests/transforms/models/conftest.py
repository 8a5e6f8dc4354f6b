"""A model server, and callers that end with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from cauldron.transforms.models import calls
from cauldron.transforms.models.ask import close_callers
from cauldron.transforms.models.endpoint import Endpoint
from cauldron.transforms.models.questions import Message, Question

from cauldron.core.sections.models import ModelRules
from cauldron.sample.model_server import ModelServer

MODEL = ModelRules(name="rules")

EndpointOf = Callable[..., Endpoint]


def questions(count: int, of: int | None = None) -> list[Question]:
    """`count` questions, `of` of them different."""
    texts = [f"say {n % (of or count)}" for n in range(count)]
    return [Question(str(n), (Message("user", (text,)),)) for n, text in enumerate(texts)]


@pytest.fixture
def server(monkeypatch) -> Iterator[ModelServer]:
    monkeypatch.setattr(calls, "_FIRST_WAIT", 0.01)
    with ModelServer() as running:
        yield running
        close_callers()


@pytest.fixture
def endpoint(server) -> EndpointOf:
    def make(**settings: object) -> Endpoint:
        return Endpoint(server.url, MODEL, **settings)  # type: ignore[arg-type]

    return make
