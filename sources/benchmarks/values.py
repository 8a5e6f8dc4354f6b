"""A benchmark's values as rows: pictures, question with its options, answer.

A turn of the chat schema has a question and an answer, and many benchmarks publish only one or
neither: test sets withhold answers, a folder of pictures has no text. A missing text is replaced
by the row's own name (its key, or the file and number of the row), never by invented text, and the
source of a turn says if the question was not published. Only benchmarks are read in this way; their
rows are not training data.
"""

from __future__ import annotations

import ast
import base64
import binascii
import math
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cauldron.sources.base import RawImage, RawTurn, Row
from cauldron.sources.benchmarks.layouts import Roles
from cauldron.sources.repos.files import Repo, is_inside
from cauldron.sources.values.images import MAX_IMAGE_BYTES, read_image
from cauldron.sources.values.rows import Find, RowProblem, image_of

from cauldron.core.schema import NO_QUESTION, Origin

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
# Pictures that no reader here opens.
UNREAD_SUFFIXES = (
    *(".heic", ".heif", ".hif", ".jxl", ".jp2", ".j2k", ".jpx", ".jxr", ".svg", ".psd"),
    *(".tga", ".ico", ".ppm", ".pgm", ".pbm", ".pnm", ".exr", ".hdr", ".dng", ".nef", ".cr2"),
)

# Ingest removes it from every text.
IMAGE_TOKEN = "<image>"
_WHITE_SPACE = b" \t\r\n"
_QUOTED = re.compile(rb"'([^']*)'|\"([^\"]*)\"")
# Characters of a list of options written in Python; no real list is longer, and parsing is slow.
_LONGEST_LIST = 100_000
_LONGEST_PATH = 1_024
_DEEPEST = 4
# Whole numbers below this are exact as floats; pandas turns ids into floats if one is missing.
_EXACT = 2**53


def no_question(name: str) -> str:
    """The source of a turn whose question is only the row's name."""
    return f"{name}{NO_QUESTION}"


def turn_of(values: Mapping[str, Any], roles: Roles, name: str, row_name: str) -> RawTurn:
    """The turn of a row of benchmark `name`; `row_name` replaces a text that is not published."""
    asked = text_of(values.get(roles.question))
    parts = [text_of(values.get(roles.hint)) if asked else "", asked]
    parts += option_lines(values, roles.options)
    user = "\n".join(part for part in parts if part) or text_of(values.get(roles.caption))
    answer = text_of(values.get(roles.answer))
    source = name if first_text(user) else no_question(name)
    return RawTurn(first_text(user, row_name), first_text(answer, row_name), source)


def row_of(
    values: Mapping[str, Any], roles: Roles, origin: Origin, name: str, find: Find | None
) -> Row:
    """A table's row. A row without pictures is valid.

    Raises:
        RowProblem: a picture cannot be read.
    """
    key = text_of(values.get(roles.key))
    images = [image for column in roles.images for image in images_in(values.get(column), find)]
    paths = [image.path for image in images]
    row_name = first_text(key, *paths, f"{origin.file} row {origin.row}")
    turn = turn_of(values, roles, name, row_name)
    return Row(origin.model_copy(update={"key": key}), images, [turn])


def first_text(*texts: str) -> str:
    """The first text that is not empty after cleaning, or ""."""
    return next((text for text in texts if _cleaned(text)), "")


def _cleaned(text: str) -> str:
    text = text.replace("\0", "")
    while IMAGE_TOKEN in text:
        text = text.replace(IMAGE_TOKEN, "")
    return text.strip()


def text_of(value: Any, depth: int = 0) -> str:
    """A published value as text, "" if there is none. Several values (ten annotators' answers) take
    a line each, equal ones once."""
    if isinstance(value, str):
        text = value.strip()
        return "" if text.lower() == "nan" else text  # what pandas writes for a missing text
    if isinstance(value, float):
        whole = value.is_integer() and abs(value) < _EXACT
        return "" if math.isnan(value) else str(int(value) if whole else value)
    if value is None or isinstance(value, bytes) or depth == _DEEPEST:
        return ""
    if not isinstance(value, dict | list):
        return str(value)
    items = value.values() if isinstance(value, dict) else value
    texts = [text_of(item, depth + 1) for item in items]
    return "\n".join(dict.fromkeys(text for text in texts if text))


