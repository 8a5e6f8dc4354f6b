"""A double of Google's Dataflow service that runs what is staged.

It answers the part of the REST API (v1b3) that Beam's Dataflow runner uses. A job is run in a clean
environment that holds Beam and the declared dependencies: the double takes ``pipeline.pb`` and the
packages from the object store, installs the packages, and lets Beam's local runner run the pipeline
with worker processes of that environment. Nothing of the submitting process reaches the workers.

    with FakeGcs(["b"]) as store, FakeDataflow(store, python, folder) as service:
        service.use(monkeypatch)
        service.fail_job("Workflow failed. Causes: no quota")
        service.kill_worker_of("mix")
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from apache_beam.runners.dataflow import dataflow_runner
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.doubles.gcs import FakeGcs
from tests.doubles.web import Double, Request, Response

DONE, FAILED, CANCELLED, RUNNING = (
    f"JOB_STATE_{state}" for state in ("DONE", "FAILED", "CANCELLED", "RUNNING")
)
# A client may send the number of the state.
_CANCEL = (CANCELLED, 5)
_WORKER = Path(__file__).with_name("dataflow_worker.py")
# Dataflow runs a failed work item four times in all.
_ATTEMPTS = 4


@dataclass
class DataflowJob:
    """A submitted job.

    Attributes:
        staged: names of the staged files.
        attempts: how often it was run.
        messages: (importance, text), oldest first.
    """

    id: str
    name: str
    request: dict[str, Any]
    state: str = RUNNING
    staged: list[str] = field(default_factory=list)
    attempts: int = 0
    messages: list[tuple[str, str]] = field(default_factory=list)

    def fail(self, text: str) -> None:
        self.messages.append(("ERROR", text))
        self.state = FAILED


class FakeDataflow(Double):
    """The service. It takes jobs for any project and region.

    Args:
        store: where jobs are staged.
        python: of the clean environment.
        folder: for the installed packages and the logs of jobs.
    """

    def __init__(self, store: FakeGcs, python: str, folder: Path) -> None:
        super().__init__()
        self.jobs: list[DataflowJob] = []
        self._store = store
        self._python = python
        self._folder = folder
        self._refusals: list[str] = []
        self._kills: list[str] = []
        self._interrupts: list[str] = []
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._environment: dict[str, str] = {}

    def use(self, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
        """Give this process credentials that the double accepts; returns the options of a build."""
        key = self._folder / "key.json"
        key.write_text(json.dumps(_service_account(f"{self._place}/token")))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
        monkeypatch.setattr(
            dataflow_runner, "time", SimpleNamespace(time=time.time, sleep=self._wait)
        )
        names = ("PATH", "HOME", "GOOGLE_APPLICATION_CREDENTIALS")
        found = {
            n: v
            for n, v in os.environ.items()
            if n in names or n.startswith(("FSSPEC", "GCSFS")) or n.endswith("_EMULATOR_HOST")
        }
        self._environment = {**found, "NO_PROXY": "127.0.0.1,localhost"}
        return (
            *("--runner=DataflowRunner", "--project=p", "--region=europe-west1"),
            *(f"--dataflow_endpoint={self._place}", "--temp_location=gs://bucket/tmp"),
            "--experiments=disable_logging_submission_environment",
        )

    def fail_job(self, text: str) -> None:
        """The next job fails at once with this message, like one without quota."""
        self._refusals.append(text)

    def kill_worker_of(self, name: str) -> None:
        """Kill the worker of the next job with `name` in its name, once it works."""
        self._kills.append(name)

    def interrupt(self, name: str) -> None:
        """Ctrl-C in the submitting process while a job with `name` in its name runs."""
        self._interrupts.append(name)

    def _wait(self, seconds: float) -> None:
        """Beam's pause of 5 s between two looks at a job, shortened."""
        time.sleep(min(seconds, 0.3))
        if threading.current_thread() is not threading.main_thread():
            return
        for name in self._interrupts:
            if name in self.jobs[-1].name:
                self._interrupts.remove(name)
                raise KeyboardInterrupt

    @property
    def _place(self) -> str:
        # Beam takes an endpoint for a test's only if this word is in it.
        return f"http://localhost:{self.port}"

    def answer(self, request: Request) -> Response:
        parts = request.parts
        if parts == ["token"]:
            return _json({"access_token": "fake", "expires_in": 3600, "token_type": "Bearer"})
        if parts[-1] == "jobs" and request.method == "POST":
            return _json(self._submit(json.loads(request.body)))
        job = next((job for job in self.jobs if job.id in parts), None)
        if job is None:
            return Response(404, b'{"error": {"code": 404, "message": "no such job"}}')
        if parts[-1] == "messages":
            return _json({"jobMessages": list(_messages(job))})
        if parts[-1] == "metrics":
            return _json({"metrics": []})
        if request.method == "PUT" and json.loads(request.body)["requestedState"] in _CANCEL:
            job.state = CANCELLED
            if process := self._running.pop(job.id, None):
                process.kill()
        return _json(_about(job))

    def _submit(self, request: dict[str, Any]) -> dict[str, Any]:
        job = DataflowJob(f"job-{len(self.jobs):03}", request["name"], request)
        self.jobs.append(job)
        if self._refusals:
            job.fail(self._refusals.pop(0))
        else:
            threading.Thread(target=self._run, args=(job,), daemon=True).start()
        # A new job runs, whatever becomes of it.
        return {**_about(job), "currentState": RUNNING}

    def _run(self, job: DataflowJob) -> None:
        try:
            pipeline, site = self._fetch(job)
            while job.state == RUNNING and job.attempts < _ATTEMPTS:
                job.attempts += 1
                self._attempt(job, pipeline, site)
            if job.state == RUNNING:
                job.fail("Workflow failed. Causes: a work item was attempted 4 times.")
        except Exception as error:  # the test must see it as the end of the job
            job.fail(f"the double failed: {error!r}")

    def _fetch(self, job: DataflowJob) -> tuple[Path, Path]:
        """Take what is staged; returns the pipeline and the folder of the installed packages."""
        options = job.request["environment"]["sdkPipelineOptions"]["options"]
        bucket, _, path = options["pipelineUrl"].removeprefix("gs://").partition("/")
        prefix = path.rpartition("/")[0] + "/"
        folder = self._folder / job.id
        folder.mkdir()
        for name, data in self._store.objects(bucket).items():
            if name.startswith(prefix):
                job.staged.append(name.removeprefix(prefix))
                (folder / job.staged[-1]).write_bytes(data)
        site = folder / "site"
        wheels = [str(path) for path in sorted(folder.glob("*.whl"))]
        command = [self._python, "-m", "pip", "install", "-q", "--no-deps", "--no-index"]
        subprocess.run([*command, "--target", str(site), *wheels], check=True)
        return folder / "pipeline.pb", site

    def _attempt(self, job: DataflowJob, pipeline: Path, site: Path) -> None:
        log = pipeline.parent / f"attempt-{job.attempts}.log"
        kill = next((name for name in self._kills if name in job.name), "")
        if kill:
            self._kills.remove(kill)
        command = [self._python, str(_WORKER), str(pipeline), str(site), "kill" if kill else ""]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=pipeline.parent, env=self._environment, stdout=output, stderr=output
            )
            self._running[job.id] = process
            status = process.wait()
            self._running.pop(job.id, None)
        if job.state != RUNNING:
            return
        if status == 0:
            job.state = DONE
        else:
            job.messages.append(("ERROR", log.read_text(errors="replace")[-8000:]))

    def __exit__(self, *error: object) -> None:
        for process in list(self._running.values()):
            with suppress(ProcessLookupError):
                process.kill()
        super().__exit__(*error)


def _about(job: DataflowJob) -> dict[str, Any]:
    return {
        "id": job.id,
        "name": job.name,
        "projectId": "p",
        "type": "JOB_TYPE_BATCH",
        "currentState": job.state,
        "clientRequestId": job.request.get("clientRequestId", ""),
    }


def _messages(job: DataflowJob) -> Iterator[dict[str, str]]:
    for number, (importance, text) in enumerate(job.messages):
        yield {
            "id": str(number),
            "time": f"2026-01-01T00:00:{number:02}Z",
            "messageText": text,
            "messageImportance": f"JOB_MESSAGE_{importance}",
        }


def _service_account(token_uri: str) -> dict[str, str]:
    """A key that was made a moment ago and is known nowhere."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.PKCS8
    text = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return {
        "type": "service_account",
        "project_id": "p",
        "private_key_id": "x",
        "private_key": text.decode(),
        "client_email": "test@p.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": token_uri,
    }


def _json(value: Any) -> Response:
    return Response(200, json.dumps(value).encode(), {"Content-Type": "application/json"})


def clean_python() -> str | None:
    """The interpreter of the clean environment that `.ci/run` makes, or None."""
    found = os.environ.get("CAULDRON_WORKER_PYTHON")
    return found if found != sys.executable else None
