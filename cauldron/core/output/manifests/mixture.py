"""The manifests of mixtures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from cauldron.core.names import Name, SourceName
from cauldron.core.output.compact import Compact
from cauldron.core.output.counts import RowCounts
from cauldron.core.output.manifests.base import Frozen, Manifest, RowFile, Tokenizer

DATA = "data"


class Unavailable(Frozen):
    """A source of the recipe that could not be read; the build continued without it."""

    source: str
    why: str
    remedy: str


class SourceInMixture(Frozen):
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


class MixtureTotals(Frozen):
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
    rerendered: int | None = None
    unavailable: list[Unavailable] = []
    sources: dict[str, SourceInMixture]
    totals: MixtureTotals
    shards: Annotated[Sequence[RowFile], Compact()]

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
