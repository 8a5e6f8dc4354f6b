"""What a worker on another machine checks and gets before it works: versions, and the hub's token.

Each function of a job carries a `Start`. Loading it checks the worker, once in each process. So it
works on every runner, in whichever process a step runs, and a failure is the job's error.

The token itself never travels. What does is where to find it: a secret's name, or nothing where
the worker's environment has it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor

from cauldron.core.errors import CauldronError, UsageError
from cauldron.core.secrets import check_name, read_secret
from cauldron.pipeline.runners.options import TokenOptions, is_remote
from cauldron.pipeline.runners.remote.versions import check_same, versions

TOKEN = "HF_TOKEN"
_ATTRIBUTE = "_cauldron_start"
# The process that submits loads its own functions too.
_submitting: set[int] = set()


class Start:
    """Loading a copy of it, on a worker, is what starts the worker.

    Args:
        launcher: `versions` of the launcher.
        secret: the name of the token's secret; None: there is none.
        token_needed: the token must be in the worker's environment, or in the secret.
    """

    def __init__(self, launcher: Mapping[str, str], secret: str | None, token_needed: bool) -> None:
        self._values = (tuple(sorted(launcher.items())), secret, token_needed)

    def __reduce__(self) -> tuple[Any, ...]:
        return _load, self._values


def _load(launcher: tuple[tuple[str, str], ...], secret: str | None, token_needed: bool) -> Start:
    if os.getpid() not in _submitting:
        _start(launcher, secret, token_needed)
    return Start(dict(launcher), secret, token_needed)


@cache
def _start(launcher: tuple[tuple[str, str], ...], secret: str | None, token_needed: bool) -> None:
    """Raises CauldronError, in the worker."""
    check_same({socket.gethostname(): versions()}, dict(launcher))
    if os.environ.get(TOKEN):
        return
    if secret is not None:
        os.environ[TOKEN] = read_secret(secret)
    elif token_needed:
        raise CauldronError(
            f"worker {socket.gethostname()} has no {TOKEN} in its environment; give "
            "--hf_token_secret=projects/P/secrets/S/versions/latest"
        )


def prepare(pipeline: beam.Pipeline, arguments: Sequence[str]) -> None:
    """Give each function of a remote job a `Start`."""
    if not is_remote(arguments):
        return
    token = PipelineOptions(list(arguments)).view_as(TokenOptions)
    _submitting.add(os.getpid())
    pipeline.visit(_Attach(Start(versions(), token.hf_token_secret, token.hf_token_on_workers)))


class _Attach(PipelineVisitor):  # type: ignore[misc]
    def __init__(self, start: Start) -> None:
        self._start = start

    def visit_transform(self, node: AppliedPTransform) -> None:
        if isinstance(node.transform, beam.ParDo):
            setattr(node.transform.fn, _ATTRIBUTE, self._start)


def check_token(arguments: Sequence[str], restricted: Sequence[str]) -> None:
    """Refuse a build whose workers cannot read what this process could, by its own token.

    Args:
        restricted: repositories on the hub that are gated or private.

    Raises:
        UsageError: workers will have no token, or the secret has no proper name.
    """
    token = PipelineOptions(list(arguments)).view_as(TokenOptions)
    if token.hf_token_secret is not None:
        try:
            check_name(token.hf_token_secret)
        except UsageError as error:
            raise UsageError(f"--hf_token_secret: {error}") from None
    elif restricted and is_remote(arguments) and not token.hf_token_on_workers:
        raise UsageError(
            f"{restricted[0]} is gated or private, and workers have no {TOKEN}: give "
            "--hf_token_secret=projects/P/secrets/S/versions/latest, --hf_token_on_workers if "
            "it is in their environment, or --root with a copy"
        )
