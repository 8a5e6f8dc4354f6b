"""What a query sees of an output folder.

Views: one for each finished mixture under its stage's name; `corpus`, `quarantine`, `decisions`,
`clusters` and `contamination` over the present corpus of every source (`Finished.current`: never
two fingerprints of one source, never anything half-written); `benchmarks` with the rows that were
to be kept out; and `manifest` with one row per stage and source. A view over nothing is there and
empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pyarrow as pa

from cauldron.core.finished import Finished
from cauldron.core.manifests import DATA, CurationManifest, MixtureManifest, RowFile
from cauldron.core.schema import (
    CLUSTER_SCHEMA,
    CONTAMINATION_SCHEMA,
    CORPUS_SCHEMA,
    DECISION_SCHEMA,
    MIXTURE_SCHEMA,
    QUARANTINE_SCHEMA,
)
from cauldron.inspect.database import quoted, scan

_RESERVED = (
    "corpus",
    "quarantine",
    "decisions",
    "clusters",
    "contamination",
    "benchmarks",
    "manifest",
)

_REASONS = pa.map_(pa.string(), pa.int64())

# One row per stage and source. `unavailable` says why a source is not in the mixture although the
# recipe asks for it; its other columns are null then. `reasons` counts rows by every reason code.
MANIFEST_SCHEMA = pa.schema(
    [
        ("stage", pa.string()),
        ("source", pa.string()),
        ("rows_in", pa.int64()),
        ("kept", pa.int64()),
        ("merged", pa.int64()),
        ("dropped", pa.int64()),
        ("quarantined", pa.int64()),
        ("reasons", _REASONS),
        ("weight", pa.float64()),
        ("share_asked", pa.float64()),
        ("share_reached", pa.float64()),
        ("epochs", pa.float64()),
        ("rows", pa.int64()),
        ("answer_tokens", pa.int64()),
        ("text_tokens", pa.int64()),
        ("image_tokens", pa.int64()),
        ("images", pa.int64()),
        ("license", pa.string()),
        ("repo", pa.string()),
        ("commit", pa.string()),
        ("corpus", pa.string()),
        ("unavailable", pa.string()),
    ]
)


def manifest_table(mixtures: Iterable[MixtureManifest]) -> pa.Table:
    """`MANIFEST_SCHEMA` rows of the given mixtures."""
    rows: list[dict[str, Any]] = []
    for mixture in mixtures:
        for name, source in mixture.sources.items():
            counts = source.counts
            reasons = counts.merged | counts.dropped | counts.quarantined
            row = source.model_dump(exclude={"counts"}) | {
                "stage": mixture.stage,
                "source": name,
                "rows_in": counts.rows_in,
                "kept": counts.kept,
                "merged": sum(counts.merged.values()),
                "dropped": sum(counts.dropped.values()),
                "quarantined": sum(counts.quarantined.values()),
                "reasons": sorted(reasons.items()),
                "corpus": mixture.corpora.get(name),
            }
            rows.append(row)
        for missing in mixture.unavailable:
            why = f"{missing.why}; {missing.remedy}"
            rows.append({"stage": mixture.stage, "source": missing.source, "unavailable": why})
    return pa.Table.from_pylist(rows, schema=MANIFEST_SCHEMA)


# A view: the files it reads, its SQL, and the columns it has when there are no files.
View = tuple[list[str], str, pa.Schema]
_Files = Callable[[CurationManifest], list[RowFile]]

# Views of what curation left, by their files.
_CURATED: dict[str, tuple[_Files, pa.Schema]] = {
    "decisions": (lambda curation: curation.buckets, DECISION_SCHEMA),
    "clusters": (lambda curation: curation.clusters, CLUSTER_SCHEMA),
    "contamination": (lambda curation: curation.contamination, CONTAMINATION_SCHEMA),
}


def views_of(found: Finished) -> dict[str, View]:
    """The views by name, without `manifest`."""
    views: dict[str, View] = {}
    corpus: list[str] = []
    quarantine: list[str] = []
    decided: dict[str, list[str]] = {}
    for source, (fingerprint, curation) in found.current.items():
        for part in found.corpora[source, fingerprint].parts:
            corpus.append(f"corpus/{source}/{fingerprint}/{part.parquet.name}")
            if part.quarantine is not None:
                quarantine.append(f"quarantine/{source}/{fingerprint}/{part.quarantine.name}")
        if curation is not None:
            decided.setdefault(curation, []).append(source)
    views["corpus"] = (corpus, f"SELECT * FROM {scan(corpus)}", CORPUS_SCHEMA)
    views["quarantine"] = (quarantine, f"SELECT * FROM {scan(quarantine)}", QUARANTINE_SCHEMA)
    for view, (of, schema) in _CURATED.items():
        views[view] = _curated(found, decided, of, schema)
    benchmarks = [
        f"benchmarks/{name}/{fingerprint}/{part.parquet.name}"
        for name, fingerprint in found.current_benchmarks.items()
        for part in found.benchmarks[name, fingerprint].parts
    ]
    views["benchmarks"] = (benchmarks, f"SELECT * FROM {scan(benchmarks)}", CORPUS_SCHEMA)
    for stage, mixture in sorted(found.mixtures.items()):
        shards = [f"mixtures/{stage}/{DATA}/{shard.name}" for shard in mixture.shards]
        name = stage
        # DuckDB's names ignore case.
        while name.casefold() in {*_RESERVED, *(view.casefold() for view in views)}:
            name = f"mixture_{name}"
        views[name] = (shards, f"SELECT * FROM {scan(shards)}", MIXTURE_SCHEMA)
    return views


def _curated(found: Finished, decided: dict[str, list[str]], of: _Files, schema: pa.Schema) -> View:
    """Rows of the given files of every curation, for the sources that it is the present one of."""
    files: list[str] = []
    selects = []
    for curation, sources in sorted(decided.items()):
        names = [f"curation/{curation}/{file.name}" for file in of(found.curations[curation])]
        if names:
            files.extend(names)
            wanted = ", ".join(quoted(source) for source in sources)
            selects.append(f"SELECT * FROM {scan(names)} WHERE source IN ({wanted})")
    return files, " UNION ALL BY NAME ".join(selects), schema
