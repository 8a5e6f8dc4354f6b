"""``cauldron curate --explain ID``: why a row was kept, merged or dropped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb

from cauldron.core.errors import UsageError
from cauldron.core.reasons import CURATED_OUT, MERGED
from cauldron.inspect.query import connect

# Fewer digits could match several rows by accident.
_SHORTEST = 8
# Most rows or images in a list: a logo may be in a million rows. The views have all.
_LISTED = 20

_DECISIONS = """
SELECT d.source, d.id, d.decision, d.reason, d.cluster, d.turns, d.merged_length,
       t.source AS into_source, t.id AS into_id, c.origin, len(c.image_info) AS images,
       d.dropped_images, c.messages[1]."role" = 'assistant' AS document
FROM decisions d
LEFT JOIN decisions t
    ON (d.into_source, d.into_part, d.into_row) = (t.source, t.part, t."row")
LEFT JOIN corpus c ON (d.source, d.id) = (c.source, c.id)
WHERE starts_with(d.id, ?)
QUALIFY row_number() OVER (PARTITION BY d.source, d.id, d.part, d."row") = 1
ORDER BY d.source, d.id, d.part, d."row"
"""

_CLUSTERS = f"""
SELECT mine.image AS own, other.cluster, other.source, other.id, other.image,
       other.representative, other.distance, other.score, other.other_colours,
       other.other_rendering,
       count(*) OVER (PARTITION BY mine.image) AS images
FROM clusters mine JOIN clusters other USING (cluster)
WHERE mine.source = ? AND mine.id = ?
QUALIFY row_number() OVER (PARTITION BY mine.image
    ORDER BY other.representative DESC, other.source, other.id, other.image) <= {_LISTED}
ORDER BY mine.image, other.representative DESC, other.source, other.id, other.image
"""

_CONTAMINATION = """
SELECT kind, image, benchmark, benchmark_id, benchmark_image, distance, score, overlap, removed
FROM contamination WHERE source = ? AND id = ?
ORDER BY ALL
"""

# Content keys of the row's pictures: the digest of the pixels, or else of the stored bytes.
_REVIEWS = """
WITH mine AS (
    SELECT unnest(range(len(image_info))) AS image,
           unnest([coalesce(i.pixels, i.sha256[1:32]) FOR i IN image_info]) AS picture
    FROM corpus WHERE source = ? AND id = ?)
SELECT DISTINCT mine.image, r.same, r.note,
    CASE WHEN r.picture = mine.picture THEN r.other_picture ELSE r.picture END AS other,
    CASE WHEN r.picture = mine.picture THEN r.other_id ELSE r.id END AS other_id,
    CASE WHEN r.picture = mine.picture THEN r.other_image ELSE r.image END AS other_image
FROM mine JOIN reviews r ON mine.picture IN (r.picture, r.other_picture)
WHERE r.status = 'obeyed'
ORDER BY ALL
"""

_INTO = f"""
SELECT m.source, m.id, m.reason, count(*) OVER () AS rows FROM decisions m JOIN decisions t
    ON (m.into_source, m.into_part, m.into_row) = (t.source, t.part, t."row")
