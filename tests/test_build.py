"""The whole way: the same bytes from every runner, after every accident, and nothing lost."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cauldron.sources.formats import parquet
from cauldron.transforms.curate.pipeline import CURATE_VERSION
from cauldron.transforms.ingest import INGEST_VERSION
from cauldron.transforms.mixing.shuffle import MIX_VERSION
from cauldron.transforms.tokens import token_counter
from tokenizers import Tokenizer, models, pre_tokenizers

from cauldron.core.errors import CauldronError, UsageError
from cauldron.core.output.lock import LOCK
from cauldron.core.output.manifests import MixtureManifest
from cauldron.core.output.mixture import load_mixture
from cauldron.core.stores.hashing import HashingWriter
from cauldron.inspect.verify import verify
from cauldron.pipeline.build import BuildOptions, build
from cauldron.recipe import load_recipe
from tests import hubs
from tests.processes import processes_of

IN_MEMORY = ("--direct_num_workers=1",)
WORKER_PROCESSES = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = str(tmp_path_factory.mktemp("root"))
    hubs.write_dolly(folder, rows=200, broken=2)
    hubs.write_sharegpt(folder, rows=60, turns=10)
    return folder


def run(
    root: str, output: Path, *beam_args: str, recipe: str | None = None, **options: Any
) -> MixtureManifest:
    path = recipe or hubs.write_recipe(str(output) + ".yaml")
    found = build(
        BuildOptions(
            recipe=load_recipe(path),
            stages=("sft",),
            root=root,
            output=str(output),
            beam_args=beam_args or IN_MEMORY,
            **options,
        ),
        say=lambda line: None,
    )
    return found[0]


def shard_digests(manifest: MixtureManifest) -> list[tuple[str, str]]:
    return [(shard.name, shard.sha256) for shard in manifest.shards]


@pytest.fixture(scope="module")
def built(root: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, MixtureManifest]:
    output = tmp_path_factory.mktemp("built") / "out"
    return output, run(root, output)


def test_every_row_is_accounted_for_and_verify_agrees(built):
    output, manifest = built
    counts = manifest.sources["dolly"].counts
    assert (counts.rows_in, counts.kept, counts.quarantined) == (202, 200, {"bad_json": 2})
    assert verify(str(output)) == []


def test_copies_of_a_row_are_its_epochs_exact_to_one_row(built):
    output, manifest = built
    rows = list(
        load_mixture(f"{output}/mixtures/test/sft").rows(["source", "id", "epoch", "repeat"])
    )
    for name, source in manifest.sources.items():
        copies = Counter(row["id"] for row in rows if row["source"] == name)
        wanted = source.epochs * source.counts.kept
        assert abs(sum(copies.values()) - wanted) <= 0.5
        assert max(copies.values()) - min(copies.values()) <= 1
        repeats = {row["id"]: row["repeat"] for row in rows if row["source"] == name}
        assert repeats == copies


def test_turns_are_capped_and_ordered_anew_for_every_copy(built):
    output, _ = built
    orders = {}
    for row in load_mixture(f"{output}/mixtures/test/sft").rows(
        ["source", "id", "epoch", "messages"]
    ):
        if row["source"] != "sharegpt_4o":
            continue
        first, *_ = row["messages"]
        assert [part["type"] for part in first["content"]] == ["image", "text"]
        users = [m["content"][-1]["text"] for m in row["messages"] if m["role"] == "user"]
        assert len(users) == 7
        assert not any("<image>" in text for text in users)
        orders[row["id"], row["epoch"]] = users
    first_epoch = [order for (_, epoch), order in orders.items() if epoch == 0]
    second = [orders[key[0], 1] for key in orders if key[1] == 0]
    assert sum(a == b for a, b in zip(first_epoch, second, strict=True)) < 3


def test_shards_and_row_groups_keep_to_their_sizes(built):
    import pyarrow.parquet as pq

    output, manifest = built
    assert len(manifest.shards) > 3
    for path in load_mixture(f"{output}/mixtures/test/sft").shards:
        file = pq.ParquetFile(path)
        for group in range(file.num_row_groups):
            pixels = file.metadata.row_group(group).column(2)
            assert pixels.path_in_schema == "images.list.element.bytes"
            assert pixels.compression == "UNCOMPRESSED"
            assert not pixels.has_dictionary_page
            assert pixels.total_compressed_size <= 50_000


# The path of Beam's portable runner for tests, as `go install` builds it; `.ci/run` sets it.
PRISM = os.environ.get("CAULDRON_PRISM")
ON_PRISM = (
    *("--runner=PrismRunner", f"--prism_location={PRISM}"),
    "--experiments=disable_prism_server_singleton",
)
NEEDS_PRISM = [pytest.mark.slow, pytest.mark.skipif(not PRISM, reason="CAULDRON_PRISM unset")]
# The path of a jar beam-runners-flink-*-job-server; Java must be there.
FLINK = os.environ.get("FLINK_JOB_SERVER_JAR")


@pytest.fixture(scope="module")
def all_steps(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, MixtureManifest]:
    """A hub with shared and with leaked pictures, a recipe that merges and decontaminates, and the
    mixture of a build in one process."""
    folder = tmp_path_factory.mktemp("all")
    root = str(folder / "root")
    hubs.write_dolly(root, rows=40, broken=1)
    hubs.write_sharegpt(root, rows=40, turns=3, pictures=30)
    leaks = folder / "benchmark"
    leaks.mkdir()
    for number in range(3):
        (leaks / f"{number}.jpg").write_bytes(hubs.photo(number))
    recipe = str(folder / "recipe.yaml")
    hubs.write_recipe(recipe)
    rules = {"duplicates": {"action": "merge"}, "against": {"benchmarks": {"ours": str(leaks)}}}
    values = json.loads(Path(recipe).read_text()) | rules
    Path(recipe).write_text(json.dumps(values))
    manifest = run(root, folder / "out", recipe=recipe)
    counts = manifest.sources["sharegpt_4o"].counts
    assert counts.merged["near_duplicate"] == 7
    assert counts.dropped["contaminated"] == 6
    return root, recipe, manifest


@pytest.mark.parametrize(
    "beam_args",
    [
        ("--direct_runner_bundle_repeat=2",),
        ("--direct_running_mode=multi_threading", "--direct_num_workers=3"),
        pytest.param(WORKER_PROCESSES, marks=pytest.mark.slow),  # 4 s a job to start them
        ("--runner=DirectRunner",),
        # DirectRunner, above, looks for Prism elsewhere and remembers that it failed.
        pytest.param(ON_PRISM, marks=NEEDS_PRISM),
        pytest.param(
            ("--runner=FlinkRunner", f"--flink_job_server_jar={FLINK}"),
            marks=[pytest.mark.slow, pytest.mark.skipif(not FLINK, reason="no job server's jar")],
        ),
    ],
    ids=["bundles repeated", "three threads", "two processes", "DirectRunner", "Prism", "Flink"],
)
def test_every_way_to_run_all_steps_gives_the_same_bytes(all_steps, tmp_path, beam_args):
    root, recipe, manifest = all_steps
    again = run(root, tmp_path / "out", *beam_args, recipe=recipe)
    assert shard_digests(again) == shard_digests(manifest)
    assert verify(str(tmp_path / "out")) == []


@pytest.mark.parametrize(
    "beam_args",
    [
        pytest.param(WORKER_PROCESSES, marks=pytest.mark.slow),
        pytest.param(ON_PRISM, marks=NEEDS_PRISM),
    ],
    ids=["two processes", "Prism"],
)
def test_few_jobs_give_the_same_bytes(all_steps, tmp_path, beam_args):
    root, recipe, manifest = all_steps
    again = run(root, tmp_path / "out", *beam_args, recipe=recipe, few_jobs=True)
    assert shard_digests(again) == shard_digests(manifest)
    assert verify(str(tmp_path / "out")) == []


@pytest.mark.slow
def test_a_folder_with_packages_of_the_same_names_changes_nothing(root, built, tmp_path):
    """Most projects have a ``training.py`` or ``transforms/``; `torchrun -m` and worker processes
    put the current folder first on their path."""
    for name in ("training.py", "sources.py", "transforms/__init__.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("raise ImportError('a module of the user')\n")
    recipe = hubs.write_recipe(str(tmp_path / "recipe.yaml"))
    places = ("--root", root, "--output", str(tmp_path / "out"))
    for arguments in (
        ("train", "--stage", "sft", "--print-config"),
        ("build", recipe, *places, *WORKER_PROCESSES),
    ):
        command = [sys.executable, "-m", "cauldron", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    found = load_mixture(str(tmp_path / "out/mixtures/test/sft")).manifest
    assert shard_digests(found) == shard_digests(built[1])


def test_a_build_that_is_there_is_not_done_again(root, built):
    output, manifest = built
    before = {p: p.stat().st_mtime_ns for p in output.rglob("*") if p.is_file()}
    assert run(root, output, recipe=str(output) + ".yaml") == manifest
    assert {p: p.stat().st_mtime_ns for p in output.rglob("*") if p.is_file()} == before


def test_a_changed_weight_costs_only_the_mix(root, tmp_path):
    output = tmp_path / "out"
    run(root, output)
    before = {p: p.stat().st_mtime_ns for p in output.rglob("*") if p.is_file()}
    recipe = hubs.write_recipe(str(tmp_path / "new.yaml"), mixture={"sharegpt_4o": 1, "dolly": 3})
    run(root, output, recipe=recipe)
    after = {p: p.stat().st_mtime_ns for p in output.rglob("*") if p.is_file()}
    changed = {p.relative_to(output).parts[0] for p in after if before.get(p) != after[p]}
    assert changed == {"mixtures"}
    assert verify(str(output)) == []


def test_how_to_train_is_told_by_the_manifest_and_changes_no_row(root, tmp_path):
    output = tmp_path / "out"
    first = run(root, output)
    recipe = tmp_path / "new.yaml"
    recipe.write_text(f"extends: {output}.yaml\ntraining: {{sft: {{steps: 7}}}}\n")
    second = run(root, output, recipe=str(recipe))
    assert second.recipe["training"] == {"sft": {"steps": 7}}
    assert load_mixture(str(output / "mixtures" / "test" / "sft")).manifest == second
    assert (second.fingerprint, second.shards) == (first.fingerprint, first.shards)
    assert verify(str(output)) == []


def test_a_full_disk_is_one_line_and_the_rerun_gives_the_same_bytes(
    root, built, tmp_path, monkeypatch
):
    output = tmp_path / "out"
    written = 0
    real = HashingWriter.write

    def write(self: HashingWriter, data: bytes) -> int:
        nonlocal written
        written += memoryview(data).nbytes
        if written > 300_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(self, data)

    monkeypatch.setattr(HashingWriter, "write", write)
    with pytest.raises(CauldronError, match="No space left on device") as caught:
        run(root, output)
    assert "\n" not in str(caught.value)
    assert not (output / "mixtures" / "test" / "sft" / "manifest.json").exists()
    assert not list(output.rglob(".tmp-*"))
    monkeypatch.undo()
    assert shard_digests(run(root, output)) == shard_digests(built[1])
    assert verify(str(output)) == []


def start(root: str, output: Path, moment: str) -> subprocess.Popen[bytes]:
    """A build in a process of its own that has come as far as the first file like `moment`."""
    recipe = hubs.write_recipe(str(output) + ".yaml")
    command = [
        sys.executable, "-m", "cauldron", "build", recipe, "--root", root,
        "--output", str(output), *IN_MEMORY,
    ]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 60
    while not list(output.glob(moment)) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return process


@pytest.mark.parametrize(
    ("how", "moment"),
    [
        (signal.SIGKILL, "corpus/*/*/_done/*.json"),
        (signal.SIGKILL, "mixtures/test/sft/data/*/_done/0*.json"),
        (signal.SIGINT, "mixtures/test/sft/data/*/_done/0*.json"),
    ],
)
def test_a_killed_build_goes_on_and_ends_in_the_same_bytes(root, built, tmp_path, how, moment):
    output = tmp_path / "out"
    process = start(root, output, moment)
    os.killpg(process.pid, how)
    assert process.wait(timeout=60) != 0
    # A killed build leaves its lock, which the next one takes over.
    assert bool(list(output.rglob(LOCK))) == (how == signal.SIGKILL)
    assert shard_digests(run(root, output)) == shard_digests(built[1])
    leftovers = [path for path in output.rglob("*") if path.name.startswith((".tmp-", LOCK))]
    assert leftovers == []
    assert verify(str(output)) == []


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_end_of_a_build_is_the_end_of_its_workers(root, built, tmp_path, how):
    output = tmp_path / "out"
    recipe = hubs.write_recipe(str(output) + ".yaml")
    command = [
        *(sys.executable, "-m", "cauldron", "build", recipe, "--stage", "sft"),
        *("--root", root, "--output", str(output), *WORKER_PROCESSES),
    ]
    environment = os.environ | {"BUILD_OF": str(output)}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    deadline = time.monotonic() + 60
    while len(processes_of(output)) < 3 and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(how)  # to the main process alone
    said = process.communicate(timeout=60)[1]
    assert process.returncode == (-how if how == signal.SIGKILL else 128 + how), said
    while processes_of(output):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert "Traceback" not in said
    if how != signal.SIGKILL:
        assert said.splitlines()[-1] == "cauldron: stopped; the same command goes on where it was"
        assert not list(output.rglob(LOCK))
    assert shard_digests(run(root, output)) == shard_digests(built[1])
    assert verify(str(output)) == []


def test_temporaries_of_a_killed_mix_are_gone_after_the_next_build(root, built, tmp_path):
    output = tmp_path / "out"
    run(root, output)
    mixture = output / "mixtures/test/sft"
    [data] = (mixture / "data").iterdir()
    (mixture / "manifest.json").unlink()
    for path in (mixture / ".tmp-1README.md", data / ".tmp-2train-00000-of-00009.parquet"):
        path.write_bytes(b"half")
    assert shard_digests(run(root, output)) == shard_digests(built[1])
    assert verify(str(output)) == []


def test_a_copy_of_the_root_is_not_ingested_again(root, built, tmp_path):
    copy, output = tmp_path / "copy", tmp_path / "out"
    shutil.copytree(root, copy, copy_function=shutil.copyfile)
    shutil.copytree(built[0], output)
    corpora = set(output.glob("corpus/*/*"))
    assert shard_digests(run(str(copy), output)) == shard_digests(built[1])
    assert set(output.glob("corpus/*/*")) == corpora


def test_a_rule_that_drops_most_of_a_source_stops_the_build_unless_expected(root, tmp_path):
    values = json.loads(Path(hubs.write_recipe(str(tmp_path / "r.yaml"))).read_text())
    values["text"] = {"max_turn_chars": 5}
    path, output = tmp_path / "r.yaml", tmp_path / "out"
    path.write_text(json.dumps(values))
    for _ in range(2):  # also when the corpora are done already
        with pytest.raises(CauldronError, match=r"long_turn drops 9\d\.\d% of dolly") as caught:
            run(root, output, recipe=str(path))
        assert "expected_drop" in str(caught.value)
        assert "\n" not in str(caught.value)
    values["sources"] = {name: {"expected_drop": 1} for name in ("dolly", "sharegpt_4o")}
    path.write_text(json.dumps(values))
    with pytest.raises(CauldronError, match="no source of the mixture has any answer tokens"):
        run(root, output, recipe=str(path))


def test_unknown_languages_and_sources_name_the_nearest_one(root, tmp_path):
    values = json.loads(Path(hubs.write_recipe(str(tmp_path / "r.yaml"))).read_text())
    path = tmp_path / "r.yaml"
    for change, message in (
        ({"language": {"keep": ["eng"]}}, "'eng'.*did you mean 'en'"),
        ({"sources": {"doly": {}}}, "doly; did you mean 'dolly'"),
    ):
        path.write_text(json.dumps(values | change))
        with pytest.raises(UsageError, match=message):
            run(root, tmp_path / "out", recipe=str(path))


def test_verify_does_not_mind_a_lock_beside_a_manifest(built):
    """A build can be killed after it wrote its last manifest and before it removed its lock."""
    path = built[0] / "mixtures/test/sft" / LOCK
    path.write_text("{}")
    assert verify(str(built[0])) == []
    path.unlink()


def test_of_two_builds_at_once_the_second_is_told_who_is_first(root, built, tmp_path):
    output = tmp_path / "out"
    process = start(root, output, f"corpus/*/*/{LOCK}")
    os.killpg(process.pid, signal.SIGSTOP)
    with pytest.raises(CauldronError, match=f"process {process.pid} on .* since .*; wait") as told:
        run(root, output)
    assert "\n" not in str(told.value)
    os.killpg(process.pid, signal.SIGCONT)
    assert process.wait(timeout=60) == 0
    assert shard_digests(run(root, output)) == shard_digests(built[1])
    assert verify(str(output)) == []


def test_too_many_unreadable_rows_fail_the_build_with_the_reasons(tmp_path):
    root = str(tmp_path / "root")
    hubs.write_dolly(root, rows=10, broken=10)
    recipe = hubs.write_recipe(str(tmp_path / "r.yaml"), mixture={"dolly": 1})
    with pytest.raises(
        CauldronError, match=r"5\.0% is gone.*dolly lost 50\.0%.*bad_json 10"
    ) as caught:
        run(root, tmp_path / "out", recipe=recipe)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "out").rglob("manifest.json"))


def test_a_broken_file_that_planning_does_not_open_counts_by_its_bytes(tmp_path, monkeypatch):
    """One row is what the reader makes of it, but half of the source is gone."""
    root = tmp_path / "root"
    place = root / "HuggingFaceM4/the_cauldron/ai2d"
    place.mkdir(parents=True)
    turn = [{"user": "What?", "assistant": "That.", "source": "ai2d"}]
    row = {"images": [{"bytes": hubs.photo(1), "path": None}], "texts": turn}
    table = pa.Table.from_pylist([row] * 50)
    for name in ("0000.parquet", "0001.parquet"):
        (place / "train").mkdir(exist_ok=True)
        pq.write_table(table, place / "train" / name)
    data = (place / "train/0001.parquet").read_bytes()
    (place / "train/0001.parquet").write_bytes(data[:-8] + b"notafoot")
    monkeypatch.setattr(parquet, "_MOST_FOOTERS", 0)
    name = "the_cauldron/ai2d"
    budget = {"epochs_of": {name: 1}}
    recipe = hubs.write_recipe(str(tmp_path / "r.yaml"), mixture={name: 1}, budget=budget)
    with pytest.raises(CauldronError, match=r"lost 50\.0% to unreadable input \(unreadable_file 1"):
        run(str(root), tmp_path / "out", recipe=recipe)


def test_unavailable_sources_stop_the_build_unless_skipped(tmp_path):
    root = str(tmp_path / "root")
    hubs.write_dolly(root, rows=10)
    with pytest.raises(CauldronError, match=r"--skip-unavailable[\s\S]*sharegpt_4o: "):
        run(root, tmp_path / "out")
    with pytest.raises(CauldronError, match=r"budget\.epochs_of: sharegpt_4o is not here"):
        run(root, tmp_path / "out", skip_unavailable=True)
    recipe = hubs.write_recipe(str(tmp_path / "r.yaml"), budget={"samples": 10})
    manifest = run(root, tmp_path / "out", recipe=recipe, skip_unavailable=True)
    assert [item.source for item in manifest.unavailable] == ["sharegpt_4o"]
    assert set(manifest.sources) == {"dolly"}
    assert manifest.sources["dolly"].share_reached == 1


def test_limit_reads_no_more_rows_of_each_source(root, tmp_path):
    manifest = run(root, tmp_path / "out", limit=20)
    assert {source.counts.rows_in for source in manifest.sources.values()} == {20}


def test_unknown_sources_stages_and_options_are_usage_errors(root, tmp_path):
    recipe = hubs.write_recipe(str(tmp_path / "r.yaml"), mixture={"the_couldron/vqav2": 1})
    with pytest.raises(UsageError, match="the_couldron/vqav2"):
        run(root, tmp_path / "out", recipe=recipe)
    with pytest.raises(UsageError, match="no such option: --runer"):
        run(root, tmp_path / "out", "--runer=DataflowRunner")
    with pytest.raises(UsageError, match="cannot reach a folder"):
        run(root, tmp_path / "out", "--runner=DataflowRunner")


def test_a_model_that_is_not_there_is_told_before_any_work(root, tmp_path):
    recipe = load_recipe(hubs.write_recipe(str(tmp_path / "r.yaml")))
    missing = {"model": str(tmp_path / "none.ftz"), "label": "good", "min_score": 0.5}
    for change in ({"classifiers": [missing]}, {"tokenizer": str(tmp_path / "tokenizer.json")}):
        changed = type(recipe).model_validate(recipe.model_dump() | change)
        options = BuildOptions(changed, ("sft",), root, str(tmp_path / "out"))
        with pytest.raises(UsageError, match=str(tmp_path)):
            build(options, lambda line: None)
    assert not (tmp_path / "out").exists()


def test_a_tokenizer_is_a_folder_or_its_file(root, tmp_path):
    """By either name it counts alike, and nothing is read again."""
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    tokens = Tokenizer(models.WordLevel({"[UNK]": 0, "the": 1}, unk_token="[UNK]"))
    tokens.pre_tokenizer = pre_tokenizers.Whitespace()
    tokens.save(str(folder / "tokenizer.json"))
    output, found = tmp_path / "out", []
    for spec in (folder, folder / "tokenizer.json"):
        recipe = tmp_path / "recipe.yaml"
        hubs.write_recipe(str(tmp_path / "base.yaml"))
        recipe.write_text(f"extends: {tmp_path}/base.yaml\ntokenizer: {spec}\n")
        found.append(run(root, output, recipe=str(recipe)))
    assert found[0].corpora == found[1].corpora
    assert not found[0].tokenizer.estimated
    assert found[0].tokenizer.digest


def test_the_manifest_holds_the_recipe_and_is_plain_json(built):
    output, _ = built
    values = json.loads((output / "mixtures/test/sft/manifest.json").read_text())
    assert values["recipe"]["stages"]["sft"]["mixture"]["dolly"]["weight"] == 0.5
    assert values["tokenizer"] == {
        "name": "mistral-7b",
        "estimated": False,
        "digest": token_counter("mistral-7b").digest(),
    }
    shares = [source["share_reached"] for source in values["sources"].values()]
    assert sum(shares) == pytest.approx(1)


def test_rows_come_out_as_in_the_version_that_the_fingerprints_name(built):
    """Golden: a change here means that INGEST_VERSION, CURATE_VERSION or MIX_VERSION must rise,
    so that nobody's cached corpus is taken for the new kind. Over rows without images, whose
    bytes no image library can change."""
    columns = ["source", "id", "epoch", "repeat", "messages", "tokens", "language", "origin"]
    digest = hashlib.blake2b(digest_size=16)
    for row in load_mixture(f"{built[0]}/mixtures/test/sft").rows(columns):
        if row["source"] == "dolly":
            digest.update(json.dumps(row, sort_keys=True).encode())
    versions = (INGEST_VERSION, CURATE_VERSION, MIX_VERSION)
    assert (versions, digest.hexdigest()) == ((7, 5, 5), GOLDEN)


GOLDEN = "b9f5d380228fa0c374d36df3df7b678b"
