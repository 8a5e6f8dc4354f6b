"""Hand-made corpora, clusters and contamination, for tests of what becomes of rows.

Written by the project's own part writer; pictures are small JPEGs, and which of them are the same
is said by hand.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from cauldron.transforms.normalise import Kept
from cauldron.transforms.parts import PartNames, PartWriter, part_markers
from cauldron.transforms.pictures.signatures import Signature
from PIL import Image

from cauldron.core import storage
from cauldron.core.output.counts import CorpusCounts
from cauldron.core.output.manifests import (
    MANIFEST,
    CorpusManifest,
    CorpusPart,
    CurationManifest,
    HashedFile,
    MixtureManifest,
    RowFile,
    Tokenizer,
    benchmark_folder,
    corpus_folder,
    curation_folder,
    quarantine_folder,
)
from cauldron.core.output.markers import marker_folder
from cauldron.core.output.mixture import load_mixture
from cauldron.core.schema import (
    CLUSTER_SCHEMA,
    CONTAMINATION_SCHEMA,
    Document,
    ImageInfo,
    Origin,
    Sample,
    Turn,
    content_id,
    document_id,
)
from cauldron.core.sections.rules import Action, Conflicts
from cauldron.pipeline.decide import Matched, curate, curation_fingerprint
from cauldron.pipeline.mix import MixRequest, mix
from cauldron.pipeline.runners.runner import Launcher
from cauldron.recipe import Recipe

VQA, OKVQA, LNQA, DOLLY, LIMA = (
    "the_cauldron/vqav2", "the_cauldron/okvqa", "lnqa", "dolly", "lima"
)  # fmt: skip
LICENCES = {VQA: "cc-by-4.0", OKVQA: "mit", LNQA: "cc-by-4.0"}
IN_MEMORY = ["--direct_num_workers=1"]

Texts = Sequence[tuple[str, str]]
Row = tuple[Sample, list[bytes]]


def picture(number: int, size: tuple[int, int] = (8, 6)) -> bytes:
    """A JPEG, different for every number and size."""
    buffer = io.BytesIO()
    colour = (number * 37 % 256, number * 91 % 256, number * 53 % 256)
    Image.new("RGB", size, colour).save(buffer, "JPEG")
    return buffer.getvalue()


def row(
    source: str,
    texts: Texts,
    *pictures: int,
    size: tuple[int, int] = (8, 6),
    system: str | None = None,
    number: int = 0,
) -> Row:
    """A sample and its pictures; an answer has as many tokens as words, a question 3."""
    images = [picture(k, size) for k in pictures]
    digests = [hashlib.sha256(data).hexdigest() for data in images]
    sample = Sample(
        id=content_id(source, digests, system, list(texts)),
        source=source,
        system=system,
        turns=tuple(
            Turn(
                user=user,
                assistant=said,
                source=source,
                user_tokens=3,
                answer_tokens=len(said.split()),
            )
            for user, said in texts
        ),
        images=tuple(
            ImageInfo(
                width=size[0], height=size[1], format="JPEG", mode="RGB", sha256=digest, phash=0
            )
            for digest in digests
        ),
        origin=Origin(file="data.parquet", row_group=0, row=number),
        license=LICENCES.get(source, "unknown"),
        language="en",
        system_tokens=len((system or "").split()),
    )
    return sample, images


def document(source: str, *content: str | int, number: int = 0) -> Row:
    """A pre-training document; a number is a picture. It has as many tokens as words."""
    pictures = [item for item in content if isinstance(item, int)]
    parts = [None if isinstance(item, int) else item for item in content]
    sample, images = row(source, [], *pictures, number=number)
    digests = [info.sha256 for info in sample.images]
    words = sum(len(part.split()) for part in parts if part is not None)
    changes = {
        "id": document_id(source, digests, parts),
        "document": Document(parts=tuple(parts), tokens=words),
    }
    return sample.model_copy(update=changes), images


BENCHMARK = "mmmu"
LEAKED = row(BENCHMARK, [("Which?", "B")], 200)


@dataclass
class World:
    """An output folder with corpora; `curate` and `mix` run the real jobs on them.

    Attributes:
        corpora: in the order in which their sources were added: their priority.
        benchmarks: fingerprints by name. There is one as soon as a row is contaminated.
        blank: pictures that have no structure.
    """

    out: str
    corpora: dict[str, CorpusManifest] = field(default_factory=dict)
    benchmarks: dict[str, str] = field(default_factory=dict)
    blank: frozenset[bytes] = frozenset()

    def add(self, source: str, *parts: Sequence[Row], fingerprint: str = "f0") -> None:
        """Write a corpus, one part for each list of rows."""
        folder = corpus_folder(self.out, source, fingerprint)
        quarantine = quarantine_folder(self.out, source, fingerprint)
        self.corpora[source] = self._write(folder, quarantine, source, parts, fingerprint)

    def add_benchmark(self, rows: Sequence[Row], fingerprint: str = "b0") -> None:
        folder = benchmark_folder(self.out, BENCHMARK, fingerprint)
        quarantine = quarantine_folder(self.out, f"benchmarks/{BENCHMARK}", fingerprint)
        self._write(folder, quarantine, BENCHMARK, [rows], fingerprint)
        self.benchmarks[BENCHMARK] = fingerprint

    def _write(
        self,
        folder: str,
        quarantine: str,
        source: str,
        parts: Sequence[Sequence[Row]],
        fingerprint: str,
    ) -> CorpusManifest:
        for number, rows in enumerate(parts):
            with PartWriter(PartNames(folder, quarantine, number, len(parts)), source) as writer:
                for sample, images in rows:
                    grounds = [255 * (data in self.blank) for data in images]
                    signatures = [Signature(None, b"\0" * 32, ground, 0) for ground in grounds]
                    writer.add(Kept(sample, images, signatures), 1)
        markers = part_markers(folder, len(parts))
        markers.sum_up()
        marks = list(markers.read())
        sums = {
            name: sum(mark["counts"][name] for mark in marks)
            for name in ("rows_in", "kept", "turns", "images", "answer_tokens", "text_tokens")
        }
        manifest = CorpusManifest(
            source=source, fingerprint=fingerprint, repo="org/name", revision=None, commit=None,
            license=LICENCES.get(source, "unknown"),
            tokenizer=Tokenizer(name=None, estimated=True), files=[],
            parts=[
                CorpusPart(
                    part=mark["part"],
                    parquet=RowFile(**mark["parquet"]),
                    pack=HashedFile(**mark["pack"]),
                    quarantine=None,
                )
                for mark in marks
            ],
            counts=CorpusCounts(**sums, bytes_in=0),
        )  # fmt: skip
        storage.write_json(storage.join(folder, MANIFEST), manifest.model_dump(mode="json"))
        storage.remove(marker_folder(folder))
        return manifest

    def curate(
        self,
        clusters: Mapping[int, Sequence[tuple[Row, int]]] | None = None,
        action: Action | None = "merge",
        conflicts: Conflicts = "keep",
        contaminated: Sequence[tuple[Row, int]] = (),
        beam_args: Sequence[str] = tuple(IN_MEMORY),
        matches: str = "m0",
        max_documents: int | None = None,
    ) -> CurationManifest:
        """Curate with clusters by number: the images (row, index) that are the same."""
        if contaminated and not self.benchmarks:
            self.add_benchmark([LEAKED])
        wanted = Matched(matches, self.benchmarks, action, conflicts, max_documents)
        folder = curation_folder(self.out, curation_fingerprint(self.corpora, wanted))
        matched = Matched(
            matches=matches,
            benchmarks=self.benchmarks,
            action=action,
            conflicts=conflicts,
            max_documents=max_documents,
            clusters=(write_clusters(folder, clusters or {}),),
            contamination=(write_contamination(folder, contaminated),),
        )
        return curate(self.corpora, self.out, Launcher(beam_args, print), matched)

    def decisions(self, curation: CurationManifest) -> dict[tuple[str, int, int], dict[str, Any]]:
        """All decisions by (source, part, row)."""
        folder = curation_folder(self.out, curation.fingerprint)
        rows = [
            row
            for bucket in curation.buckets
            for row in pq.read_table(storage.join(folder, bucket.name)).to_pylist()
        ]
        found = {(row["source"], row["part"], row["row"]): row for row in rows}
        assert len(found) == len(rows)
        return found

    def merged(self, curation: CurationManifest) -> dict[str, Sample]:
        """The merged samples by id, each read where its decision says."""
        folder = curation_folder(self.out, curation.fingerprint)
        found = {}
        for made in self.decisions(curation).values():
            if made["merged_file"] is not None:
                name = curation.merged[made["merged_file"]].name
                data = storage.read_bytes(storage.join(folder, name))
                start, length = made["merged_offset"], made["merged_length"]
                found[made["id"]] = Sample.model_validate_json(data[start : start + length])
        return found

    def mix(
        self, curation: CurationManifest, beam_args: Sequence[str] = tuple(IN_MEMORY), **stage: Any
    ) -> MixtureManifest:
        """The mixture of everything once, without a cap on turns."""
        settings: dict[str, Any] = {
            "mixture": dict.fromkeys(self.corpora, 1),
            "turns": {"cap": None},
        }
        if "budget" not in stage:
            settings |= {"promise": "epochs", "epochs_per_weight": 1}
        recipe = Recipe.model_validate({"name": "test", "stages": {"sft": settings | stage}})
        request = MixRequest(recipe, "sft", self.out, self.corpora, curation, [])
        return mix(request, Launcher(beam_args, print))

    def mixture(self) -> list[dict[str, Any]]:
        paths = load_mixture(f"{self.out}/mixtures/test/sft").shards
        return [row for path in paths for row in pq.read_table(path).to_pylist()]


def cluster_name(number: int) -> str:
    return hashlib.blake2b(b"cluster %d" % number, digest_size=16).hexdigest()


def write_clusters(folder: str, clusters: Mapping[int, Sequence[tuple[Row, int]]]) -> RowFile:
    """A file of clusters; the first image of each is its representative, all are the same."""
    rows = [
        {
            "cluster": cluster_name(number),
            "source": sample.source,
            "id": sample.id,
            "image": image,
            "origin": sample.origin.model_dump(),
            "representative": place == 0,
            "distance": 0,
            "score": 1.0,
        }
        for number, members in clusters.items()
        for place, ((sample, _), image) in enumerate(members)
    ]
    return _write(folder, "clusters-00000-of-00001.parquet", rows, CLUSTER_SCHEMA)


def write_contamination(
    folder: str, images: Sequence[tuple[Row, int]], removed: bool = True
) -> RowFile:
    rows = [
        {
            "kind": "picture",
            "source": sample.source,
            "id": sample.id,
            "image": image,
            "origin": sample.origin.model_dump(),
            "benchmark": BENCHMARK,
            "benchmark_id": LEAKED[0].id,
            "benchmark_image": 0,
            "benchmark_origin": LEAKED[0].origin.model_dump(),
            "distance": 0,
            "score": 1.0,
            "overlap": None,
            "removed": removed,
            "thumbnails": [],
        }
        for (sample, _), image in images
    ]
    return _write(folder, "contamination-00000-of-00001.parquet", rows, CONTAMINATION_SCHEMA)


def _write(folder: str, name: str, rows: list[dict[str, Any]], schema: pa.Schema) -> RowFile:
    with storage.atomic_write(storage.join(folder, name)) as file:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), file)
    return RowFile(name=name, bytes=file.size, sha256=file.sha256, rows=len(rows))


def turns_of(sample: Sample) -> list[tuple[str, str, str]]:
    return [(turn.user, turn.assistant, turn.source) for turn in sample.turns]
