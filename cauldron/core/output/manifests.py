"""The manifests of an output folder, and the paths of the folders that they describe.

A manifest is written last: a folder without one is unfinished, and readers ignore it. It lists
every file of its folder with size and SHA-256. Totals come from manifests, never from a runner's
counters.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from cauldron.core import storage
from cauldron.core.errors import CauldronError
from cauldron.core.names import Name, SourceName
from cauldron.core.output.counts import CorpusCounts, CurationCounts, RowCounts, added
from cauldron.core.sections.models import ModelRules
from cauldron.core.sections.ratings import Scale
from cauldron.core.sections.rules import Action, Conflicts

MANIFEST = "manifest.json"
DATA = "data"


def _plain_name(name: str) -> str:
    if not name or "/" in name or "\\" in name or name.startswith("."):
        raise ValueError(f"{name!r} is not a plain file name")
    return name


FileName = Annotated[str, AfterValidator(_plain_name)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Manifest(_Frozen):
    """What every manifest has; `fingerprint` is that of all that decides the folder's content."""

    fingerprint: str


# Of the entries below a manifest may hold hundreds of thousands. Dataclasses with slots take a
# third of a model's memory.
_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class HashedFile:
    """A file in the manifest's folder; `sha256` is that of the whole file, hex."""

    name: FileName
    bytes: int
    sha256: Sha256


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class RowFile(HashedFile):
    """A file of rows, parquet or JSON lines."""

    rows: int


class Tokenizer(_Frozen):
    """The tokenizer that counted the tokens.

    Attributes:
        name: as in the recipe; None in old manifests if the counts are estimated.
        estimated: the counts are estimated from bytes.
        digest: identifies the tokenizer under any name, see `cauldron.core.tokenizer`. None if
            the counts are estimated, and in old manifests.
    """

    name: str | None
    estimated: bool
    digest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class PublishedFile:
    """A file that a source was read from; `version` is its hash or ETag, "" if unknown."""

    path: str
    size: int
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class CorpusPart:
    """One part of a corpus.

    Attributes:
        pack: the record file, a tar with text and images.
        quarantine: the file of rows that were not kept, in the quarantine folder.
    """

    part: int
    parquet: RowFile
    pack: HashedFile | None
    quarantine: RowFile | None


# A source that gave this part of its limit has more rows.
_NEARLY = 0.9


class CorpusManifest(Manifest):
    """``corpus/<source>/<fingerprint>/manifest.json``, and those of benchmarks.

    Attributes:
        limit: rows that were to be read, -1 for all.
    """

    format: Literal[1] = 1
    source: SourceName
    fingerprint: Name
    limit: int = -1
    repo: str
    revision: str | None
    commit: str | None
    license: str
    tokenizer: Tokenizer
    notes: list[str] = []
    files: list[PublishedFile]
    parts: list[CorpusPart]
    counts: CorpusCounts

    @property
    def ended_by_limit(self) -> bool:
        """Whether the source has more rows than were read, as far as its files tell. Where a limit
        is divided among files it is not always reached (`cauldron.sources.base.Source.pieces`)."""
        return 0 <= self.limit * _NEARLY <= self.counts.rows_in

    def tables(self, kind: Literal["corpus", "benchmarks"] = "corpus") -> list[str]:
        """The parquet files of the parts, relative to the output folder."""
        folder = f"{kind}/{self.source}/{self.fingerprint}"
        return [f"{folder}/{part.parquet.name}" for part in self.parts]


