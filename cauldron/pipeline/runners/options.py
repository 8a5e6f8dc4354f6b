"""Beam options: what the user typed, checked, and filled in for the runner.

Runners are of two kinds. A local one runs our code on this machine: Beam's own runners, and any
runner with ``--environment_type=LOOPBACK``. Every other one counts as remote: its workers get our
code as a wheel, and do not see the folders of this machine.

The local default pins Beam's FnApiRunner, because ``DirectRunner`` picks one of three engines by
the network and the transforms at hand. Small jobs run in this process; a job with enough work to
pay for the start of worker processes (about 4 s) runs one per core.
"""

from __future__ import annotations

import os
import tempfile
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache

from apache_beam.options.pipeline_options import (
    DirectOptions,
    FlinkRunnerOptions,
    GoogleCloudOptions,
    PipelineOptions,
    PortableOptions,
    SetupOptions,
    SparkRunnerOptions,
    StandardOptions,
    WorkerOptions,
)

from cauldron.core import storage
from cauldron.core.errors import UsageError
from cauldron.core.names import did_you_mean
from cauldron.pipeline.runners.remote.wheel import write_wheel

# Below this much input one process is done before others have started: ingest runs at about
# 60 MB/s and core here (benchmarks/README.md), and starting two workers takes about 4 s.
SMALL_JOB_BYTES = 256 * 1024 * 1024

# What one job may shuffle. Our local runner keeps it on disk, in the output (`spilled.py`). Other
# runners on this machine may keep it in memory, four times over.
DISK_SHUFFLE_BYTES = 5_000_000_000
MEMORY_SHUFFLE_BYTES = 250_000_000
REMOTE_SHUFFLE_BYTES = 1 << 50

LOCAL_RUNNER = "FnApiRunner"
# Their options are all among Beam's own. Another runner may have more that only it knows.
_KNOWN_RUNNERS = ("fnapirunner", "directrunner", "prismrunner", "dataflowrunner")
_LOCAL_RUNNERS = (
    *("fnapirunner", "directrunner", "bundlebaseddirectrunner", "switchingdirectrunner"),
    *("prismrunner", "interactiverunner", "testdirectrunner"),
)
_MODE_OPTIONS = ("--direct_running_mode", "--direct_num_workers")
# Beam ends the stream of a job's states after this many seconds, 300 by default, and with it the
# job. So it must be longer than any job: 90 days.
JOB_SECONDS = 90 * 24 * 3600
_DASK_CLUSTER = ("--dask_client_address", "--dask_scheduler_file")
_TIMEOUT_OPTIONS = ("--job_server_timeout", "--job-server-timeout")


class TokenOptions(PipelineOptions):  # type: ignore[misc]
    """How workers on other machines get the token of the hub."""

    @classmethod
    def _add_argparse_args(cls, parser: ArgumentParser) -> None:
        parser.add_argument(
            *("--hf_token_secret", "--hf-token-secret"),
            metavar="projects/P/secrets/S/versions/V",
            help="Secret of Google Secret Manager from which workers read HF_TOKEN.",
        )
        parser.add_argument(
            *("--hf_token_on_workers", "--hf-token-on-workers"),
            action="store_true",
            default=False,
            help="Workers have HF_TOKEN in their environment.",
        )


def pipeline_options(arguments: Sequence[str], name: str, work_bytes: int) -> PipelineOptions:
    """Beam options from what the user typed, with the local default filled in.

    Args:
        name: of the job: ``ingest``, ``curate`` or ``mix``.
        work_bytes: what the job will read, to decide between one process and many.
    """
    options = PipelineOptions(list(arguments))
    standard = options.view_as(StandardOptions)
    if standard.runner is None:
        standard.runner = LOCAL_RUNNER
    if standard.runner == LOCAL_RUNNER and not _is_given(arguments, _MODE_OPTIONS):
        direct = options.view_as(DirectOptions)
        if work_bytes >= SMALL_JOB_BYTES and (os.cpu_count() or 1) > 1:
            direct.direct_running_mode = "multi_processing"
            direct.direct_num_workers = os.cpu_count()
    if not _is_given(arguments, _TIMEOUT_OPTIONS):
        options.view_as(PortableOptions).job_server_timeout = JOB_SECONDS
    # Everything that workers need is importable; pickling the caller's __main__ only breaks.
    setup = options.view_as(SetupOptions)
    setup.save_main_session = False
    if is_remote(arguments) and _needs_code(options):
        setup.extra_packages = [write_wheel(_wheel_folder().name)]
    cloud = options.view_as(GoogleCloudOptions)
    if cloud.job_name:
        cloud.job_name = f"{cloud.job_name}-{name}"
    elif standard.runner != LOCAL_RUNNER:
        cloud.job_name = f"cauldron-{name}"
    return options