def option_lines(values: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    """The options of a question, one line each: ``A. …``."""
    if len(columns) > 1:
        found = {column: text_of(values.get(column)) for column in columns}
        return [f"{letter}. {text}" for letter, text in found.items() if text]
    value = values.get(columns[0]) if columns else None
    if isinstance(value, str):
        value = python_list(value)
    if isinstance(value, list):
        return [f"{_letter(number)}. {text_of(item)}" for number, item in enumerate(value)]
    if isinstance(value, dict):
        return [f"{key}. {text_of(item)}" for key, item in value.items() if text_of(item)]
    return [text_of(value)]


def _letter(number: int) -> str:
    return chr(ord("A") + number) if number < 26 else str(number + 1)


def python_list(text: str) -> Any:
    """A list in Python syntax, as MMMU writes its options; the text itself if it is not one."""
    if not text.lstrip().startswith(("[", "{")) or len(text) > _LONGEST_LIST:
        return text
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return text


def images_in(value: Any, find: Find | None) -> Iterator[RawImage]:
    """The pictures in a value: a struct, bytes, text, or a list of those.

    Raises:
        RowProblem: ``missing_image`` (empty, not in the folder, only an address), ``bad_row``,
            ``image_unreadable`` (not base64), ``member_too_large``, ``unsafe_member``.
    """
    items = value if isinstance(value, list) else [value]
    for number, item in enumerate(items):
        if isinstance(item, str):
            yield from text_images(item.encode("utf-8", "replace"), find)
        elif not _is_null(item):
            yield image_of(item, number, find or _not_here)


def _is_null(item: Any) -> bool:
    if isinstance(item, dict):
        return item.get("bytes") is None and not item.get("path")
    return item is None


def _not_here(path: str) -> bytes:
    raise RowProblem("missing_image", f"the picture is only a path, {path[:300]!r}")


def text_images(text: bytes, find: Find | None) -> list[RawImage]:
    """Pictures in a text: base64, a data URI, a path, or a list of these in Python syntax."""
    text = text.strip(_WHITE_SPACE)
    if not text or text.lower() == b"nan":
        return []
    if text.startswith(b"["):
        return [_text_image(a or b, find) for a, b in _QUOTED.findall(text)]
    return [_text_image(text, find)]


def _text_image(text: bytes, find: Find | None) -> RawImage:
    if text.startswith((b"http://", b"https://")):
        address = text[:300].decode("ascii", "replace")
        raise RowProblem("missing_image", f"the picture is only an address, {address}")
    if len(text) <= _LONGEST_PATH and text.lower().endswith(_SUFFIXES):
        path = text.decode("utf-8", "replace")
        return RawImage((find or _not_here)(path), path)
    return RawImage(decode_base64(text))


_SUFFIXES = tuple(suffix.encode() for suffix in IMAGE_SUFFIXES)


def decode_base64(text: bytes) -> bytes:
    """Raises RowProblem: ``image_unreadable``, ``member_too_large``."""
    if text.startswith(b"data:"):
        text = text.partition(b",")[2]
    if len(text) > MAX_IMAGE_BYTES // 3 * 4 + 4:
        message = f"{len(text)} characters of base64, over {MAX_IMAGE_BYTES} bytes"
        raise RowProblem("member_too_large", message)
    try:
        return base64.b64decode(text.translate(None, _WHITE_SPACE), validate=True)
    except binascii.Error as error:
        message = f"the text {text[:24]!r} is not base64 ({error})"
        raise RowProblem("image_unreadable", message) from error


def find_in(repo: Repo, table: str) -> Find:
    """A function from the path in a table's row to the bytes of that file, relative to the table or
    to the repository. It raises `RowProblem`."""
    folder = posixpath.dirname(table)

    def find(path: str) -> bytes:
        plain = posixpath.normpath(path)
        if not is_inside(plain):
            raise RowProblem("unsafe_member", f"{path[:300]!r} leads out of the benchmark")
        for place in dict.fromkeys((posixpath.join(folder, plain), plain)):
            if repo.exists(place):
                return read_image(repo, place)
        raise RowProblem("missing_image", f"there is no {path[:300]!r} in the benchmark")

    return find
