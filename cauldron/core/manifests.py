"""The three manifests, and where an output folder keeps what they describe.

A manifest is written last: a folder without one is unfinished and no reader looks into it. Every
file that belongs to a folder is listed with its size and SHA-256; totals come from here and never
from a runner's counters.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from cauldron.core import storage
from cauldron.core.errors import CauldronError
from cauldron.core.rules import Action, Conflicts

MANIFEST = "manifest.json"
DATA = "data"

Reasons = dict[str, int]


def _plain_name(name: str) -> str:
    if not name or "/" in name or "\\" in name or name.startswith("."):
        raise ValueError(f"{name!r} is not a plain file name")
    return name


FileName = Annotated[str, AfterValidator(_plain_name)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HashedFile(_Frozen):
    """A file of the folder that the manifest stands in.

    Attributes:
        sha256: of the whole file, hex.
    """

    name: FileName
    bytes: int
    sha256: Sha256


class RowFile(HashedFile):
    """A parquet file and its number of rows, or one of JSON lines."""

    rows: int


class Tokenizer(_Frozen):
    """What counted the tokens.

    Attributes:
        name: hub id or path; None with the estimate from bytes.
        estimated: counts are the byte-based estimate.
        digest: of the ids that it makes of a fixed text (`cauldron.core.tokenizer`), by which it is
            known under another name; None with the estimate, and in manifests of before.
    """

    name: str | None
    estimated: bool
    digest: str | None = None


class PublishedFile(_Frozen):
    """A file that a source was read from; `version` is its hash or ETag, "" where unknown."""

    path: str
    size: int
    version: str = ""


class CurationCounts(_Frozen):
    """What curation made of the rows of one corpus; merged and dropped by reason."""

    rows_in: int
    kept: int
    merged: Reasons = {}
    dropped: Reasons = {}

    @property
    def accounted(self) -> int:
        """Rows with a known outcome; equals `rows_in` when nothing vanished."""
        return self.kept + sum(self.merged.values()) + sum(self.dropped.values())

    def __add__(self, other: CurationCounts) -> CurationCounts:
        return CurationCounts(
            rows_in=self.rows_in + other.rows_in,
            kept=self.kept + other.kept,
            merged=_added(self.merged, other.merged),
            dropped=_added(self.dropped, other.dropped),
        )


class RowCounts(CurationCounts):
    """What became of every published row of one source, by reason."""

    quarantined: Reasons = {}

    @property
    def accounted(self) -> int:
        return super().accounted + sum(self.quarantined.values())

    def after(self, curation: CurationCounts) -> RowCounts:
        """These counts of ingest with those of curation added."""
        return RowCounts(
            rows_in=self.rows_in,
            kept=curation.kept,
            merged=_added(self.merged, curation.merged),
            dropped=_added(self.dropped, curation.dropped),
            quarantined=self.quarantined,
        )


class CorpusCounts(RowCounts):
    """Rows, and what the kept ones hold.

    Attributes:
        turns_dropped: turns left out of rows that stayed, by reason.
        bytes_in: bytes of the published files.
    """

    turns: int
    turns_dropped: Reasons = {}
    images: int
    answer_tokens: int
    text_tokens: int
    bytes_in: int


class CorpusPart(_Frozen):
    """One part of a corpus; its `quarantine` file lies in the quarantine folder."""

    part: int
    parquet: RowFile
    pack: HashedFile | None
    quarantine: RowFile | None


class CorpusManifest(_Frozen):
    """``corpus/<source>/<fingerprint>/manifest.json``."""

    format: Literal[1] = 1
    source: str
    fingerprint: str
    repo: str
    revision: str | None
    commit: str | None
    license: str
    tokenizer: Tokenizer
    notes: list[str] = []
    files: list[PublishedFile]
    parts: list[CorpusPart]
    counts: CorpusCounts


class CurationManifest(_Frozen):
    """``curation/<fingerprint>/manifest.json``.

    Attributes:
        corpora: fingerprints by source.
        priority: the sources in the order of the recipe, by which of rows with the same pictures
            one stays and turns are put together.
        matches: fingerprint of the matching that clusters and contamination come from; None
            where neither was looked for.
        benchmarks: fingerprints of the benchmarks that were kept out, by name.
        action: what became of rows with the same pictures; None where they were not looked for.
        conflicts: what became of questions with several answers, when they merged.
        buckets: the decisions.
        clusters, contamination: the evidence.
        merged: texts of the rows that took over others, one JSON line each.
    """

    format: Literal[1] = 1
    fingerprint: str
    corpora: dict[str, str]
    priority: list[str] = []
    matches: str | None = None
    benchmarks: dict[str, str] = {}
    action: Action | None = None
    conflicts: Conflicts = "keep"
    buckets: list[RowFile]
    clusters: list[RowFile] = []
    contamination: list[RowFile] = []
    merged: list[RowFile] = []
    counts: dict[str, CurationCounts]

    @property
    def files(self) -> list[RowFile]:
        """Every file of the folder but the manifest."""
        return [*self.buckets, *self.clusters, *self.contamination, *self.merged]


class MatchCounts(_Frozen):
    """Totals of a matching.

    Attributes:
        images: in rows, without exact copies of rows.
        pictures: with different content.
        candidates: pairs that the stored numbers let through.
        compared: of these, pairs whose pixels were read in this build; an earlier one knew the
            others.
        same: pairs of the same picture.
        crowded: pictures with so many others like them that only their nearest were compared.
    """

    images: int
    pictures: int
    candidates: int
    compared: int
    same: int
    crowded: int


class MatchManifest(_Frozen):
    """``matches/<fingerprint>/manifest.json``: which pictures are the same.

    Attributes:
        corpora, benchmarks: fingerprints by name.
        order: names in the order of the records' `source` numbers, benchmarks last.
        compare_version, opencv: verdicts of other versions are not taken over.
        pictures, occurrences, verdicts: a file for each range of content keys.
    """

    format: Literal[1] = 1
    fingerprint: str
    corpora: dict[str, str]
    benchmarks: dict[str, str]
    order: list[str]
    radius: int
    radius256: int
    aspect: float
    neighbours: int
    compare_version: int
    opencv: str
    pictures: list[RowFile]
    occurrences: list[RowFile]
    verdicts: list[RowFile]
    counts: MatchCounts

    @property
    def files(self) -> list[RowFile]:
        """All files of the folder."""
        return [*self.pictures, *self.occurrences, *self.verdicts]


class Unavailable(_Frozen):
    """A source that the recipe asks for and the build went on without."""

    source: str
    why: str
    remedy: str


class SourceInMixture(_Frozen):
    """One source's place in a mixture.

    Attributes:
        counts: of its published rows, through ingest and curation.
        weight: as in the recipe; None where the recipe gives a share.
        share_asked, share_reached: of the mixture's answer tokens, 0 to 1.
        epochs: passes over the kept rows, fractional.
        rows: copies in the mixture.
    """

    counts: RowCounts
    weight: float | None
    share_asked: float
    share_reached: float
    epochs: float
    rows: int
    answer_tokens: int
    text_tokens: int
    image_tokens: int
    images: int
    license: str
    repo: str
    commit: str | None


class MixtureTotals(_Frozen):
    """Sums over the sources; `bytes` over the shards."""

    rows: int
    answer_tokens: int
    text_tokens: int
    image_tokens: int
    images: int
    bytes: int


class MixtureManifest(_Frozen):
    """``mixtures/<stage>/manifest.json``; the shards lie in ``data/`` beside it."""

    format: Literal[1] = 1
    stage: str
    fingerprint: str
    seed: int
    code_version: str
    recipe: dict[str, Any]
    recipe_name: str
    tokenizer: Tokenizer
    corpora: dict[str, str]
    curation: str
    unavailable: list[Unavailable] = []
    sources: dict[str, SourceInMixture]
    totals: MixtureTotals
    shards: list[RowFile]


M = TypeVar("M", CorpusManifest, CurationManifest, MatchManifest, MixtureManifest)


def corpus_folder(out: str, source: str, fingerprint: str) -> str:
    return storage.join(out, "corpus", source, fingerprint)


def quarantine_folder(out: str, source: str, fingerprint: str) -> str:
    return storage.join(out, "quarantine", source, fingerprint)


def curation_folder(out: str, fingerprint: str) -> str:
    return storage.join(out, "curation", fingerprint)


def match_folder(out: str, fingerprint: str) -> str:
    return storage.join(out, "matches", fingerprint)


def benchmark_folder(out: str, name: str, fingerprint: str) -> str:
    return storage.join(out, "benchmarks", name, fingerprint)


def mixture_folder(out: str, stage: str) -> str:
    return storage.join(out, "mixtures", stage)


def read_manifest(kind: type[M], folder: str) -> M:
    """Read the manifest of a folder.

    Raises:
        FileNotFoundError: there is none, so the folder is unfinished.
        CauldronError: it is there and is no manifest of this kind.
    """
    path = storage.join(folder, MANIFEST)
    try:
        return kind.model_validate_json(storage.read_bytes(path))
    except ValidationError as error:
        first = error.errors()[0]
        what = f"{'.'.join(str(part) for part in first['loc'])} {first['msg']}"
        raise CauldronError(f"{path} is not a manifest of format 1: {what}") from None


def _added(first: Reasons, second: Reasons) -> Reasons:
    return dict(sorted((Counter(first) + Counter(second)).items()))
