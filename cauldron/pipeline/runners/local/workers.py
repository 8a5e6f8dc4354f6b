"""The worker processes of a build on this machine, and what happens when one of them is lost.

Beam waits forever for a worker process that was killed: nobody tells the runner that its answers
will not come. Here every worker is waited for. If one ends before the job does, the job fails with
the reason, and the other workers end too: they look for the job's flag (see
`cauldron.pipeline.runners.local.worker`), which is removed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_fn_api_pb2
from apache_beam.runners.portability.fn_api_runner.worker_handlers import (
    ControlFuture,
    GrpcWorkerHandler,
    WorkerHandler,
)
from apache_beam.runners.portability.local_job_service import SubprocessSdkWorker

logger = logging.getLogger(__name__)

URN = "cauldron:env:local_worker:v1"
GO_ON = "the same command goes on where it was"
LESS_MEMORY = "--direct_num_workers=1 takes less memory"
_READERS = ("beam_control_read", "read_grpc_client_inputs")
# Why the first lost worker of a job ended, by the job's flag.
_reasons: dict[str, str] = {}


class WorkerLost(Exception):  # noqa: N818 - says what happened
    """A worker process ended before the job did. The message is for the user."""


@contextlib.contextmanager
def lost_workers(flag: str) -> Iterator[None]:
    """Raises WorkerLost for whatever fails in the block once a worker is lost."""
    before = threading.excepthook

    def hook(failed: threading.ExceptHookArgs) -> None:
        """Beam's threads that read from a worker fail with it, and would print a traceback."""
        if failed.thread is not None and failed.thread.name in _READERS:
            logger.debug("%s: %s", failed.thread.name, failed.exc_value)
        else:
            before(failed)

    threading.excepthook = hook
    try:
        yield
    except Exception as error:
        if flag in _reasons:
            raise WorkerLost(_reasons[flag]) from error
        raise
    finally:
        _reasons.pop(flag, None)
        threading.excepthook = before


def use_local_workers(pipeline_proto: Any, flag: str) -> None:
    """Have the worker processes of a job made here.

    Args:
        flag: a file; workers end when it is gone.
    """
    for environment in pipeline_proto.components.environments.values():
        if environment.urn == python_urns.SUBPROCESS_SDK:
            environment.urn, environment.payload = URN, flag.encode()


@WorkerHandler.register_environment(URN, bytes)
class LocalWorkerHandler(GrpcWorkerHandler):  # type: ignore[misc]
    """Starts a worker process, and fails all that waits for it when it is lost."""

    def __init__(self, flag: bytes, state: Any, provision_info: Any, grpc_server: Any) -> None:
        super().__init__(state, provision_info, grpc_server)
        self._flag = flag.decode()
        self._closing = False

    def start_worker(self) -> None:
        python, flag = shlex.quote(sys.executable), shlex.quote(self._flag)
        # `exec`: the worker itself is this process's child, not a shell.
        command = f"exec {python} -m cauldron.pipeline.runners.local.worker {os.getpid()} {flag}"
        if not logger.isEnabledFor(logging.DEBUG):
            command += " quiet"
        self._worker = SubprocessSdkWorker(
            command.encode(), self.control_address, self.provision_info, self.worker_id
        )
        self._thread = threading.Thread(target=self._run, name="run_worker")
        self._thread.start()

    def stop_worker(self) -> None:
        self._thread.join()

    def close(self) -> None:
        self._closing = True
        super().close()

    def _run(self) -> None:
        """Wait for the process to end."""
        try:
            self._worker.run()
            code = 0
        except RuntimeError as error:
            # Beam tells the exit code at the end of a text.
            code = int(str(error).rsplit(" ", 1)[1])
        if not self._closing:
            self._lost(code)

    def _lost(self, code: int) -> None:
        reason = _reasons.setdefault(self._flag, reason_of(code))
        Path(self._flag).unlink(missing_ok=True)
        connection, push = self.control_conn, self.control_conn.push

        def refuse(request: Any) -> Any:
            """Answers every request; the mark that closes the connection is none."""
            if not isinstance(request, beam_fn_api_pb2.InstructionRequest):
                return push(request)
            number = request.instruction_id or "lost"
            return ControlFuture(
                number, beam_fn_api_pb2.InstructionResponse(instruction_id=number, error=reason)
            )

        connection.push = refuse
        # An error and not `connection.abort`: whoever reads a bundle's output asks whether its
        # answer is there, and an aborted one never is.
        for number, future in list(connection._futures_by_id.items()):
            future.set(beam_fn_api_pb2.InstructionResponse(instruction_id=number, error=reason))


def reason_of(code: int) -> str:
    """Why a worker process ended, in one line, by its exit code; negative for a signal."""
    if code == -signal.SIGKILL:
        return (
            "a worker process was killed (SIGKILL), most likely because memory ran out; "
            f"{GO_ON}, and {LESS_MEMORY}"
        )
    if code < 0:
        return f"a worker process was ended by {_signal_name(-code)}; {GO_ON}"
    return f"a worker process ended with exit code {code}; --verbose shows why"


def _signal_name(number: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"
