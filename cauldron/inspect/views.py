"""The views that a query can use.

There is one view for each finished mixture, named after its stage. `corpus`, `quarantine`,
`decisions`, `clusters`, `contamination` and `ratings` cover the current corpus of every source
(`Finished.current`). `benchmarks` holds the rows of the benchmarks to keep out, and `manifest` one
row per stage and source. A view without data exists and is empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pyarrow as pa

from cauldron.core.output.finished import Finished
from cauldron.core.output.manifests import CurationManifest, MixtureManifest, RowFile
from cauldron.core.schema import (
    CLUSTER_SCHEMA,
    CONTAMINATION_SCHEMA,
    CORPUS_SCHEMA,
    DECISION_SCHEMA,
    MIXTURE_SCHEMA,
    QUARANTINE_SCHEMA,
    RATING_SCHEMA,
)
from cauldron.inspect.database import quoted, scan

_REASONS = pa.map_(pa.string(), pa.int64())

# One row per stage and source. `unavailable` says why a source of the recipe is not in the mixture;
# its other columns are then null. `reasons` counts rows by reason code.
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
        ("pass_rows", pa.int64()),
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
            row = source.model_dump(exclude={"counts"}) | counts.totals
            rows.append(
                row
                | {
                    "stage": mixture.stage,
                    "source": name,
                    "reasons": sorted(reasons.items()),
                    "corpus": mixture.corpora.get(name),
                }
            )
        for missing in mixture.unavailable:
            why = f"{missing.why}; {missing.remedy}"
            rows.append({"stage": mixture.stage, "source": missing.source, "unavailable": why})
    return pa.Table.from_pylist(rows, schema=MANIFEST_SCHEMA)


# A view: the files that it reads, its SQL, and its columns if there are no files.
View = tuple[list[str], str, pa.Schema]
_Files = Callable[[CurationManifest], list[RowFile]]

# Views of the files of curations.
_CURATED: dict[str, tuple[_Files, pa.Schema]] = {
    "decisions": (lambda curation: curation.buckets, DECISION_SCHEMA),
    "clusters": (lambda curation: curation.clusters, CLUSTER_SCHEMA),
    "contamination": (lambda curation: curation.contamination, CONTAMINATION_SCHEMA),
}


def views_of(found: Finished) -> dict[str, View]:
    """The views by name, without `manifest`."""
    corpus: list[str] = []
    quarantine: list[str] = []
    decided: dict[str, list[str]] = {}
    for source, (fingerprint, curation) in found.current.items():
        manifest = found.corpora[source, fingerprint]
        corpus += manifest.tables()
        rejects = [part.quarantine.name for part in manifest.parts if part.quarantine]
        quarantine += [f"quarantine/{source}/{fingerprint}/{name}" for name in rejects]
        if curation is not None:
            decided.setdefault(curation, []).append(source)
    current = found.current_benchmarks.items()
    benchmarks = [name for key in current for name in found.benchmarks[key].tables("benchmarks")]
    views = {
        "corpus": _all_rows(corpus, CORPUS_SCHEMA),
        "quarantine": _all_rows(quarantine, QUARANTINE_SCHEMA),
        **{view: _curated(found, decided, *how) for view, how in _CURATED.items()},
        "benchmarks": _all_rows(benchmarks, CORPUS_SCHEMA),
        "ratings": _all_rows(
            [name for manifest in found.current_ratings for name in manifest.tables()],
            RATING_SCHEMA,
        ),
    }
    for stage, mixture in sorted(found.mixtures.items()):
        name = stage
        # DuckDB's names ignore case.
        while name.casefold() in {"manifest", *(view.casefold() for view in views)}:
            name = f"mixture_{name}"
        views[name] = _all_rows(mixture.shard_paths, MIXTURE_SCHEMA)
    return views


def _all_rows(files: list[str], schema: pa.Schema) -> View:
    return files, f"SELECT * FROM {scan(files)}", schema


def _curated(found: Finished, decided: dict[str, list[str]], of: _Files, schema: pa.Schema) -> View:
    """Rows of the given files of every curation, for the sources for which it is current."""
    files: list[str] = []
    selects = []
    for curation, sources in sorted(decided.items()):
        manifest = found.curations[curation]
        names = manifest.paths(of(manifest))
        if names:
            files.extend(names)
            wanted = ", ".join(quoted(source) for source in sources)
            selects.append(f"SELECT * FROM {scan(names)} WHERE source IN ({wanted})")
    return files, " UNION ALL BY NAME ".join(selects), schema
