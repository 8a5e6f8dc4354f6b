"""A step: found finished or made once, with nothing left beside its files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cauldron.core import storage
from cauldron.core.errors import CauldronError
from cauldron.core.output.lock import LOCK
from cauldron.core.output.manifests import (
    CorpusManifest,
    CurationManifest,
    MixtureManifest,
    manifest_bytes,
    read_manifest,
)
from cauldron.core.output.markers import marker_path
from cauldron.pipeline import step as steps
from cauldron.pipeline.step import Step, make_steps
from tests.fixtures_out import make_out

MADE = CurationManifest(fingerprint="f1", corpora={}, buckets=[], counts={})


@pytest.fixture
def step(tmp_path: Path) -> Step[CurationManifest]:
    return Step(
        kind=CurationManifest,
        folder=f"{tmp_path}/out",
        fingerprint="f1",
        beside=(f"{tmp_path}/rejects",),
    )


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def build(step: Step[CurationManifest], made: CurationManifest = MADE) -> CurationManifest:
    """What a build leaves: a marker, and temporaries of writers that were killed."""
    storage.write_json(marker_path(step.folder, "part", 0), {})
    for folder in (step.folder, *step.beside):
        storage.write_bytes(f"{folder}/.tmp-a-killed-writer", b"")
    return made


def test_a_step_is_made_once_and_leaves_only_its_files(step, tmp_path):
    said: list[str] = []
    assert step.make("curate", lambda: build(step), said.append) == MADE
    assert files(tmp_path) == ["out/manifest.json"]
    assert said == []
    assert step.make("curate", lambda: pytest.fail("made again"), said.append) == MADE
    assert said == ["curate: done already"]


def test_a_folder_with_another_fingerprint_is_made_anew(step):
    step.make("mix", lambda: build(step), print)
    changed, made = replace(step, fingerprint="f2"), MADE.model_copy(update={"fingerprint": "f2"})
    assert changed.finished() is None
    assert changed.make("mix", lambda: build(step, made), print) == made
    assert step.finished() is None


@pytest.mark.parametrize("error", [CauldronError, KeyboardInterrupt])
def test_a_failed_step_keeps_its_markers_and_no_lock(step, tmp_path, error):
    def fail() -> CurationManifest:
        storage.write_json(marker_path(step.folder, "part", 0), {})
        raise error

    with pytest.raises(error):
        step.make("curate", fail, print)
    assert files(tmp_path) == ["out/_done/part-00000.json"]


def test_a_folder_that_another_build_writes_to_is_refused(step, tmp_path):
    def second() -> CurationManifest:
        step.make("curate", lambda: pytest.fail("two at once"), print)
        return MADE

    with pytest.raises(CauldronError, match=f"{step.folder}: process .* is building here"):
        step.make("curate", second, print)


def test_what_another_build_finished_before_the_lock_was_free_is_taken(step, monkeypatch):
    locked = steps.locked

    @contextlib.contextmanager
    def late(folders: list[str]) -> Iterator[object]:
        step.finish(MADE)
        with locked(folders) as lock:
            yield lock

    monkeypatch.setattr(steps, "locked", late)
    assert step.make("curate", lambda: pytest.fail("made again"), print) == MADE


def test_no_manifest_is_written_after_the_lock_is_lost(step):
    def lose() -> CurationManifest:
        storage.write_bytes(f"{step.folder}/{LOCK}", b"{}")
        return MADE

    with pytest.raises(CauldronError, match="another build took over"):
        step.make("curate", lose, print)
    assert step.finished() is None


def test_of_several_steps_the_missing_ones_are_made_together(tmp_path):
    wanted = {
        name: Step(kind=CurationManifest, folder=f"{tmp_path}/{name}", fingerprint="f1")
        for name in "cab"
    }
    wanted["a"].finish(MADE)
    asked: list[list[str]] = []
    said: list[str] = []

    def build(names: list[str]) -> list[CurationManifest]:
        asked.append(names)
        assert {path.parent.name for path in tmp_path.rglob(LOCK)} == set(names)
        return [MADE for _ in names]

    assert list(make_steps("ingest", wanted, build, said.append)) == ["c", "a", "b"]
    assert (asked, said) == ([["c", "b"]], ["ingest: 1 of 3 done already"])
    assert files(tmp_path) == [f"{name}/manifest.json" for name in "abc"]


def test_a_manifest_has_the_bytes_of_one_that_is_a_dictionary_first(tmp_path):
    make_out(str(tmp_path))
    kinds = {"corpus": CorpusManifest, "curation": CurationManifest, "mixtures": MixtureManifest}
    found = [
        read_manifest(kinds[path.relative_to(tmp_path).parts[0]], str(path.parent))
        for path in tmp_path.rglob("manifest.json")
    ]
    assert {type(manifest) for manifest in found} == {*kinds.values()}
    for manifest in found:
        whole = storage.json_bytes(manifest.model_dump(mode="json"))
        assert manifest_bytes(manifest) == whole
