"""A small output folder, as a build would leave it, for tests of everything that reads one.

`make_out` writes two corpora (one with images in two parts, one of text), the decisions on them
and a mixture of two shards, through the project's own record file writer and manifests. It works on
any file system that `cauldron.core.storage` knows.
"""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from cauldron.transforms.record_files import RecordFileWriter
from PIL import Image

from cauldron.core import storage
from cauldron.core.output.counts import CorpusCounts, CurationCounts
from cauldron.core.output.manifests import (
    DATA,
    MANIFEST,
    CorpusManifest,
    CorpusPart,
    CurationManifest,
    HashedFile,
    MixtureManifest,
    MixtureTotals,
    PublishedFile,
    RowFile,
    SourceInMixture,
    Tokenizer,
    Unavailable,
    corpus_folder,
    curation_folder,
    mixture_folder,
    quarantine_folder,
)
from cauldron.core.schema import (
    CORPUS_SCHEMA,
    DECISION_SCHEMA,
    QUARANTINE_SCHEMA,
    ImageInfo,
    Origin,
    Sample,
    Turn,
    content_id,
    messages_of,
    mixture_schema_with_features,
)
from cauldron.inspect.card import write_card

VQAV2 = "the_cauldron/vqav2"
LIMA = "lima"
_LICENCES = {VQAV2: "cc-by-4.0", LIMA: "cc-by-nc-sa-4.0"}
_REPOS = {VQAV2: "HuggingFaceM4/the_cauldron", LIMA: "GAIR/lima"}
_EPOCHS = {VQAV2: 2.0, LIMA: 1.5}
_TOKENIZER = Tokenizer(name=None, estimated=True)


def picture(number: int, size: tuple[int, int] = (40, 30)) -> bytes:
    """A small JPEG, different for every number."""
    buffer = io.BytesIO()
    color = (number * 37 % 256, number * 91 % 256, number * 53 % 256)
    Image.new("RGB", size, color).save(buffer, "JPEG")
    return buffer.getvalue()


@dataclass
class _Corpus:
    source: str
    fingerprint: str
    manifest: CorpusManifest
    rows: list[dict[str, Any]] = field(default_factory=list)
    pixels: dict[str, list[bytes]] = field(default_factory=dict)


def make_out(out: str, *, mixture: bool = True, lima: str = "bbb222") -> str:
    """Write an output folder and return it.

    Args:
        mixture: False stops after the decisions.
        lima: fingerprint of the text corpus.
    """
    corpora = [
        _write_corpus(out, VQAV2, "aaa111", _vqav2_parts(), rejects=True),
        _write_corpus(out, LIMA, lima, _lima_parts(), rejects=False),
    ]
    curation, kept = _write_curation(out, corpora)
    if mixture:
        _write_mixture(out, corpora, curation, kept)
    return out


def sample_of(source: str, number: int, turns: int, images: list[bytes]) -> Sample:
    texts = [(f"What is {number}.{t}?", f"It is {number}, answer {t}.") for t in range(turns)]
    digests = [hashlib.sha256(data).hexdigest() for data in images]
    infos = tuple(
        ImageInfo(width=40, height=30, format="JPEG", mode="RGB", sha256=digest, phash=number)
        for digest in digests
    )
    return Sample(
        id=content_id(source, digests, None, texts),
        source=source,
        system=None,
        turns=tuple(
            Turn(user=user, assistant=said, source=source, user_tokens=4, answer_tokens=6)
            for user, said in texts
        ),
        images=infos,
        origin=Origin(file="data/train-00000-of-00001.parquet", row_group=0, row=number, key=""),
        license=_LICENCES[source],
        language="en",
    )


def _vqav2_parts() -> list[list[tuple[Sample, list[bytes]]]]:
    """Two parts of three rows; the last row of the second is the first row of the first."""
    made = []
    for number in range(5):
        images = [picture(number)] if number != 3 else [picture(3), picture(33)]
        made.append((sample_of(VQAV2, number, 1 + number % 3, images), images))
    return [made[:3], [*made[3:], made[0]]]


def _lima_parts() -> list[list[tuple[Sample, list[bytes]]]]:
    return [[(sample_of(LIMA, number, 2, []), []) for number in range(4)]]