class CurationManifest(Manifest):
    """``curation/<fingerprint>/manifest.json``.

    Attributes:
        corpora: fingerprints by source.
        priority: the sources in the recipe's order. It decides which of several rows with the
            same pictures stays, and in which order turns are merged.
        matches: fingerprint of the matching; None if duplicates and contamination were not
            searched for.
        benchmarks: fingerprints of the benchmarks to keep out, by name.
        action: what is done with rows that have the same pictures; None if these were not
            searched for.
        conflicts: what is kept of merged questions with several answers.
        max_documents: pictures in more documents were left out of them; None: none were.
        ratings: fingerprints of the ratings for which rows were dropped, by source.
        least: the smallest rating that each turn of a row may have, by scale.
        buckets: files of decisions.
        clusters, contamination: files of evidence; that of pictures first, then that of texts.
        recoloured: how many images are in a cluster as their representative in other colours; None
            if these are not the same picture.
        merged: files of merged texts, a JSON line for each row that took over others.
        reviewed: the file with what became of reviews.
        reviews: how many by what became of them; of the obeyed ones also how many pairs are
            ``same`` and ``different``.
        reviews_digest: of what the reviews say; None without reviews.
    """

    format: Literal[1] = 1
    fingerprint: Name
    corpora: dict[SourceName, Name]
    priority: list[str] = []
    matches: Name | None = None
    benchmarks: dict[Name, Name] = {}
    action: Action | None = None
    conflicts: Conflicts = "keep"
    max_documents: int | None = None
    ratings: dict[SourceName, Name] = {}
    least: dict[Scale, int] = {}
    buckets: list[RowFile]
    clusters: list[RowFile] = []
    contamination: list[RowFile] = []
    recoloured: int | None = None
    merged: list[RowFile] = []
    reviewed: list[RowFile] = []
    reviews: dict[str, int] = {}
    reviews_digest: Name | None = None
    counts: dict[str, CurationCounts]

    @property
    def files(self) -> list[RowFile]:
        """Every file of the folder except the manifest."""
        found = [*self.clusters, *self.contamination, *self.reviewed]
        return [*self.buckets, *found, *self.merged]

    def paths(self, files: list[RowFile]) -> list[str]:
        """The paths of some of its files, relative to the output folder."""
        return [f"curation/{self.fingerprint}/{file.name}" for file in files]


class RatingCounts(_Frozen):
    """Totals of the ratings of one source.

    Attributes:
        ratings: by scale, how many turns have which rating (``1`` to ``5``), or no rating and why.
        rows: that were rated.
        tokens_in, tokens_out: as the endpoints counted them, for each turn. Equal questions were
            paid for once, so the bill is smaller.
    """

    ratings: dict[str, dict[str, int]]
    rows: int
    tokens_in: int
    tokens_out: int

    def __add__(self, other: RatingCounts) -> RatingCounts:
        scales = sorted({*self.ratings, *other.ratings})
        return RatingCounts(
            ratings={
                scale: added(self.ratings.get(scale, {}), other.ratings.get(scale, {}))
                for scale in scales
            },
            rows=self.rows + other.rows,
            tokens_in=self.tokens_in + other.tokens_in,
            tokens_out=self.tokens_out + other.tokens_out,
        )


class RatingManifest(Manifest):
    """``ratings/<source>/<fingerprint>/manifest.json``: the ratings of the turns of a corpus.

    Attributes:
        corpus: its fingerprint.
        text, vision: the models that rated.
        share: of the rows, 1 for all.
        parts: a file for each part of the corpus.
    """

    format: Literal[1] = 1
    source: SourceName
    fingerprint: Name
    corpus: Name
    text: ModelRules | None
    vision: ModelRules | None
    share: float
    parts: list[RowFile]
    counts: RatingCounts

    def tables(self) -> list[str]:
        """Its files, relative to the output folder."""
        return [f"ratings/{self.source}/{self.fingerprint}/{part.name}" for part in self.parts]


class MatchCounts(_Frozen):
    """Totals of a matching.

    Attributes:
        images: images in rows, exact copies of rows excluded.
        pictures: images with different content.
        candidates: pairs of pictures with close hashes.
        compared: candidates whose pixels were compared in this build. The verdicts on the others
            were taken from an earlier build.
        same: pairs of the same picture.
        other_colours: pairs of the same picture in other colours.
        crowded: pictures with so many candidates that only the nearest were compared.
    """

    images: int
    pictures: int
    candidates: int
    compared: int
    same: int
    other_colours: int = 0
    crowded: int


class MatchManifest(Manifest):
    """``matches/<fingerprint>/manifest.json``: which pictures are the same.

    Attributes:
        corpora, benchmarks: fingerprints by name.
        order: names in the order of the records' `source` numbers, benchmarks last.
        compare_version, opencv: verdicts of other versions are not reused.
        pictures, occurrences, verdicts: a file for each range of content keys.
    """

    format: Literal[1] = 1
    fingerprint: Name
    corpora: dict[SourceName, Name]
    benchmarks: dict[Name, Name]
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
        """Every file of the folder except the manifest."""
        return [*self.pictures, *self.occurrences, *self.verdicts]


class Unavailable(_Frozen):
    """A source of the recipe that could not be read; the build continued without it."""

    source: str
    why: str
    remedy: str


