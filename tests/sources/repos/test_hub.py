"""Reading from the hub, against the double: listing, ranges, refusals, and a hub that stumbles."""

from __future__ import annotations

import io
import pickle
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cauldron.sources.formats.archives import open_zip, read_member
from cauldron.sources.repos.files import Root
from cauldron.sources.repos.roots import open_root

from cauldron.core.errors import CauldronError, SourceUnavailable, UsageError
from cauldron.core.hub.calls import ATTEMPTS
from tests.doubles.hub import FakeHub

REPO = "org/name"
NOISE = random.Random(0).randbytes(400_000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "hub" / REPO / "data"
    data.mkdir(parents=True)
    (data.parent / "README.md").write_text("about")
    for i in range(5):
        (data / f"train-0000{i}-of-00005.parquet").write_bytes(NOISE[i:])
    return tmp_path / "hub"


@pytest.fixture
def hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with FakeHub(folder, page_size=2) as double:
        double.use(monkeypatch)
        yield double


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Waiting takes no time; the seconds are kept."""
    seconds: list[float] = []
    monkeypatch.setattr("time.sleep", seconds.append)
    return seconds


def shard(i: int) -> str:
    return f"data/train-0000{i}-of-00005.parquet"


def refusal(root: Root, repo_id: str = REPO, revision: str | None = None) -> str:
    with pytest.raises(CauldronError) as caught:
        root.repo(repo_id, revision)
    message = str(caught.value)
    assert repo_id in message
    assert "\n" not in message
    return message


def test_no_root_means_the_hub(hub: FakeHub) -> None:
    assert open_root(None).url == open_root("hub").url == "hub"
    assert open_root(None).repo(REPO).commit == hub.commit(REPO)


def test_a_listing_has_every_page_sorted_with_the_content_as_version(hub: FakeHub) -> None:
    files = open_root(None).repo(REPO).list()
    assert [file.path for file in files] == ["README.md", *(shard(i) for i in range(5))]
    assert [file.size for file in files[:2]] == [5, 400_000]
    assert len({file.version for file in files}) == 6


def test_a_listing_below_a_folder_or_of_one_file(hub: FakeHub) -> None:
    repo = open_root(None).repo(REPO)
    assert [file.path for file in repo.list("data/")] == [shard(i) for i in range(5)]
    assert [file.path for file in repo.list(shard(3))] == [shard(3)]
    assert repo.list("absent") == []


def test_a_listing_is_asked_for_once(hub: FakeHub) -> None:
    repo = open_root(None).repo(REPO)
    first = repo.list()
    hub.forget()
    first.clear()
    assert len(repo.list()) == 6
    assert repo.exists(shard(1))
    assert not hub.log


def test_existence_is_known_without_a_listing(hub: FakeHub) -> None:
    repo = open_root(None).repo(REPO)
    assert repo.exists(shard(1))
    assert not repo.exists("data")
    assert not repo.exists("data/absent.parquet")
    assert not repo.exists("../name/README.md")
    assert not hub.asked("/tree/")


def test_a_file_reads_as_it_is(hub: FakeHub) -> None:
    repo = open_root(None).repo(REPO)
    with repo.open(shard(2)) as file:
        assert file.read() == NOISE[2:]
        file.seek(1234)
        assert file.read(100) == NOISE[1236:1336]
        file.seek(-3, io.SEEK_END)
        assert file.read() == NOISE[-3:]
    assert repo.open("README.md").read() == b"about"


def test_a_file_that_is_not_there(hub: FakeHub) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.parquet"):
        open_root(None).repo(REPO).open("data/absent.parquet")


def test_a_range_is_asked_for_and_no_more(hub: FakeHub) -> None:
    file = open_root(None).repo(REPO).open(shard(0))
    file.seek(100_000)
    file.read(150_000)
    assert [line.range for line in hub.asked("/cdn/")] == ["bytes=100000-249999"]


def test_a_token_does_not_follow_a_redirect_off_the_hub(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    assert open_root(None).repo(REPO).open(shard(0)).read() == NOISE
    assert {line.token for line in hub.asked(method="GET") if "/cdn/" not in line.path} == {
        "hf_mine"
    }
    assert {line.token for line in hub.asked("/cdn/")} == {None}


def test_text_columns_of_a_parquet_file_leave_the_images_where_they_are(
    hub: FakeHub, folder: Path
) -> None:
    images = [random.Random(i).randbytes(100_000) for i in range(60)]
    table = pa.table({"image": images, "text": [f"question {i}" for i in range(60)]})
    pq.write_table(table, folder / REPO / "big.parquet", row_group_size=20, compression="none")
    file = open_root(None).repo(REPO).open("big.parquet")
    assert pq.ParquetFile(file).read(columns=["text"])["text"][59].as_py() == "question 59"
    assert sum(line.sent for line in hub.asked("/cdn/")) < 400_000


def test_a_zip_member_is_read_by_range(hub: FakeHub, folder: Path) -> None:
    with zipfile.ZipFile(folder / REPO / "images.zip", "w") as archive:
        for i in range(30):
            archive.writestr(f"images/{i}.png", NOISE[i * 1000 : i * 1000 + 200_000])
    archive = open_zip(open_root(None).repo(REPO).open("images.zip"))
    assert read_member(archive, "images/17.png", 1 << 20) == NOISE[17_000:217_000]
    assert sum(line.sent for line in hub.asked("/cdn/")) < 300_000


def test_a_revision_is_resolved_once_and_pins_what_is_read(
    hub: FakeHub, folder: Path, tmp_path: Path
) -> None:
    old = tmp_path / "old"
    old.mkdir()
    (old / "README.md").write_text("older")
    commit = hub.add_revision(REPO, "refs/convert/parquet", old)
    root = open_root(None)
    repo = root.repo(REPO, "refs/convert/parquet")
    assert repo.commit == commit
    assert repo.url == f"hf://datasets/{REPO}@{commit}"
    assert [file.path for file in repo.list()] == ["README.md"]
    assert repo.open("README.md").read() == b"older"
    hub.forget()
    assert root.repo(REPO, "refs/convert/parquet").commit == commit
    assert root.repo(REPO, commit).commit == commit  # a commit is a revision too
    assert len(hub.log) == 1


def test_a_worker_opens_by_commit_and_asks_for_nothing_first(hub: FakeHub) -> None:
    driver = open_root(None).repo(REPO)
    hub.forget()
    repo = open_root("hub").repo_at(REPO, driver.commit)
    assert not hub.log
    assert repo.open(shard(1)).read(10) == NOISE[1:11]
    assert not hub.asked("/tree/")


def test_roots_and_repositories_pickle_without_a_token(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    root = open_root(None)
    repo = root.repo(REPO)
    repo.list()
    pickled = pickle.dumps((root, repo))
    assert b"hf_secret" not in pickled
    assert len(pickled) < 300
    assert pickle.loads(pickled)[1].open("README.md").read() == b"about"


def test_a_missing_repository_says_which_and_what_to_do(hub: FakeHub) -> None:
    message = refusal(open_root(None), "org/other")
    assert "not found" in message
    assert f"{hub.url}/datasets/org/other" in message


def test_a_private_repository_without_the_token_is_missing(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.hide(REPO, token="hf_owner")
    assert "HF_TOKEN" in refusal(open_root(None))
    monkeypatch.setenv("HF_TOKEN", "hf_owner")
    assert open_root(None).repo(REPO).open("README.md").read() == b"about"


@pytest.mark.parametrize("token", [None, "hf_not_accepted"])
def test_a_gated_repository_says_so_and_where_its_terms_are(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch, token: str | None
) -> None:
    hub.gate(REPO, token="hf_accepted")
    hub.use(monkeypatch, token)
    message = refusal(open_root(None))
    assert "gated" in message
    assert f"accept the terms on its page {hub.url}/datasets/{REPO} and set HF_TOKEN" in message


def test_a_gated_repository_opens_with_an_accepted_token(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.gate(REPO, token="hf_accepted")
    hub.use(monkeypatch, "hf_accepted")
    assert open_root(None).repo(REPO).open(shard(0)).read(9) == NOISE[:9]


def test_a_gate_that_closes_later_is_still_called_a_gate(hub: FakeHub) -> None:
    repo = open_root(None).repo(REPO)
    file = repo.open(shard(0))
    hub.gate(REPO, token="hf_accepted")
    with pytest.raises(SourceUnavailable, match="gated"):
        file.read(10)


def test_a_missing_revision_is_not_a_missing_repository(hub: FakeHub) -> None:
    assert "has no revision 'v9'" in refusal(open_root(None), revision="v9")


def test_a_name_without_an_owner_is_a_usage_error(hub: FakeHub) -> None:
    with pytest.raises(UsageError, match="<org>/<name>"):
        open_root(None).repo("name")


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_without_a_gate_points_at_the_token(hub: FakeHub, status: int) -> None:
    hub.fail(status, headers={"X-Error-Message": "Invalid credentials in Authorization header"})
    assert "HF_TOKEN" in refusal(open_root(None))


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
@pytest.mark.parametrize("call", ["/api/datasets/", "/tree/", "/paths-info/", "/resolve/", "/cdn/"])
def test_a_hub_that_stumbles_is_asked_again(
    hub: FakeHub, slept: list[float], call: str, status: int
) -> None:
    hub.fail(status, call, times=2)
    repo = open_root(None).repo(REPO)
    assert repo.exists(shard(0))
    assert len(repo.list()) == 6
    assert repo.open(shard(0)).read() == NOISE
    assert len(slept) == 2
    assert sum(slept) < 10


@pytest.mark.parametrize("call", ["/api/datasets/", "/tree/", "/paths-info/", "/cdn/"])
def test_the_hub_says_how_long_to_wait(hub: FakeHub, slept: list[float], call: str) -> None:
    hub.fail(429, call, retry_after=37)
    repo = open_root(None).repo(REPO)
    repo.exists(shard(0))
    repo.list()
    repo.open(shard(0)).read()
    assert len(slept) == 1
    assert 37 <= slept[0] <= 38


def test_a_used_up_quota_is_waited_for(hub: FakeHub, slept: list[float]) -> None:
    hub.fail(429, headers={"RateLimit": '"api";r=0;t=55', "RateLimit-Policy": '"api";q=500;w=300'})
    assert open_root(None).repo(REPO).commit
    assert slept == [55.0]


@pytest.mark.parametrize("status", [429, 503])
def test_a_hub_that_stays_down_is_given_up_on(
    hub: FakeHub, slept: list[float], status: int
) -> None:
    hub.fail(status, times=100)
    assert f"answers {status}" in refusal(open_root(None))
    assert len(hub.log) == ATTEMPTS
    assert len(slept) == ATTEMPTS - 1


@pytest.mark.parametrize("call", ["/tree/", "/cdn/"])
def test_patience_is_not_multiplied_by_the_clients_own(
    hub: FakeHub, slept: list[float], call: str
) -> None:
    repo = open_root(None).repo(REPO)
    hub.fail(503, call, times=100)
    with pytest.raises(SourceUnavailable, match="answers 503"):
        repo.list() if call == "/tree/" else repo.open(shard(0)).read(10)
    assert len(hub.asked(call)) == ATTEMPTS


@pytest.mark.parametrize("fault", ["cut", "shorten", "ignore_range"])
def test_an_answer_that_is_not_what_was_asked_is_asked_for_again(
    hub: FakeHub, slept: list[float], fault: str
) -> None:
    getattr(hub, fault)("/cdn/", times=2)
    file = open_root(None).repo(REPO).open(shard(0))
    file.seek(1000)
    assert file.read(200_000) == NOISE[1000:201_000]
    assert len(slept) == 2


def test_files_outside_repositories_are_named_in_full_below_the_hub(
    hub: FakeHub, tmp_path: Path
) -> None:
    root = open_root(None)
    (tmp_path / "train2014.zip").write_bytes(b"zip")
    assert root.extra(str(tmp_path / "train2014.zip")) == str(tmp_path / "train2014.zip")
    assert root.extra("coco/train2014.zip") is None
    assert root.extra(str(tmp_path / "absent.zip")) is None
    assert not hub.log
