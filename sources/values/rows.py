"""Published values, as Python reads them from parquet, turned into images and turns.

The type of every value is checked: a file may have another layout, and a row may have a null where
none belongs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cauldron.sources.base import BadRow, RawImage, RawTurn

from cauldron.core.schema import Origin

Find = Callable[[str], bytes]


class RowProblem(Exception):  # noqa: N818 - an outcome that is recorded, not a failure
    """A row that cannot be used.

    Attributes:
        reason: a code of `cauldron.core.reasons`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message

    def __reduce__(self) -> tuple[type[RowProblem], tuple[str, str]]:
        return type(self), (self.reason, self.message)

    def bad_row(self, origin: Origin, rows: int = 1) -> BadRow:
        """The record of the row that has the problem."""
        return BadRow(origin, self.reason, self.message, rows)


def image_of(value: Any, number: int = 0, find: Find | None = None) -> RawImage:
    """An image struct ``{bytes, path}``, or bare bytes.

    Args:
        number: of the image in its row, for messages.
        find: returns the bytes of an image that is only a path; may raise `RowProblem`.

    Raises:
        RowProblem: ``image_not_shipped`` for a path without bytes, ``missing_image`` for neither,
            ``bad_row`` for anything else.
    """
    if isinstance(value, bytes):
        value = {"bytes": value}
    if not isinstance(value, dict) or not isinstance(value.get("bytes"), bytes | None):
        raise RowProblem("bad_row", f"image {number} is {_what(value)}, not bytes and a path")
    data, path = value.get("bytes"), value.get("path")
    if not isinstance(path, str | None):
        raise RowProblem("bad_row", f"the path of image {number} is {_what(path)}")
    if data is None and path:
        if find is None:
            raise RowProblem("image_not_shipped", f"image {number} is only a path, {path[:300]!r}")
        data = find(path)
    if data:
        return RawImage(data, path or "")
    raise RowProblem("missing_image", f"image {number} has no bytes")


def images_of(value: Any, find: Find | None = None) -> list[RawImage]:
    """A list of image structs, in order; see `image_of`. Raises `RowProblem`."""
    return [image_of(item, number, find) for number, item in enumerate(image_list(value))]


def image_list(value: Any) -> list[Any]:
    """A list with something in it. Raises `RowProblem`: ``bad_row``, ``no_images``."""
    if not isinstance(value, list):
        raise RowProblem("bad_row", f"images is {_what(value)}, not a list")
    if not value:
        raise RowProblem("no_images", "the list of images is empty")
    return value


def turns_of(
    value: Any, source: str, user: str = "user", assistant: str = "assistant"
) -> list[RawTurn]:
    """A list of ``{user, assistant}`` structs.

    A null in the list becomes a turn without question and answer, so the row can be used.

    Raises:
        RowProblem: ``bad_row``, not a list of such structs.
    """
    if not isinstance(value, list):
        raise RowProblem("bad_row", f"the turns are {_what(value)}, not a list")
    return [_turn(item, number, source, user, assistant) for number, item in enumerate(value)]


def _turn(item: Any, number: int, source: str, user: str, assistant: str) -> RawTurn:
    if item is None:
        return RawTurn(None, None, source)
    if not isinstance(item, dict):
        raise RowProblem("bad_row", f"turn {number} is {_what(item)}, not a question and an answer")
    texts = item.get(user), item.get(assistant)
    for text in texts:
        if not isinstance(text, str | None):
            raise RowProblem("bad_row", f"turn {number} holds {_what(text)} where text should be")
    return RawTurn(*texts, source)


def _what(value: Any) -> str:
    return "null" if value is None else f"a {type(value).__name__}"
