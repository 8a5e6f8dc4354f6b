"""The worker image, built and run by buildah without a Docker daemon, on a stand-in for its bases.

The bases of the Dockerfile come from Docker Hub, which tests do not ask. The stand-in has their
names and what the Dockerfile takes from them: Debian bookworm with its Python 3.11 and pip, and
Beam's boot program at its place, built from Beam's Go module of the locked version. What else
Beam's image has (Beam itself, more packages, Google's command line) does not reach ours.

Debian, Go's modules and PyPI are reached as this machine does: pip's configuration and certificates
are mounted while an image is built, and are not in it.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from cauldron.pipeline.runners.lock import locked
from tests.processes import processes_of

REPOSITORY = Path(__file__).parent.parent.parent
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
SLIM = "docker.io/library/python:3.11-slim-bookworm"
BOOT = "/opt/apache/beam/boot"
PACKAGES = "ca-certificates,python3,python3-pip,python3-setuptools,python3-venv,python3-wheel"
# Beam's boot program opens it, and has no option for another.
PORT = 50000


def missing() -> str | None:
    """Why images cannot be built here, or None."""
    tools = [name for name in ("buildah", "debootstrap", "go") if shutil.which(name) is None]
    if tools:
        return f"{', '.join(tools)} not installed"
    return None if os.geteuid() == 0 else "buildah's chroots need root"


class Images:
    """A store of images in a folder; one that is there already is used again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._pip = folder / "pip.conf"
        self._pip.write_text(f"[global]\ncert = {CERTIFICATES}\n" + _indexes())

    def buildah(self, *arguments: str) -> str:
        """Runs to its end; its output, as an error if it failed."""
        done = subprocess.run(
            self.command(*arguments), cwd=REPOSITORY, capture_output=True, text=True
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
        return done.stdout.strip()

    def command(self, *arguments: str) -> list[str]:
        store, state = self.folder / "store", self.folder / "state"
        return ["buildah", "--root", str(store), "--runroot", str(state), *arguments]

    def make_bases(self) -> None:
        if self.has(SLIM):
            return
        beam = locked()["apache-beam"]
        root = self.folder / "debian"
        shutil.rmtree(root, ignore_errors=True)
        _call("debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(root))
        # The official image's Python is nobody's but pip's, and is called `python`.
        (root / "usr/lib/python3.11/EXTERNALLY-MANAGED").unlink()
        (root / "usr/bin/python").symlink_to("python3")
        boot = f"github.com/apache/beam/sdks/v2/python/container@v{beam}"
        _call("go", "install", boot, GOBIN=str(self.folder), CGO_ENABLED="0")

        first = self.buildah("from", "scratch")
        self.buildah("add", "--quiet", first, str(root), "/")
        self.buildah("commit", "--quiet", first, "slim")
        # As Beam's image, the first stage can compile, with the headers of Python.
        install = "apt-get update && apt-get install -y --no-install-recommends python3-dev"
        self.inside(first, "sh", "-c", install)
        self.buildah("copy", "--quiet", first, str(self.folder / "container"), BOOT)
        self.buildah("commit", "--quiet", first, f"docker.io/apache/beam_python3.11_sdk:{beam}")
        self.buildah("rm", first)
        self.buildah("tag", "slim", SLIM)
        shutil.rmtree(root)

    def build(self, name: str, dockerfile: str, folder: Path = REPOSITORY) -> None:
        mounts = [f"{self._pip}:/etc/pip.conf:ro", f"{_certificates()}:{CERTIFICATES}:ro"]
        options = [*("--isolation", "chroot", "--pull-never", "--layers", "-t", name)]
        options += [part for mount in mounts for part in ("--volume", mount)]
        self.buildah("build", *options, "-f", dockerfile, str(folder))

    def has(self, name: str) -> bool:
        return subprocess.run(self.command("inspect", name), capture_output=True).returncode == 0

    def config(self, name: str) -> dict[str, Any]:
        """What Docker calls so: environment, entry point, …"""
        found = json.loads(self.buildah("inspect", "--type", "image", name))
        return dict(found["Docker"]["config"])

    def size(self, name: str) -> str:
        return self.buildah("images", "--format", "{{.Size}}", name)

    def container(self, name: str) -> str:
        return self.buildah("from", "--pull-never", name)

    def inside(self, container: str, *command: str) -> str:
        return self.buildah("run", "--isolation", "chroot", container, "--", *command)


class WorkerPool:
    """A container that starts a worker for each job that asks for one, as an image's entry point
    does with ``--worker_pool``.

    Args:
        shared: a folder that the container sees under its own name.
    """

    def __init__(self, images: Images, name: str, shared: Path) -> None:
        self._images, self._shared = images, shared
        self._container = images.container(name)
        (entry,) = images.config(name)["Entrypoint"]
        run = ["run", "--isolation", "chroot", "--volume", f"{shared}:{shared}"]
        run += ["--env", f"BUILD_OF={shared}", self._container, "--", entry, "--worker_pool"]
        self.log = shared / "pool.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(images.command(*run), stdout=log, stderr=log)
        self._wait()

    def _wait(self) -> None:
        for _ in range(600):
            assert self._process.poll() is None, self.log.read_text()
            with socket.socket() as connection:
                if connection.connect_ex(("localhost", PORT)) == 0:
                    return
            time.sleep(0.2)
        raise AssertionError(f"no worker pool: {self.log.read_text()}")

    def works(self) -> bool:
        """Whether a worker of it has begun to write the corpus."""
        return any(self._shared.glob("out/corpus/*/*/*.tar*"))

    def kill(self) -> None:
        """All its processes, as when a machine is lost."""
        for process in processes_of(self._shared):
            os.kill(process, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        self.kill()
        self._images.buildah("rm", self._container)


def _call(*command: str, **environment: str) -> None:
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


def _pip_settings() -> dict[str, str]:
    """From pip's files and environment, by their names: ``index-url``, ``cert``, …"""
    command = [sys.executable, "-m", "pip", "config", "list"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    pairs = [line.partition("=")[::2] for line in lines]
    return {name.rpartition(".")[2]: ast.literal_eval(value) for name, value in pairs}


def _indexes() -> str:
    found = _pip_settings()
    names = [name for name in ("index-url", "extra-index-url", "trusted-host") if name in found]
    return "".join(f"{name} = {found[name]}\n" for name in names)


def _certificates() -> str:
    return _pip_settings().get("cert", CERTIFICATES)
