"""The views that a query can use.

Each finished mixture is a view `<recipe>.<stage>`; where only one recipe has the stage, the stage's
name is enough. `corpus`, `quarantine`, `decisions`, `clusters`, `contamination` and `ratings` cover
the current corpus of every source (`Finished.current`), and `reviews` the curations of these.
`benchmarks` holds the rows of the benchmarks to keep out, `pictures` the images of all rows, and
`manifest` one row per recipe, stage and source. `predictions` and `scores` hold the evaluations. A
view without data exists and is empty.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from cauldron.core.output.evaluations import EVALUATIONS, PREDICTION_SCHEMA
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
    REVIEW_SCHEMA,
)
from cauldron.inspect.database import quoted, scan

# One row per image of a corpus or benchmark row. `picture` is its content key; the hashes are hex
# that `imagehash.hex_to_hash` reads.
PICTURE_SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("id", pa.string()),
        ("image", pa.int32()),
        ("benchmark", pa.bool_()),
        ("picture", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("format", pa.string()),
        ("phash", pa.string()),
        ("phash256", pa.string()),
        ("content_phash", pa.string()),
        ("content_phash256", pa.string()),
    ]
)
_PICTURES = """
SELECT source, id, image, benchmark, coalesce(info.pixels, info.sha256[1:32]) AS picture,
       info.width, info.height, info.format, lpad(lower(to_hex(info.phash)), 16, '0') AS phash,
       lower(hex(info.phash256)) AS phash256,
       lpad(lower(to_hex(info.content.phash)), 16, '0') AS content_phash,
       lower(hex(info.content.phash256)) AS content_phash256
FROM (SELECT source, id, {benchmark} AS benchmark, unnest(image_info) AS info,
             unnest(range(len(image_info)))::INTEGER AS image FROM {files})"""

_REASONS = pa.map_(pa.string(), pa.int64())

# One row per recipe, stage and source. `unavailable` says why a source of the recipe is not in the
# mixture; its other columns are then null. `reasons` counts rows by reason code.
MANIFEST_SCHEMA = pa.schema(
    [
        ("recipe", pa.string()),
        ("stage", pa.string()),
        ("source", pa.string()),
        ("rows_in", pa.int64()),
        ("kept", pa.int64()),
        ("merged", pa.int64()),
        ("dropped", pa.int64()),
        ("quarantined", pa.int64()),
        ("reasons", _REASONS),
        ("weight", pa.float64()),
        ("share_published", pa.float64()),
        ("share_asked", pa.float64()),
        ("share_reached", pa.float64()),
        ("reason", pa.string()),
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
                    "recipe": mixture.recipe_name,
                    "stage": mixture.stage,
                    "source": name,
                    "reasons": sorted(reasons.items()),
                    "corpus": mixture.corpora.get(name),
                }
            )
        for missing in mixture.unavailable:
            row = {"recipe": mixture.recipe_name, "stage": mixture.stage}
            why = f"{missing.why}; {missing.remedy}"
            rows.append(row | {"source": missing.source, "unavailable": why})
    return pa.Table.from_pylist(rows, schema=MANIFEST_SCHEMA)


# Names of schemas and databases that DuckDB has already.
_TAKEN = {"main", "memory", "system", "temp", "information_schema", "pg_catalog"}
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class ViewName(NamedTuple):
    """A view in a schema of DuckDB: ``main`` for names without a schema, or that of a recipe."""

    schema: str
    view: str

    @property
    def sql(self) -> str:
        """As it is written in a query, quoted where necessary."""
        parts = self[1:] if self.schema == "main" else self
        return ".".join(part if _is_plain(part) else identifier(part) for part in parts)


def mixture_view(mixture: MixtureManifest) -> ViewName:
    """The name that a mixture has in any output: ``<recipe>.<stage>``."""
    recipe = mixture.recipe_name
    return ViewName(f"recipe_{recipe}" if recipe.casefold() in _TAKEN else recipe, mixture.stage)


def identifier(name: str) -> str:
    """The name as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def _is_plain(name: str) -> bool:
    return bool(_IDENTIFIER.fullmatch(name)) and name.casefold() not in _keywords()


@cache
def _keywords() -> frozenset[str]:
    """Words that DuckDB does not take as a name without quotes."""
    sql = "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'"
    with duckdb.connect(":memory:") as connection:
        return frozenset(row[0] for row in connection.execute(sql).fetchall())


# A view: the files that it reads, its SQL, and its columns if there are no files.
View = tuple[list[str], str, pa.Schema]
_Files = Callable[[CurationManifest], list[RowFile]]

# Views of the files of curations.
_CURATED: dict[str, tuple[_Files, pa.Schema]] = {
    "decisions": (lambda curation: curation.buckets, DECISION_SCHEMA),
    "clusters": (lambda curation: curation.clusters, CLUSTER_SCHEMA),
    "contamination": (lambda curation: curation.contamination, CONTAMINATION_SCHEMA),
}


def views_of(found: Finished) -> dict[ViewName, View]:
    """The views by name, without `manifest` and `scores`."""
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
    predictions = [
        f"{EVALUATIONS}/{name}/{file}"
        for name, manifest in found.evaluations.items()
        for file in manifest.files
    ]
    views = {
        "corpus": _all_rows(corpus, CORPUS_SCHEMA),
        "quarantine": _all_rows(quarantine, QUARANTINE_SCHEMA),
        **{view: _curated(found, decided, *how) for view, how in _CURATED.items()},
        "benchmarks": _all_rows(benchmarks, CORPUS_SCHEMA),
        "pictures": _pictures(corpus, benchmarks),
        "predictions": _all_rows(predictions, PREDICTION_SCHEMA),
        "reviews": _all_rows(
            [name for curation in sorted(decided) for name in _reviewed(found.curations[curation])],
            REVIEW_SCHEMA,
        ),
        "ratings": _all_rows(
            [name for manifest in found.current_ratings for name in manifest.tables()],
            RATING_SCHEMA,
        ),
    }
    return {ViewName("main", name): view for name, view in views.items()} | _mixtures(
        found, {"manifest", "scores", *views}
    )


def _pictures(corpus: list[str], benchmarks: list[str]) -> View:
    sides = ((corpus, "false"), (benchmarks, "true"))
    selects = [
        _PICTURES.format(files=scan(files), benchmark=benchmark)
        for files, benchmark in sides
        if files
    ]
    return [*corpus, *benchmarks], " UNION ALL ".join(selects), PICTURE_SCHEMA


def _reviewed(curation: CurationManifest) -> list[str]:
    return curation.paths(curation.reviewed)


def _mixtures(found: Finished, taken: set[str]) -> dict[ViewName, View]:
    """Every mixture by recipe and stage, and by its stage alone where only one recipe has it.

    Args:
        taken: names of other views.
    """
    views: dict[ViewName, View] = {}
    stages: dict[str, list[tuple[str, View]]] = defaultdict(list)
    for _, mixture in sorted(found.mixtures.items()):
        view = _all_rows(mixture.shard_paths, MIXTURE_SCHEMA)
        schema, name = mixture_view(mixture)
        # DuckDB's names ignore case.
        while any(schema.casefold() == other.schema.casefold() for other in views
                  if name.casefold() == other.view.casefold()):  # fmt: skip
            schema = f"recipe_{schema}"
        views[ViewName(schema, name)] = view
        stages[name.casefold()].append((name, view))
    for (name, view), *others in stages.values():
        if not others:
            while name.casefold() in taken:
                name = f"mixture_{name}"
            views[ViewName("main", name)] = view
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