WHERE m.decision = 'merge' AND t.source = ? AND t.id = ?
ORDER BY ALL LIMIT {_LISTED}
"""


def explain(out: str, wanted: str) -> list[str]:
    """The decision on a row and its evidence, as lines of text.

    Args:
        wanted: the row's id, or at least its first eight digits.

    Raises:
        UsageError: `wanted` is not an id, or no row of the current corpora has it.
    """
    prefix = wanted.lower()
    if len(prefix) < _SHORTEST or prefix.strip("0123456789abcdef"):
        raise UsageError(f"{wanted!r} is no id: give {_SHORTEST} to 32 hex digits")
    lines: list[str] = []
    with connect(out) as connection:
        rows = _rows(connection, _DECISIONS, prefix)
        if not rows:
            raise UsageError(
                f"no row {wanted} was curated in {out}; rows that ingest did not keep have no id: "
                'see `cauldron query OUT "FROM quarantine"`'
            )
        for row in rows:
            lines += [*_decision(row), *_evidence(connection, row)]
    return lines


def _rows(connection: duckdb.DuckDBPyConnection, sql: str, *values: str) -> list[dict[str, Any]]:
    result = connection.execute(sql, list(values))
    names = [column[0] for column in result.description or ()]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def _decision(row: dict[str, Any]) -> Iterator[str]:
    reason = row["reason"]
    verdict = {
        "keep": "kept",
        "merge": f"merged into {row['into_source']} {row['into_id']}",
        "drop": "dropped",
    }[row["decision"]]
    if row["decision"] == "drop" and row["into_id"]:
        verdict += f", {row['into_source']} {row['into_id']} stays"
    yield f"{row['source']} {row['id']}: {verdict}"
    if reason:
        meaning = (CURATED_OUT if row["decision"] == "drop" else MERGED)[reason]
        yield f"  {reason}: {meaning}"
    origin = row["origin"]
    place = f"{origin['file']}, row {origin['row']}"
    if origin["row_group"] >= 0:
        place += f" of row group {origin['row_group']}"
    what = "a document" if row["document"] else f"{row['turns']} turns"
    yield f"  published in {place}; {row['images']} images, {what}"
    for image in row["dropped_images"] or ():
        yield f"  image {image} is left out: it is in more documents than the recipe allows"


def _evidence(connection: duckdb.DuckDBPyConnection, row: dict[str, Any]) -> Iterator[str]:
    source, id_ = row["source"], row["id"]
    for hit in _rows(connection, _CONTAMINATION, source, id_):
        yield f"  {_hit(hit)}"
        if hit["overlap"]:
            yield f"    in both texts: {hit['overlap']!r}"
    taken = _rows(connection, _INTO, source, id_) if row["decision"] == "keep" else []
    for other in taken:
        yield f"  takes over the turns of {other['source']} {other['id']} ({other['reason']})"
    yield from _rest(taken, "rows")
    yield from map(_review, _rows(connection, _REVIEWS, source, id_))
    members = _rows(connection, _CLUSTERS, source, id_)
    for own in sorted({member["own"] for member in members}):
        same = [member for member in members if member["own"] == own]
        yield f"  image {own} is in cluster {same[0]['cluster']} of {same[0]['images']:,} images:"
        yield from (_member(member) for member in same)
        yield from _rest(same, "images")


_SHOWS = {
    "picture": "is",
    "part": "shows part of",
    "mirrored": "mirrors",
    "colours": "has, in other colours,",
    "watermark": "has, under a mark,",
    "rendering": "is another rendering of",
}


def _hit(hit: dict[str, Any]) -> str:
    where = f"{hit['benchmark']} {hit['benchmark_id']}"
    if hit["kind"] == "text":
        went = (
            "removed"
            if hit["removed"]
            else "not removed: both have pictures, or the recipe only flags"
        )
        return f"repeats {hit['score']:.0%} of the words of {where}, {went}"
    went = "removed" if hit["removed"] else "not removed: no text in common"
    measured = f"(distance {hit['distance']}, score {hit['score']:.4f})"
    return f"image {hit['image']} {_SHOWS[hit['kind']]} {where} {measured}, {went}"


def _review(review: dict[str, Any]) -> str:
    other = f"picture {review['other']}"
    if review["other_id"]:
        other += f" (image {review['other_image']} of {review['other_id']})"
    said = "the same as" if review["same"] else "not the same as"
    note = f": {review['note']}" if review["note"] else ""
    return f"  image {review['image']} is {said} {other} by review{note}"


def _member(member: dict[str, Any]) -> str:
    measured = f"distance {member['distance']}, score {member['score']:.4f}"
    if member["other_colours"]:
        measured += ", in other colours"
    if member["other_rendering"]:
        measured += ", another rendering"
    how = "the representative" if member["representative"] else measured
    return f"    {member['source']} {member['id']} image {member['image']}: {how}"


def _rest(listed: list[dict[str, Any]], count: str) -> Iterator[str]:
    if listed and listed[0][count] > len(listed):
        yield f"    and {listed[0][count] - len(listed):,} more"