def _is_given(arguments: Sequence[str], names: Sequence[str]) -> bool:
    return any(argument.split("=")[0] in names for argument in arguments)


def is_remote(arguments: Sequence[str]) -> bool:
    """Whether workers run elsewhere than on this machine, by what the user typed."""
    options = PipelineOptions(list(arguments))
    environment = options.view_as(PortableOptions).environment_type
    if environment is not None:
        return str(environment).upper() != "LOOPBACK"
    name = runner_name(options)
    # These run our code in this process unless they are given a cluster.
    if name == "flinkrunner":
        return options.view_as(FlinkRunnerOptions).flink_master not in ("[local]", "[auto]")
    if name == "daskrunner":
        return _is_given(arguments, _DASK_CLUSTER)
    if name == "sparkrunner":
        return not str(options.view_as(SparkRunnerOptions).spark_master_url).startswith("local")
    return name not in _LOCAL_RUNNERS


def runner_name(options: PipelineOptions) -> str:
    """In lower case, without a module: Beam takes either."""
    name = options.view_as(StandardOptions).runner or LOCAL_RUNNER
    return str(name).rpartition(".")[2].lower()


def _needs_code(options: PipelineOptions) -> bool:
    """Whether remote workers start without Cauldron: unless the user provides it. Workers of Dask
    run before there is a job, with what is installed there."""
    setup, worker = options.view_as(SetupOptions), options.view_as(WorkerOptions)
    provided = setup.setup_file or setup.extra_packages or worker.sdk_container_image
    return runner_name(options) != "daskrunner" and not provided


@lru_cache(maxsize=1)
def _wheel_folder() -> tempfile.TemporaryDirectory[str]:
    """Lives as long as this process: runners read the wheel when a job is submitted."""
    return tempfile.TemporaryDirectory(prefix="cauldron-wheel-")


def shuffle_limit(arguments: Sequence[str]) -> int:
    """Bytes that one job may shuffle, by where its runner keeps them."""
    if is_remote(arguments):
        return REMOTE_SHUFFLE_BYTES
    return DISK_SHUFFLE_BYTES if joins_on_disk(arguments) else MEMORY_SHUFFLE_BYTES


def joins_on_disk(arguments: Sequence[str]) -> bool:
    """Whether what a job joins waits in files of the output (`spilled.py`)."""
    return runner_name(PipelineOptions(list(arguments))) == LOCAL_RUNNER.lower()


def check_reach(arguments: Sequence[str], places: Mapping[str, str | None], shared: bool) -> None:
    """Refuse local folders for remote workers. Raises UsageError.

    Args:
        places: what the user typed, by option name.
        shared: the user says that workers see the same folders.
    """
    if shared or not is_remote(arguments):
        return
    for option, place in places.items():
        if place is not None and storage.is_local(place):
            runner = PipelineOptions(list(arguments)).view_as(StandardOptions).runner
            raise UsageError(
                f"--{option} {place}: workers of {runner} cannot reach a folder of this machine; "
                "give a gs:// path, or add --shared-folders if they see the same folders"
            )


def check_arguments(arguments: Sequence[str]) -> None:
    """Refuse misspelt options before any work; a runner of which Beam knows little may have more.

    Raises:
        UsageError: neither Cauldron nor Beam has the option.
    """
    if runner_name(PipelineOptions(list(arguments))) not in _KNOWN_RUNNERS:
        return
    known = _spellings()
    for argument in arguments:
        name = argument.split("=")[0]
        if argument.startswith("--") and name not in known:
            raise UsageError(
                f"no such option: {name} (neither Cauldron's nor Beam's){did_you_mean(name, known)}"
            )


@cache
def _spellings() -> frozenset[str]:
    """Every spelling of every option that Beam has, with the dashes.

    Keys of `PipelineOptions.get_all_options` will not do: ``--worker_machine_type``, for example,
    is `machine_type` there.
    """
    found: set[str] = set()
    PipelineOptions([]).get_all_options(
        add_extra_args_fn=lambda parser: found.update(parser._option_string_actions)
    )
    return frozenset(found)
