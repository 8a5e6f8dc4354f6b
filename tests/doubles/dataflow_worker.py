"""Run a staged pipeline: for the double of Dataflow, with the interpreter of a clean environment.

Usage: dataflow_worker.py PIPELINE.pb SITE [kill]

The pipeline's environments are replaced by a worker process of this interpreter that sees the
packages in SITE. With ``kill``, that process ends by SIGKILL a second after its start.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_provision_api_pb2, beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner.fn_runner import (
    ExtendedProvisionInfo,
    FnApiRunner,
)
from apache_beam.runners.portability.portable_runner import JobServiceHandle
from apache_beam.transforms.environments import SubprocessSDKEnvironment


def main(pipeline: str, site: str, kill: str = "") -> None:
    with open(pipeline, "rb") as file:
        proto = beam_runner_api_pb2.Pipeline.FromString(file.read())
    path = f"PYTHONPATH={shlex.quote(site)}"
    python = shlex.quote(sys.executable)
    command = f"exec env {path} {python} -m apache_beam.runners.worker.sdk_worker_main"
    worker = SubprocessSDKEnvironment.from_command_string(command).to_runner_api(None)
    for environment in proto.components.environments.values():
        environment.urn, environment.payload = worker.urn, worker.payload
        del environment.dependencies[:]
    options = PipelineOptions([])
    encoded = JobServiceHandle.encode_pipeline_options(options.get_all_options())
    info = ExtendedProvisionInfo(beam_provision_api_pb2.ProvisionInfo(pipeline_options=encoded))
    if kill:
        threading.Thread(target=_kill_worker, daemon=True).start()
    FnApiRunner(provision_info=info).run_via_runner_api(proto, options)


def _kill_worker() -> None:
    """Kill the worker process; the runner does not survive that, so end it too."""
    while True:
        listed = subprocess.run(
            ["ps", "-o", "pid=,args=", "--ppid", str(os.getpid())], capture_output=True, text=True
        ).stdout
        for line in listed.splitlines():
            pid, _, arguments = line.strip().partition(" ")
            if "sdk_worker_main" in arguments:
                time.sleep(1)
                os.kill(int(pid), signal.SIGKILL)
                print("WorkerKilled: the machine was taken away", flush=True)
                os._exit(1)
        time.sleep(0.05)


if __name__ == "__main__":
    main(*sys.argv[1:])
