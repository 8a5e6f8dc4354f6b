"""Pre-training documents of one image and its text: a caption, a page, the code of a screenshot."""

from __future__ import annotations

from typing import Any

from cauldron.sources.base import RawImage, Row
from cauldron.sources.values.conversations import text_of
from cauldron.sources.values.rows import RowProblem

from cauldron.core.schema import Origin


def described(origin: Origin, image: RawImage, text: Any, what: str) -> Row:
    """The document ``[image, text]``.

    Args:
        text: as published; a number counts as text.
        what: the text is, for messages, e.g. ``caption``.

    Raises:
        RowProblem: ``empty_document`` for null and blank text, ``bad_row`` for what is not text.
    """
    published = text_of(text)
    if published is None or not published.strip():
        raise RowProblem(
            "empty_document", f"the {what} is {'null' if published is None else 'blank'}"
        )
    return Row(origin, [image], [], document=[None, published])
