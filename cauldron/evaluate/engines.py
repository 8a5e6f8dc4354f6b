"""Which engine answers, and what it needs: the model here, vLLM, or an endpoint.

Torch is imported only when a model is loaded.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from cauldron.core.errors import UsageError
from cauldron.core.generation import Engine
from cauldron.core.names import plain_name
from cauldron.core.sections.models import ModelRules
from cauldron.evaluate.endpoint import EndpointEngine
from cauldron.evaluate.predictions.files import Header
from cauldron.transforms.models.endpoint import Endpoint
from cauldron.transforms.models.store import answers_folder

EngineName = Literal["transformers", "vllm", "endpoint"]
_EXTRA = "evaluating a model here needs torch and transformers: pip install 'cauldron-vlm[train]'"
_NO_VLLM = "--engine vllm needs vLLM: pip install vllm"
# The key of an endpoint, unless --key-from names another place.
KEY_VARIABLE = "CAULDRON_API_KEY"
# For one answer: a slow server with long answers.
_SECONDS = 300.0
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class Choice(NamedTuple):
    """How the model is run.

    Attributes:
        model: run folder, exported folder, hub id, or address.
        batch: questions at once; of an endpoint, requests at once.
        served_as: the model's name at an endpoint.
        key_from: where the endpoint's key is, see `Endpoint`. None: in `KEY_VARIABLE`, if
            that is set.
    """

    model: str
    engine: EngineName
    batch: int
    served_as: str | None = None
    key_from: str | None = None

    def endpoint(self) -> Endpoint:
        """Raises UsageError if the address is not one, or holds a password."""
        assert self.served_as is not None
        return _endpoint(self.model, self.served_as, self.key_from, self.batch)


def choose(
    model: str,
    engine: str | None,
    batch: int,
    served_as: str | None,
    key_from: str | None = None,
) -> Choice:
    """Check the options. Raises UsageError."""
    is_address = model.startswith(("http://", "https://"))
    if is_address != ((engine or ("endpoint" if is_address else "")) == "endpoint"):
        raise UsageError(f"{model}: --engine endpoint takes an http(s) address, others a model")
    if is_address and served_as is None:
        raise UsageError("give --model-name, the name of the model at the endpoint")
    if not is_address and served_as is not None:
        raise UsageError("--model-name is for an endpoint; MODEL names the model here")
    if not is_address and key_from is not None:
        raise UsageError("--key-from is for an endpoint; a model here needs no key")
    name: EngineName = "endpoint" if is_address else "vllm" if engine == "vllm" else "transformers"
    if not is_address and any(
        importlib.util.find_spec(package) is None for package in ("torch", "transformers", "peft")
    ):
        raise UsageError(_EXTRA)
    if name == "vllm" and importlib.util.find_spec("vllm") is None:
        raise UsageError(_NO_VLLM)
    return Choice(model, name, batch, served_as, key_from)


def extractor_of(
    url: str | None, name: str | None, key_from: str | None, concurrency: int
) -> Endpoint | None:
    """The endpoint of the model that finds answers in texts; None without a URL.

    Raises:
        UsageError: an option is missing, or the address is none.
    """
    if url is None:
        if name is not None or key_from is not None:
            raise UsageError("--extractor-model and --extractor-key-from need --extractor URL")
        return None
    if name is None:
        raise UsageError("give --extractor-model, the name of the model at the extractor")
    return _endpoint(url, name, key_from, concurrency)


def _endpoint(url: str, name: str, key_from: str | None, concurrency: int) -> Endpoint:
    is_set = bool(os.environ.get(KEY_VARIABLE, "").strip())
    key_from = key_from or (KEY_VARIABLE if is_set else None)
    return Endpoint(url, ModelRules(name=name), key_from, concurrency, timeout=_SECONDS)


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
def opened(choice: Choice, folder: Path) -> Iterator[Engine]:
    """The engine, closed at the end.

    Args:
        folder: of the evaluation; answers of an endpoint are kept there.

    Raises:
        UsageError: the model cannot be loaded, or the endpoint's address is wrong.
    """
    if choice.engine == "endpoint":
        with closing(EndpointEngine(choice.endpoint(), answers_folder(str(folder)))) as engine:
            yield engine
    elif choice.engine == "vllm":
        from cauldron.training.generation_vllm import VllmEngine

        yield VllmEngine(choice.model)
    else:
        from cauldron.training.generation import device_of_rank, load_engine

        yield load_engine(choice.model, device_of_rank())
