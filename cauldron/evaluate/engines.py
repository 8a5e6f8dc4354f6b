"""Which engine answers, and what it needs: the model here, vLLM, or an endpoint.

Torch is imported only when a model is loaded.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

from cauldron.core.errors import UsageError
from cauldron.core.generation import Engine
from cauldron.core.names import plain_name
from cauldron.evaluate.endpoint import EndpointEngine
from cauldron.evaluate.predictions.files import Header

EngineName = Literal["transformers", "vllm", "endpoint"]
_EXTRA = "evaluating a model here needs torch and transformers: pip install 'cauldron-vlm[train]'"
_NO_VLLM = "--engine vllm needs vLLM: pip install vllm"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class Choice(NamedTuple):
    """How the model is run.

    Attributes:
        model: run folder, exported folder, hub id, or address.
        batch: questions at once; of an endpoint, requests at once.
        served_as: the model's name at an endpoint.
    """

    model: str
    engine: EngineName
    batch: int
    served_as: str | None = None


def choose(model: str, engine: str | None, batch: int, served_as: str | None) -> Choice:
    """Check the options. Raises UsageError."""
    is_address = model.startswith(("http://", "https://"))
    if is_address != ((engine or ("endpoint" if is_address else "")) == "endpoint"):
        raise UsageError(f"{model}: --engine endpoint takes an http(s) address, others a model")
    if is_address and served_as is None:
        raise UsageError("give --model-name, the name of the model at the endpoint")
    if not is_address and served_as is not None:
        raise UsageError("--model-name is for an endpoint; MODEL names the model here")
    name: EngineName = "endpoint" if is_address else "vllm" if engine == "vllm" else "transformers"
    if not is_address and any(
        importlib.util.find_spec(package) is None for package in ("torch", "transformers", "peft")
    ):
        raise UsageError(_EXTRA)
    if name == "vllm" and importlib.util.find_spec("vllm") is None:
        raise UsageError(_NO_VLLM)
    return Choice(model, name, batch, served_as)


def header_of(choice: Choice, root: str | None) -> Header:
    """What decides the predictions of this model."""
    weights, model = None, choice.model
    if choice.engine == "endpoint":
        model = f"{choice.served_as} at {choice.model}"
    else:
        from cauldron.training.generation import digest_of

        weights = digest_of(choice.model)
    # An endpoint is asked one question at a time, so the batch decides nothing.
    batch = 0 if choice.engine == "endpoint" else choice.batch
    return Header(model=model, weights=weights, engine=choice.engine, batch=batch, root=root)


def title_of(choice: Choice) -> str:
    """The name of the evaluation's folder."""
    if choice.served_as is not None:
        found = choice.served_as
    else:
        from cauldron.training.generation import name_of

        found = name_of(choice.model)
    return plain_name(_UNSAFE.sub("-", found).strip("-.") or "model")


@contextmanager
def opened(choice: Choice) -> Iterator[Engine]:
    """The engine, closed at the end. Raises UsageError if the model cannot be loaded."""
    if choice.engine == "endpoint":
        assert choice.served_as is not None
        endpoint = EndpointEngine(choice.model, choice.served_as, choice.batch)
        try:
            yield endpoint
        finally:
            endpoint.close()
    elif choice.engine == "vllm":
        from cauldron.training.generation_vllm import VllmEngine

        yield VllmEngine(choice.model)
    else:
        from cauldron.training.generation import device_of_rank, load_engine

        yield load_engine(choice.model, device_of_rank())
