"""Every pipeline becomes a Dataflow job: written to a template file, offline."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import StandardOptions
from cauldron.transforms.curate.pipeline import CurateCorpora
from cauldron.transforms.curate.records import CurateJob, CurateSource
from cauldron.transforms.ingest import IngestPieces, SourceJob
from cauldron.transforms.mixing.pipeline import MixRows
from cauldron.transforms.mixing.plan import MixRun
from cauldron.transforms.mixing.selection import Terms
from cauldron.transforms.mixing.shuffle import MixJob, MixSource
from cauldron.transforms.normalise import SourceSettings
from cauldron.transforms.parts import part_markers

from cauldron.pipeline.runners.options import pipeline_options
from cauldron.pipeline.runners.remote.versions import versions
from cauldron.pipeline.runners.remote.wheel import write_wheel
from cauldron.pipeline.runners.runner import innermost
from cauldron.recipe import load_recipe

RECIPE = load_recipe("idefics3")


def ingest(pipeline: beam.Pipeline) -> None:
    settings = SourceSettings(
        source="dolly",
        license="cc-by-sa-3.0",
        images=RECIPE.images,
        text=RECIPE.text_rules("dolly"),
        language=RECIPE.language,
        classifiers=RECIPE.classifiers,
        tokenizer="estimate",
        options={},
    )
    job = SourceJob(settings, "gs://b/root", None, "gs://b/corpus", "gs://b/quarantine")
    markers = {job.corpus: part_markers(job.corpus, 1)}
    pieces = IngestPieces("gs://b/work.jsonl", {job.corpus: job}, markers)
    _ = pipeline | beam.Create([0], reshuffle=False) | pieces


def curate(pipeline: beam.Pipeline) -> None:
    job = CurateJob((CurateSource("dolly", "gs://b/corpus", 1),), 2, "gs://b/curation")
    _ = pipeline | beam.Create([0], reshuffle=False) | CurateCorpora(job)


def merge(pipeline: beam.Pipeline) -> None:
    source = CurateSource("lnqa", "gs://b/corpus", 1)
    job = CurateJob((source,), 2, "gs://b/curation", "merge", found=(("clusters", 2),))
    _ = pipeline | beam.Create([0], reshuffle=False) | CurateCorpora(job)


def mix(pipeline: beam.Pipeline) -> None:
    stage = RECIPE.stage("sft")
    job = MixJob((MixSource("dolly", "gs://b/corpus", 1, False),), stage, 0, "gs://b/data")
    mixed = MixRows(MixRun(Terms(stage, ["dolly"], {}), job, None, "run"))
    _ = pipeline | beam.Create(["gs://b/curation"], reshuffle=False) | mixed


@pytest.mark.parametrize("build", [ingest, curate, merge, mix])
def test_a_pipeline_becomes_a_dataflow_template(build, tmp_path):
    template = tmp_path / "template.json"
    options = pipeline_options(
        [
            "--runner=DataflowRunner",
            "--project=p",
            "--region=europe-west1",
            # No service is asked: a local endpoint, no credentials, everything staged in a folder.
            "--dataflow_endpoint=http://localhost:1",
            "--no_auth",
            f"--temp_location={tmp_path}",
            f"--staging_location={tmp_path}",
            f"--template_location={template}",
            "--experiments=disable_logging_submission_environment",
        ],
        build.__name__,
        work_bytes=0,
    )
    assert options.view_as(StandardOptions).runner == "DataflowRunner"
    pipeline = beam.Pipeline(options=options)
    build(pipeline)
    pipeline.run()
    job = json.loads(template.read_text())
    assert job["name"] == f"cauldron-{build.__name__}"
    staged = {path.name for path in tmp_path.rglob("*")}
    assert "pipeline.pb" in staged
    assert any(name.startswith("cauldron_vlm-") and name.endswith(".whl") for name in staged)


def test_the_wheel_for_workers_holds_the_packages_and_their_data(tmp_path):
    wheel = write_wheel(str(tmp_path))
    target = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([*command, "--target", str(target), wheel], check=True)
    version = importlib.metadata.version("cauldron-vlm")
    assert (target / f"cauldron_vlm-{version}.dist-info" / "METADATA").exists()
    assert (target / "cauldron" / "recipes" / "idefics3.yaml").exists()
    code = (
        "import cauldron.transforms.mixing.pipeline\n"
        "from cauldron.sources.catalog import registry; print(len(registry()))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(target)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert int(found.stdout) > 10
    code = (
        "from cauldron.pipeline.runners.remote.versions import versions; "
        "print(versions()['code of cauldron'])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(target)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout.strip() == versions()["code of cauldron"]


def test_equal_code_gives_an_equal_wheel(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    one, two = Path(write_wheel(str(first))), Path(write_wheel(str(second)))
    assert one.read_bytes() == two.read_bytes()


def test_small_jobs_run_in_this_process_and_large_ones_on_all_cores(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    small = pipeline_options([], "ingest", 1).get_all_options()
    large = pipeline_options([], "ingest", 10**12).get_all_options()
    assert small["runner"] == large["runner"] == "FnApiRunner"
    assert small["direct_running_mode"] == "in_memory"
    assert large["direct_running_mode"] == "multi_processing"
    assert large["direct_num_workers"] == 8


def test_what_the_user_chose_stays():
    typed = ["--runner=DirectRunner", "--direct_num_workers=3"]
    found = pipeline_options(typed, "mix", 10**12).get_all_options()
    assert found["runner"] == "DirectRunner"
    assert found["direct_num_workers"] == 3
    assert found["direct_running_mode"] == "in_memory"


def test_the_innermost_line_of_a_runners_error_is_told():
    error = RuntimeError(
        "Traceback (most recent call last):\n  File ...\n"
        "OSError: [Errno 28] No space left on device [while running 'Ingest/Read']\n"
    )
    assert innermost(error) == "OSError: [Errno 28] No space left on device"
    assert innermost(ValueError("plain")) == "plain"


def test_python_m_works_in_the_root_of_a_checkout_without_an_editable_install():
    code = (
        "import sys; sys.meta_path = [f for f in sys.meta_path if 'ditable' not in repr(f)]\n"
        "from cauldron.sources.catalog import registry; import cauldron.transforms.ingest\n"
        "import cauldron.training.config; print(len(registry()))"
    )
    root = Path(__file__).parents[1]
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert int(found.stdout) > 10