class SourceInMixture(_Frozen):
    """One source in a mixture.

    Attributes:
        counts: of the rows that were read of it, after ingest and curation.
        limit: the most rows that were to be read, -1 for all.
        rows_published: at the publisher, as far as known.
        weight: as in the recipe; None if the recipe gives a share or epochs.
        share_published: in the table of the recipe's `statistics`; None if it is not there.
        share_asked, share_reached: of the mixture's answer tokens, 0 to 1.
        reason: why it reaches less than 90 % of its share, or why it is capped; else "".
        epochs: passes over the source's turns, fractional.
        pass_rows: rows of one pass: the kept rows, of any source, that hold turns of this one.
        rows: rows of the mixture that hold turns of it.
        images: in the copies of its own rows.
        notes: of the corpus.
    """

    counts: RowCounts
    limit: int = -1
    rows_published: int | None = None
    weight: float | None
    share_published: float | None = None
    share_asked: float
    share_reached: float
    reason: str = ""
    epochs: float
    pass_rows: int = 0
    rows: int
    answer_tokens: int
    text_tokens: int
    image_tokens: int
    images: int
    license: str
    repo: str
    commit: str | None
    notes: list[str] = []


class MixtureTotals(_Frozen):
    """Sums over the sources; `bytes` and `rows` are sums over the shards. A row with turns of
    several sources is in `rows` once, but in those of each source."""

    rows: int
    answer_tokens: int
    text_tokens: int
    image_tokens: int
    images: int
    bytes: int


class MixtureManifest(Manifest):
    """``mixtures/<recipe>/<stage>/manifest.json``; the shards are in ``data/<fingerprint>/``.

    Format 1 had one mixture per stage, with the shards directly in ``data/``.
    """

    format: Literal[2] = 2
    stage: Name
    fingerprint: Name
    seed: int
    code_version: str
    recipe: dict[str, Any]
    recipe_name: Name
    tokenizer: Tokenizer
    corpora: dict[SourceName, Name]
    curation: Name
    reviews: dict[str, int] = {}
    recoloured: int | None = None
    unavailable: list[Unavailable] = []
    sources: dict[str, SourceInMixture]
    totals: MixtureTotals
    shards: list[RowFile]

    @property
    def empty(self) -> list[str]:
        """Sources of which no turn is left: their rows were merged into rows that ask the same,
        dropped or quarantined."""
        held = ((name, max(s.pass_rows, s.rows)) for name, s in self.sources.items())
        return [name for name, rows in held if not rows]

    @property
    def folder(self) -> str:
        """Its folder, relative to the output folder."""
        return f"mixtures/{self.recipe_name}/{self.stage}"

    @property
    def data(self) -> str:
        """The folder of the shards, relative to its own folder."""
        return f"{DATA}/{self.fingerprint}"

    @property
    def shard_paths(self) -> list[str]:
        """The shards, relative to the output folder."""
        return [f"{self.folder}/{self.data}/{shard.name}" for shard in self.shards]


M = TypeVar("M", bound=Manifest)


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


def ratings_folder(out: str, source: str, fingerprint: str) -> str:
    return storage.join(out, "ratings", source, fingerprint)


def mixture_folder(out: str, recipe: str, stage: str) -> str:
    return storage.join(out, "mixtures", recipe, stage)


def manifest_bytes(manifest: Manifest) -> bytes:
    """As it is written. Entries become dictionaries one at a time, not all beside the manifest."""
    values = {name: getattr(manifest, name) for name in type(manifest).model_fields}
    return storage.json_bytes(values, _values)


def _values(item: Any) -> Any:
    return item.model_dump(mode="json") if isinstance(item, BaseModel) else asdict(item)


def read_manifest(kind: type[M], folder: str) -> M:
    """Read the manifest of a folder.

    Raises:
        FileNotFoundError: there is none; the folder is unfinished.
        CauldronError: the file is not a manifest of this kind, or is of an older format.
    """
    path = storage.join(folder, MANIFEST)
    known = kind.model_fields["format"].default
    try:
        return kind.model_validate_json(storage.read_bytes(path))
    except ValidationError as error:
        first = error.errors()[0]
        if first["loc"] == ("format",) and first["input"] in range(1, known):
            raise CauldronError(
                f"{path} is of an older version, in another layout: remove {folder}, build again"
            ) from None
        what = f"{'.'.join(str(part) for part in first['loc'])} {first['msg']}"
        raise CauldronError(f"{path} is not a manifest of format {known}: {what}") from None