def _write_corpus(
    out: str,
    source: str,
    fingerprint: str,
    parts: list[list[tuple[Sample, list[bytes]]]],
    rejects: bool,
) -> _Corpus:
    folder = corpus_folder(out, source, fingerprint)
    entries, rows, pixels = [], [], {}
    for number, samples in enumerate(parts):
        stem = f"{number:05d}-of-{len(parts):05d}"
        with storage.atomic_write(storage.join(folder, f"images-{stem}.tar")) as file:
            written = _write_pack(file, samples, f"images-{stem}.tar")
        pack = HashedFile(name=f"images-{stem}.tar", bytes=file.size, sha256=file.sha256)
        table = write_table(folder, f"part-{stem}.parquet", written, CORPUS_SCHEMA)
        quarantine = None
        if rejects and number == 0:
            place = quarantine_folder(out, source, fingerprint)
            quarantine = write_table(
                place, f"part-{stem}.parquet", _rejects(source), QUARANTINE_SCHEMA
            )
        entries.append(CorpusPart(part=number, parquet=table, pack=pack, quarantine=quarantine))
        rows += [row | {"part": number, "row": i} for i, row in enumerate(written)]
        pixels |= {sample.id: images for sample, images in samples}
    counts = CorpusCounts(
        rows_in=len(rows) + (6 if rejects else 0),
        kept=len(rows),
        merged={"same_image": 2} if rejects else {},
        dropped={"no_turns": 3} if rejects else {},
        quarantined={"image_unreadable": 1} if rejects else {},
        turns=sum(row["turns"] for row in rows),
        images=sum(len(row["image_info"]) for row in rows),
        answer_tokens=sum(row["answer_tokens"] for row in rows),
        text_tokens=sum(row["text_tokens"] for row in rows),
        bytes_in=1000,
    )
    manifest = CorpusManifest(
        source=source,
        fingerprint=fingerprint,
        repo=_REPOS[source],
        revision="main",
        commit="0123456789abcdef0123456789abcdef01234567",
        license=_LICENCES[source],
        tokenizer=_TOKENIZER,
        files=[PublishedFile(path="data/train-00000-of-00001.parquet", size=1000)],
        parts=entries,
        counts=counts,
    )
    save(folder, manifest)
    return _Corpus(source, fingerprint, manifest, rows, pixels)


def _write_pack(
    file: Any, samples: list[tuple[Sample, list[bytes]]], name: str
) -> list[dict[str, Any]]:
    pack = RecordFileWriter(file)
    rows = []
    for sample, images in samples:
        placed = pack.add(sample, images)
        turns = [(turn.user, turn.assistant) for turn in sample.turns]
        rows.append(
            {
                "id": sample.id,
                "source": sample.source,
                "messages": messages_of(sample.system, turns, len(images)),
                "image_info": [
                    info.model_dump() | {"offset": offset, "length": length}
                    for info, (offset, length) in zip(sample.images, placed.images, strict=True)
                ],
                "answer_tokens": sample.answer_tokens,
                "text_tokens": sample.text_tokens,
                "turns": len(turns),
                "turn_sources": [turn.source for turn in sample.turns],
                "origin": sample.origin.model_dump(),
                "license": sample.license,
                "language": sample.language,
                "pack": name,
                "offset": placed.offset,
                "length": placed.length,
            }
        )
    pack.finish()
    return rows


def _rejects(source: str) -> list[dict[str, Any]]:
    reasons = [("dropped", "no_turns", 2), ("dropped", "no_turns", 1)]
    reasons.append(("quarantined", "image_unreadable", 1))
    return [
        {
            "source": source,
            "outcome": outcome,
            "reason": reason,
            "message": "made for a test",
            "origin": {"file": "x.parquet", "row_group": 0, "row": row, "key": ""},
            "rows": rows,
        }
        for row, (outcome, reason, rows) in enumerate(reasons)
    ]


def _write_curation(
    out: str, corpora: list[_Corpus]
) -> tuple[CurationManifest, dict[str, list[dict[str, Any]]]]:
    decisions, kept, counts = [], {}, {}
    for corpus in corpora:
        first: dict[str, dict[str, Any]] = {}
        for row in corpus.rows:
            into = first.setdefault(row["id"], row)
            same = into is row
            decisions.append(
                {name: row[name] for name in DECISION_SCHEMA.names if name in row}
                | {"image_bytes": sum(info["length"] for info in row["image_info"])}
                | {
                    "decision": "keep" if same else "merge",
                    "reason": None if same else "exact_copy",
                    "into_source": None if same else corpus.source,
                    "into_part": None if same else into["part"],
                    "into_row": None if same else into["row"],
                }
            )
        kept[corpus.source] = list(first.values())
        merged = len(corpus.rows) - len(first)
        counts[corpus.source] = CurationCounts(
            rows_in=len(corpus.rows),
            kept=len(first),
            merged={"exact_copy": merged} if merged else {},
        )
    fingerprint = "ccc" + "".join(corpus.fingerprint for corpus in corpora)
    folder = curation_folder(out, fingerprint)
    decisions.sort(key=lambda row: (row["id"], row["part"], row["row"]))
    half = len(decisions) // 2
    buckets = [
        write_table(folder, f"decisions-{i:05d}-of-00002.parquet", rows, DECISION_SCHEMA)
        for i, rows in enumerate((decisions[:half], decisions[half:]))
    ]
    manifest = CurationManifest(
        fingerprint=fingerprint,
        corpora={corpus.source: corpus.fingerprint for corpus in corpora},
        buckets=buckets,
        counts=counts,
    )
    save(folder, manifest)
    return manifest, kept


