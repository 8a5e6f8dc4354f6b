"""Check the copies of merged rows in a mixture against their merged texts.

A mixture row says how many tokens it has, not how many each turn has. So the tokens that merged
rows hold of each source are counted here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import duckdb

from cauldron.core import storage
from cauldron.core.output.manifests import CurationManifest, MixtureManifest, curation_folder
from cauldron.core.schema import Sample
from cauldron.core.stores.ranges import Range, read_ranges
from cauldron.inspect.database import scan
from cauldron.inspect.verify.files import first_few
from cauldron.inspect.verify.relations import decisions_of, has_text

# Copies that are checked at a time; each text is at most about 16 MiB.
_BATCH = 64

_COPIES = """
SELECT c.id, c.messages, c.turn_sources, c.tokens, c.license,
       d.merged_file, d.merged_offset, d.merged_length
FROM {shards} c JOIN {decisions} d ON c.source = d.source AND c.id = d.id
WHERE d.decision = 'keep' AND {has_text}
"""


def merged_copy_problems(
    connection: duckdb.DuckDBPyConnection,
    out: str,
    mixture: MixtureManifest,
    curation: CurationManifest,
    tokens: dict[str, Counter[str]],
) -> list[str]:
    """Each turn of a copy must be in the merged text, with the same source and tokens.

    Args:
        tokens: receives the answer and text tokens of these copies by source.
    """
    if not curation.merged or not mixture.shards:
        return []
    sql = _COPIES.format(
        shards=scan(mixture.shard_paths),
        decisions=decisions_of(curation),
        has_text=has_text(curation),
    )
    problems = _problems(connection.execute(sql), out, curation, tokens)
    return first_few(mixture.folder, problems)


def _problems(
    result: duckdb.DuckDBPyConnection,
    out: str,
    curation: CurationManifest,
    by_source: dict[str, Counter[str]],
) -> Iterator[str]:
    folder = curation_folder(out, curation.fingerprint)
    while batch := result.fetchmany(_BATCH):
        ranges = [
            Range(storage.join(folder, curation.merged[number].name), offset, length)
            for *_, number, offset, length in batch
        ]
        for row, text in zip(batch, read_ranges(ranges), strict=True):
            id_, messages, sources, tokens, licence, *_ = row
            sample = Sample.model_validate_json(text)
            for what in _differences(sample, messages, sources, tokens, licence, by_source):
                yield f"a copy of {id_}, which others were merged into, {what}"


def _differences(
    sample: Sample,
    messages: list[dict[str, Any]],
    sources: list[str],
    tokens: dict[str, int],
    licence: str,
    by_source: dict[str, Counter[str]],
) -> Iterator[str]:
    texts = [m["content"][-1]["text"] for m in messages if m["role"] != "system"]
    said = list(zip(texts[::2], texts[1::2], sources, strict=True))
    counted = {
        (turn.user, turn.assistant, turn.source): (turn.user_tokens, turn.answer_tokens)
        for turn in sample.turns
    }
    there = Counter((turn.user, turn.assistant, turn.source) for turn in sample.turns)
    if Counter(said) - there:
        yield "has turns that its merged text has not"
        return
    asked, answered = (sum(counted[turn][k] for turn in said) for k in range(2))
    text = sample.system_tokens + asked + answered
    by_source[sample.source]["text_tokens"] += sample.system_tokens
    for turn in said:
        by_source[turn[2]]["answer_tokens"] += counted[turn][1]
        by_source[turn[2]]["text_tokens"] += sum(counted[turn])
    if (tokens["answer"], tokens["text"]) != (answered, text):
        yield "has other token counts than its turns"
    if licence != sample.license:
        yield "has another licence than its merged text"
