"""Cut a document into the chunks of pages that one request holds, and join their text."""

from __future__ import annotations

from collections.abc import Sequence

from cauldron.core.sections.docmatix import DocmatixRules

# As published. The prompt tells the model what it means.
PAGE_BREAK = "\nNEW PAGE\n"


def cut(tokens: Sequence[int], rules: DocmatixRules) -> list[range]:
    """The pages of each chunk, as many as its limits allow.

    A chunk repeats the last pages of the one before, unless they leave no room for the next page.

    Args:
        tokens: of each page, none over `rules.chunk_tokens`.
    """
    chunks: list[range] = []
    stop = 0
    while stop < len(tokens):
        start = max(0, stop - rules.overlap_pages) if chunks else 0
        while start < stop and sum(tokens[start : stop + 1]) > rules.chunk_tokens:
            start += 1
        stop = _end(tokens, start, rules)
        chunks.append(range(start, stop))
    return chunks


def _end(tokens: Sequence[int], start: int, rules: DocmatixRules) -> int:
    stop, total = start, 0
    while stop < len(tokens) and stop - start < rules.chunk_pages:
        total += tokens[stop]
        if total > rules.chunk_tokens and stop > start:
            break
        stop += 1
    return stop


def joined(texts: Sequence[str], chunk: range) -> str:
    """The text of a chunk."""
    return PAGE_BREAK.join(texts[page] for page in chunk)