def _copies(corpora: list[_Corpus], kept: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    rows = []
    for corpus in corpora:
        epochs = _EPOCHS[corpus.source]
        for epoch in range(2):
            taken = round(len(kept[corpus.source]) * min(1.0, epochs - epoch))
            rows += [
                _mixture_row(row, corpus.pixels[row["id"]], epoch)
                for row in kept[corpus.source][:taken]
            ]
    return sorted(
        rows, key=lambda row: hashlib.sha256(f"{row['id']}{row['epoch']}".encode()).digest()
    )


def _mixture_row(row: dict[str, Any], images: list[bytes], epoch: int) -> dict[str, Any]:
    infos = [
        {k: v for k, v in info.items() if k not in ("offset", "length")} | {"tiles": 1}
        for info in row["image_info"]
    ]
    return {name: row[name] for name in mixture_schema_with_features().names if name in row} | {
        "images": [{"bytes": data, "path": None} for data in images],
        "image_info": infos,
        "tokens": {
            "answer": row["answer_tokens"],
            "text": row["text_tokens"],
            "image": 169 * len(images),
        },
        "tiles": len(images),
        "cluster": None,
        "epoch": epoch,
        "repeat": 2,
    }


def _write_mixture(
    out: str,
    corpora: list[_Corpus],
    curation: CurationManifest,
    kept: dict[str, list[dict[str, Any]]],
) -> None:
    rows = _copies(corpora, kept)
    folder = mixture_folder(out, "tiny", "sft")
    half = len(rows) // 2
    schema = mixture_schema_with_features()
    shards = [
        write_table(
            storage.join(folder, DATA, "ddd444"), f"train-{i:05d}-of-00002.parquet", part, schema
        )
        for i, part in enumerate((rows[:half], rows[half:]))
    ]
    sums = {corpus.source: _sums(rows, corpus.source) for corpus in corpora}
    total = sum(sums.values(), Counter())
    sources = {}
    for corpus in corpora:
        mine = sums[corpus.source]
        sources[corpus.source] = SourceInMixture(
            counts=corpus.manifest.counts.after(curation.counts[corpus.source]),
            weight=1.0 if corpus.source == VQAV2 else None,
            share_asked=0.5,
            share_reached=mine["answer_tokens"] / total["answer_tokens"],
            epochs=_EPOCHS[corpus.source],
            pass_rows=len(kept[corpus.source]),
            license=_LICENCES[corpus.source],
            repo=_REPOS[corpus.source],
            commit=corpus.manifest.commit,
            **{name: mine[name] for name in _SUM_NAMES},
        )
    manifest = MixtureManifest(
        stage="sft",
        fingerprint="ddd444",
        seed=7,
        code_version="0.1.0",
        recipe={"name": "tiny", "stages": {}},
        recipe_name="tiny",
        tokenizer=_TOKENIZER,
        corpora={corpus.source: corpus.fingerprint for corpus in corpora},
        curation=curation.fingerprint,
        unavailable=[
            Unavailable(source="goat", why="no files under the root", remedy="download it")
        ],
        sources=sources,
        totals=MixtureTotals(
            **{name: total[name] for name in _SUM_NAMES}, bytes=sum(s.bytes for s in shards)
        ),
        shards=shards,
    )
    storage.write_bytes(storage.join(folder, "README.md"), write_card(manifest).encode())
    save(folder, manifest)


_SUM_NAMES = ("rows", "answer_tokens", "text_tokens", "image_tokens", "images")


def _sums(rows: list[dict[str, Any]], source: str) -> Counter[str]:
    counter: Counter[str] = Counter()
    for row in rows:
        if row["source"] == source:
            counter["rows"] += 1
            counter["images"] += len(row["images"])
            for name in ("answer", "text", "image"):
                counter[f"{name}_tokens"] += row["tokens"][name]
    return counter


def write_table(folder: str, name: str, rows: list[dict[str, Any]], schema: pa.Schema) -> RowFile:
    """Write rows as one parquet file; the entry that a manifest has for it."""
    table = pa.Table.from_pylist(
        [{key: row.get(key) for key in schema.names} for row in rows], schema=schema
    )
    with storage.atomic_write(storage.join(folder, name)) as file:
        pq.write_table(table, file, compression="zstd")
    return RowFile(name=name, bytes=file.size, sha256=file.sha256, rows=table.num_rows)


def save(folder: str, manifest: CorpusManifest | CurationManifest | MixtureManifest) -> None:
    storage.write_json(storage.join(folder, MANIFEST), manifest.model_dump(mode="json"))


def change_manifest(folder: str, change: Any) -> None:
    """Rewrite a manifest after `change` has altered its JSON in place."""
    path = storage.join(folder, MANIFEST)
    values = storage.read_json(path)
    change(values)
    storage.write_json(path, values)
