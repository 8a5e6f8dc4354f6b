"""The worker image and the lock file, as far as can be told without building: they fit together."""

from __future__ import annotations

import configparser
import re
import zipfile
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.version import Version

from cauldron.pipeline.runners.lock import locked, requirements
from cauldron.pipeline.runners.remote.wheel import write_wheel

REPOSITORY = Path(__file__).parent.parent
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text()
LOCK = (REPOSITORY / "requirements.lock").read_text()
# The image's, not this process's.
ON_WORKER = {**default_environment(), "python_version": "3.11", "python_full_version": "3.11.0"}


def of_lock() -> dict[str, Version]:
    found = [line.split("==") for line in LOCK.splitlines() if not line.startswith("#")]
    return {name: Version(version) for name, version in found}


def declared() -> list[Requirement]:
    parser = configparser.ConfigParser()
    parser.read(REPOSITORY / "setup.cfg")
    lines = parser["options"]["install_requires"].strip().splitlines()
    return [Requirement(line) for line in lines]


def test_the_base_image_has_the_locked_beam_and_its_python() -> None:
    base = re.search(r"^FROM apache/beam_python([\d.]+)_sdk:([\d.]+) AS build$", DOCKERFILE, re.M)
    last = re.findall(r"^FROM python:([\d.]+)-slim", DOCKERFILE, re.M)
    assert base is not None
    assert Version(base[2]) == of_lock()["apache-beam"]
    assert [base[1]] == last == re.findall(r"^# Python ([\d.]+), Linux", LOCK)


def test_the_lock_satisfies_what_is_declared() -> None:
    versions = of_lock()
    for item in declared():
        if item.marker is None or item.marker.evaluate(ON_WORKER):
            assert item.specifier.contains(versions[item.name.lower().replace("_", "-")]), item


def test_the_last_stage_has_no_compiler_and_starts_beams_worker() -> None:
    last = DOCKERFILE.split("\nFROM ")[-1]
    assert not re.search(r"apt-get|g\+\+|gcc|build-essential", last)
    assert "COPY --from=build /opt/apache/beam /opt/apache/beam" in last
    assert last.rstrip().endswith('ENTRYPOINT ["/opt/apache/beam/boot"]')


def test_the_builder_gets_all_that_the_package_is_made_of() -> None:
    sent = (REPOSITORY / ".dockerignore").read_text().splitlines()
    parser = configparser.ConfigParser()
    parser.read(REPOSITORY / "setup.cfg")
    folders = [line.split(" = ")[1] for line in parser["options"]["package_dir"].split("\n")[1:]]
    for name in (*folders, "setup.cfg", "pyproject.toml", "README.md", "requirements.lock"):
        assert f"!{name}" in sent
        assert (REPOSITORY / name).exists()


def test_the_lock_holds_what_is_required_here_and_in_turn() -> None:
    found = locked()
    assert {"apache-beam", "pyarrow", "google-cloud-storage", "pydantic-core"} <= found.keys()
    assert not {"cauldron-vlm", "torch", "pytest"} & found.keys()


def test_the_wheel_of_a_job_asks_for_the_launchers_versions(tmp_path: Path) -> None:
    with zipfile.ZipFile(write_wheel(str(tmp_path))) as wheel:
        (name,) = [name for name in wheel.namelist() if name.endswith("/METADATA")]
        head = wheel.read(name).decode().partition("\n\n")[0]
    asked = [line.partition(": ")[2] for line in head.splitlines() if "Requires-Dist" in line]
    assert [line for line in asked if "extra ==" not in line] == requirements()
    assert any('extra == "train"' in line or "extra == 'train'" in line for line in asked)
