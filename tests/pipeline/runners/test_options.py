"""What becomes of the user's Beam options, by runner."""

from __future__ import annotations

import pytest
from apache_beam.options.pipeline_options import (
    GoogleCloudOptions,
    PortableOptions,
    SetupOptions,
    WorkerOptions,
)

from cauldron.core.errors import UsageError
from cauldron.pipeline.runners import options

LOCAL = [
    [],
    ["--runner=DirectRunner"],
    ["--runner", "fnapirunner"],
    ["--runner=PrismRunner"],
    ["--runner=DaskRunner", "--dask_npartitions=4"],
    ["--runner=FlinkRunner"],
    ["--runner=SparkRunner"],
    ["--runner=PortableRunner", "--job_endpoint=localhost:1", "--environment_type=LOOPBACK"],
    ["--runner=apache_beam.runners.direct.direct_runner.BundleBasedDirectRunner"],
]
REMOTE = [
    ["--runner=DataflowRunner"],
    ["--runner=dataflowrunner"],
    ["--runner=FlinkRunner", "--flink_master=jobs.example:8081"],
    ["--runner=SparkRunner", "--spark_master_url=spark://jobs.example:7077"],
    ["--runner=PortableRunner", "--job_endpoint=jobs.example:8099"],
    ["--runner=PrismRunner", "--environment_type=DOCKER"],
    ["--runner=DaskRunner", "--dask_client_address=tcp://jobs.example:8786"],
]


@pytest.mark.parametrize("arguments", LOCAL, ids=" ".join)
def test_a_local_runner_reads_folders_and_gets_no_wheel(arguments: list[str]) -> None:
    options.check_reach(arguments, {"root": "/data", "output": "out"}, shared=False)
    limit = options.shuffle_limit(arguments)
    own = not arguments or "fnapirunner" in arguments
    assert limit == (options.DISK_SHUFFLE_BYTES if own else options.MEMORY_SHUFFLE_BYTES)
    found = options.pipeline_options(arguments, "mix", 0)
    assert found.view_as(SetupOptions).extra_packages is None


@pytest.mark.parametrize("arguments", REMOTE, ids=" ".join)
def test_every_other_runner_is_remote(arguments: list[str]) -> None:
    places = {"root": "gs://b/hub", "output": "/data/out"}
    with pytest.raises(UsageError, match=r"--output /data/out: workers of .*--shared-folders"):
        options.check_reach(arguments, places, shared=False)
    options.check_reach(arguments, places, shared=True)
    assert options.shuffle_limit(arguments) == options.REMOTE_SHUFFLE_BYTES
    found = options.pipeline_options(arguments, "mix", 0)
    wheels = found.view_as(SetupOptions).extra_packages or []
    assert [wheel[-4:] for wheel in wheels] == [".whl"] * ("DaskRunner" not in arguments[0])
    assert found.view_as(GoogleCloudOptions).job_name == "cauldron-mix"


def test_an_image_of_the_users_has_the_code() -> None:
    arguments = ["--runner=DataflowRunner", "--sdk_container_image=gcr.io/p/cauldron"]
    found = options.pipeline_options(arguments, "mix", 0)
    assert found.view_as(SetupOptions).extra_packages is None


def test_no_job_dies_of_age_unless_the_user_says_so() -> None:
    for typed, expected in ([], options.JOB_SECONDS), (["--job_server_timeout=7"], 7):
        found = options.pipeline_options(["--runner=PortableRunner", *typed], "mix", 0)
        assert found.view_as(PortableOptions).job_server_timeout == expected


def test_options_are_known_by_their_spelling() -> None:
    typed = [
        *("--runner=DataflowRunner", "--worker_machine_type=n2-standard-8", "--no_use_public_ips"),
        *("--extra_package=x.whl", "--label=a=b", "--experiment=x", "--dataflow_service_option=y"),
        *("--job-server-timeout=9", "--num_workers", "3"),
    ]
    options.check_arguments(typed)
    found = options.pipeline_options(typed, "mix", 0)
    assert found.view_as(WorkerOptions).machine_type == "n2-standard-8"
    assert found.view_as(PortableOptions).job_server_timeout == 9


def test_an_unknown_option_names_the_nearest_one() -> None:
    with pytest.raises(UsageError, match=r"no such option: --worker_machine_typ .*'--worker_mach"):
        options.check_arguments(["--runner=DataflowRunner", "--worker_machine_typ=x"])


def test_a_runner_that_beam_knows_little_of_may_have_options_of_its_own() -> None:
    options.check_arguments(["--runner=DaskRunner", "--dask_npartitions=8"])
    options.check_arguments(["--runner=PortableRunner", "--parallelism=2", "--state_backend=x"])
