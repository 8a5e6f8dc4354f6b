"""Roots and repositories in folders: the same answers as the hub's, from a disk."""

from __future__ import annotations

import os
import pickle
import uuid
from pathlib import Path

import fsspec
import pytest
from cauldron.sources.repos.files import is_inside
from cauldron.sources.repos.folders import info_at, list_at, open_at
from cauldron.sources.repos.roots import open_root
from cauldron.sources.repos.versions import END_BYTES

from cauldron.core.errors import SourceUnavailable, UsageError

REPO = "google/imageinwords"


@pytest.fixture(params=["disk", "memory"])
def root_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A root with one repository, on disk and in a store that has no folders of its own."""
    url = str(tmp_path) if request.param == "disk" else f"memory://{uuid.uuid4()}"
    files = {"README.md": b"about", "datasets/IIW-400/data.jsonl": b'{"a": 1}\n' * 9, "z.zip": b""}
    fs, base = fsspec.core.url_to_fs(url)
    for path, data in files.items():
        fs.makedirs(f"{base}/{REPO}/{path}".rpartition("/")[0], exist_ok=True)
        fs.pipe_file(f"{base}/{REPO}/{path}", data)
    return url


def put(root_url: str, path: str, data: bytes) -> None:
    fs, base = fsspec.core.url_to_fs(root_url)
    fs.makedirs(f"{base}/{path}".rpartition("/")[0], exist_ok=True)
    fs.pipe_file(f"{base}/{path}", data)


def test_a_listing_is_recursive_relative_and_sorted(root_url: str) -> None:
    files = open_root(root_url).repo(REPO).list()
    assert [(file.path, file.size) for file in files] == [
        ("README.md", 5),
        ("datasets/IIW-400/data.jsonl", 81),
        ("z.zip", 0),
    ]


def test_a_listing_below_a_folder_or_of_one_file(root_url: str) -> None:
    repo = open_root(root_url).repo(REPO)
    put(root_url, f"{REPO}/datasets-old/data.jsonl", b"")
    for prefix in ("datasets", "datasets/", "datasets/IIW-400/data.jsonl"):
        assert [file.path for file in repo.list(prefix)] == ["datasets/IIW-400/data.jsonl"]
    assert repo.list("absent") == []
    assert repo.list("../..") == []


def test_a_file_reads_by_range(root_url: str) -> None:
    with open_root(root_url).repo(REPO).open("datasets/IIW-400/data.jsonl") as file:
        file.seek(9)
        assert file.read(9) == b'{"a": 1}\n'
        assert len(list(file)) == 7


def test_existence_is_of_files(root_url: str) -> None:
    repo = open_root(root_url).repo(REPO)
    assert repo.exists("README.md")
    assert not repo.exists("datasets")
    assert not repo.exists("absent")


@pytest.mark.parametrize("path", ["../imageinwords/README.md", "/etc/passwd", "a\\b", "", "a\0b"])
def test_no_path_leads_out_of_a_repository(root_url: str, path: str) -> None:
    repo = open_root(root_url).repo(REPO)
    assert not repo.exists(path)
    with pytest.raises(FileNotFoundError):
        repo.open(path)


def test_a_file_that_is_not_there(root_url: str) -> None:
    with pytest.raises(FileNotFoundError):
        open_root(root_url).repo(REPO).open("absent")


def test_a_missing_repository_says_which_folder_and_what_to_do(root_url: str) -> None:
    with pytest.raises(SourceUnavailable) as caught:
        open_root(root_url).repo("GAIR/lima")
    message = str(caught.value)
    assert message.startswith("GAIR/lima: there is no folder")
    assert "hub" in message
    assert "\n" not in message


def test_a_missing_root_is_not_called_a_missing_repository(root_url: str) -> None:
    with pytest.raises(SourceUnavailable, match=r"the root .* does not exist"):
        open_root(f"{root_url}/absent").repo(REPO)


@pytest.mark.parametrize("repo_id", ["name", "a/b/c", "../x", "/a/b", ""])
def test_what_is_not_a_repository_id_is_a_usage_error(root_url: str, repo_id: str) -> None:
    with pytest.raises(UsageError, match="<org>/<name>"):
        open_root(root_url).repo(repo_id)


def test_a_root_on_the_hub_is_asked_for_by_leaving_it_out() -> None:
    with pytest.raises(UsageError, match="leave --root out"):
        open_root("hf://datasets/a/b")


def test_roots_and_repositories_are_rebuilt_from_their_names(root_url: str) -> None:
    root = open_root(root_url)
    repo = pickle.loads(pickle.dumps(root.repo(REPO, "any-revision")))
    assert repo.commit is None
    assert repo.open("README.md").read() == b"about"
    assert open_root(root.url).repo_at(REPO, None).open("README.md").read() == b"about"


def test_a_repository_found_before_is_not_looked_up_again(tmp_path: Path) -> None:
    assert open_root(str(tmp_path / "absent")).repo_at(REPO, None).id == REPO


def test_a_relative_root_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_root("hub-copy").url == str(tmp_path / "hub-copy")


def test_extra_files_are_below_the_root_or_named_in_full(root_url: str, tmp_path: Path) -> None:
    put(root_url, "coco/train2014.zip", b"zip")
    root = open_root(root_url)
    location = root.extra("coco/train2014.zip")
    assert location is not None
    assert open_at(location).read() == b"zip"
    assert root.extra(location) == location
    elsewhere = tmp_path / "elsewhere.zip"
    elsewhere.write_bytes(b"other")
    assert root.extra(str(elsewhere)) == str(elsewhere)
    assert root.extra("docci/absent.tar.gz") is None
    assert root.extra("docci/absent.tar.gz") is None


def test_an_extra_file_at_an_unknown_protocol_is_a_usage_error(root_url: str) -> None:
    with pytest.raises(UsageError, match="nowhere://x"):
        open_root(root_url).extra("nowhere://x/train2014.zip")


def test_the_version_of_an_extra_folder_changes_with_any_file_in_it(root_url: str) -> None:
    put(root_url, "coco/a.jpg", b"1")
    put(root_url, "coco/b.jpg", b"22")
    root = open_root(root_url)
    before = info_at(root.extra("coco"))
    assert before is not None
    assert before.size == 3
    assert before.version.startswith("2-")
    assert info_at(root.extra("coco")) == before
    put(root_url, "coco/b.jpg", b"333")
    after = info_at(root.extra("coco"))
    assert after is not None
    assert after.version != before.version


def test_an_extra_folder_lists_relative_to_itself(root_url: str) -> None:
    put(root_url, "coco/train2014/a.jpg", b"1")
    location = open_root(root_url).extra("coco")
    assert location is not None
    assert [file.path for file in list_at(location)] == ["train2014/a.jpg"]


def version(path: Path) -> str:
    return info_at(str(path)).version


@pytest.mark.parametrize("size", [0, 3, 3 * END_BYTES])
def test_a_copy_of_a_file_has_the_same_version(tmp_path: Path, size: int) -> None:
    path = tmp_path / REPO / "a"
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(size))
    copy = tmp_path / "copy"
    copy.write_bytes(bytes(size))
    os.utime(copy, (5, 5))
    assert version(copy) == version(path)
    (file,) = open_root(str(tmp_path)).repo(REPO).list()
    assert (file.size, file.version) == (size, version(copy))


@pytest.mark.parametrize("place", [0, END_BYTES - 1, -END_BYTES, -1])
def test_a_change_of_the_same_size_and_time_gives_another_version(
    tmp_path: Path, place: int
) -> None:
    path = tmp_path / "a"
    data = bytearray(3 * END_BYTES)
    path.write_bytes(data)
    os.utime(path, (5, 5))
    before = version(path)
    data[place] = 1
    path.write_bytes(data)
    os.utime(path, (5, 5))
    assert version(path) != before


def test_a_small_file_is_read_whole_and_a_parquet_footer_too(tmp_path: Path) -> None:
    small, large = bytearray(2 * END_BYTES), bytearray(6 * END_BYTES)
    large[-8:] = (3 * END_BYTES).to_bytes(4, "little") + b"PAR1"
    for name, data, place in (("s", small, END_BYTES), ("l", large, 4 * END_BYTES)):
        (tmp_path / f"{name}1").write_bytes(data)
        data[place] = 1
        (tmp_path / f"{name}2").write_bytes(data)
        assert version(tmp_path / f"{name}1") != version(tmp_path / f"{name}2")


def test_hidden_folders_of_the_tools_are_not_published_files(root_url: str) -> None:
    put(root_url, f"{REPO}/.cache/huggingface/download/x.lock", b"")
    put(root_url, f"{REPO}/.gitattributes", b"")
    paths = [file.path for file in open_root(root_url).repo(REPO).list()]
    assert ".gitattributes" in paths
    assert not [path for path in paths if path.startswith(".cache")]


def test_datasets_behind_links_are_found_and_loops_end(tmp_path: Path) -> None:
    real = tmp_path / "big-disk"
    real.mkdir()
    (real / "a.parquet").write_bytes(b"1")
    repo = tmp_path / "root" / REPO
    repo.mkdir(parents=True)
    (repo / "data").symlink_to(real)
    (repo / "loop").symlink_to(repo)
    (repo / "dangling").symlink_to(tmp_path / "nothing")
    paths = [file.path for file in open_root(str(tmp_path / "root")).repo(REPO).list()]
    assert paths == ["data/a.parquet"]


@pytest.mark.parametrize("path", ["a", "a/b.png", "a..b/c", "./a", "ab:c.png", "images/C:.png"])
def test_paths_inside(path: str) -> None:
    assert is_inside(path)


@pytest.mark.parametrize("path", ["", "/a", "..", "a/../../b", "C:/a", "c:a", "a\\b", "a\0"])
def test_paths_outside(path: str) -> None:
    assert not is_inside(path)
