"""Lists that are held compressed are like plain ones."""

import tracemalloc

import pytest
from pydantic import ValidationError

from cauldron.core import storage
from cauldron.core.output.compact import CompactList
from cauldron.core.output.manifests import (
    CorpusManifest,
    HashedFile,
    MixtureManifest,
    RowFile,
    manifest_bytes,
    read_manifest,
)
from tests.fixtures_out import make_out

MANY = 2_500  # two chunks and a half


def entry(number: int) -> RowFile:
    return RowFile(name=f"shard-{number}", bytes=number, sha256=f"{number:064x}", rows=number)


@pytest.mark.parametrize("count", [0, 1, 1_023, 1_024, 1_025, MANY])
def test_it_holds_what_it_was_given(count):
    plain = [entry(number) for number in range(count)]
    compact = CompactList(RowFile, iter(plain))
    assert (len(compact), bool(compact)) == (count, bool(plain))
    assert list(compact) == plain
    assert compact == plain
    assert compact[1:-1] == plain[1:-1]
    assert [compact[n] for n in range(-min(count, 2), 0)] == plain[-2:]
    with pytest.raises(IndexError):
        compact[count]


def test_lists_with_other_items_are_not_equal():
    plain = [entry(number) for number in range(MANY)]
    assert CompactList(RowFile, plain) != [*plain[:-1], entry(0)]
    assert CompactList(RowFile, plain) != plain[:-1]


@pytest.mark.parametrize(
    ("kind", "of", "listed"),
    [(MixtureManifest, "mixtures", "shards"), (CorpusManifest, "corpus", "parts")],
)
def test_a_long_manifest_is_written_and_read_as_a_short_one(kind, of, listed, tmp_path):
    make_out(str(tmp_path))
    folder = next((tmp_path / of).rglob("manifest.json")).parent
    values = storage.read_json(f"{folder}/manifest.json")
    first = values[listed][0]
    values[listed] = [{**first, "part": n} if "part" in first else first for n in range(MANY)]
    storage.write_json(f"{folder}/manifest.json", values)
    manifest = read_manifest(kind, str(folder))
    assert isinstance(getattr(manifest, listed), CompactList)
    assert manifest.model_dump(mode="json") == values
    assert manifest_bytes(manifest) == (folder / "manifest.json").read_bytes()
    for broken in ({**first, "unknown": 1}, "nothing"):
        with pytest.raises(ValidationError):
            kind.model_validate(values | {listed: [*values[listed], broken]})


def test_items_take_a_fraction_of_their_memory():
    digests = [f"{number * 0x9E3779B97F4A7C15 % 2**64:016x}" * 4 for number in range(10 * 1_024)]
    tracemalloc.start()
    try:
        compact = CompactList(
            HashedFile, (HashedFile(name="a", bytes=1, sha256=d) for d in digests)
        )
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held / len(compact) < 60  # bytes; 64 of the digest alone
