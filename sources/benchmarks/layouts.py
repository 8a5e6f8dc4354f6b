"""The role of each column of a benchmark's tables: picture, question, answer and so on.

The layouts as published (hub repositories, with their variants), picture columns first:

    mmmu       MMMU/MMMU: a folder for each of 30 subjects with dev, validation, test; image_1 to
               image_7, id, question, options (a Python list, written out), answer ("?" in test).
               HuggingFaceM4/MMMU: the same in one folder. MMMU_Pro: image where all is in it.
    mathvista  AI4Math/MathVista: data/testmini-*, test-*; decoded_image (image is its path), pid,
               question, choices, answer (empty in test)
    mmstar     Lin-Chen/MMStar: mmstar.parquet and MMStar.tsv, the same 1,500 rows; image, index,
               question with its options, answer
    docvqa     lmms-lab/DocVQA: DocVQA/ and InfographicVQA/ with validation, test, and DocVQA/train;
               image, questionId, question, answers (null in test). HuggingFaceM4/DocumentVQA: the
               same in data/; pixparse/docvqa-single-page-questions: question_id
    textvqa    lmms-lab/textvqa: data/train-*, validation-*, test-*; image, question_id, question,
               answers (ten)
    chartqa    HuggingFaceM4/ChartQA: data/train-*, val-*, test-*; image, query, label (a list).
               lmms-lab/ChartQA: data/test-*; image, question, answer, type
    ai2d       lmms-lab/ai2d: data/test-*; image, question, options, answer (an index)
    mmbench    lmms-lab/MMBench: cc/, cn/, en/ with dev, test; image, index, question, hint, A to D,
               answer. HuggingFaceM4/MMBench: image as base64 text

and of each VLMEvalKit's TSV file: index, question, A to D, answer, image as base64 text, a list
of such in Python's spelling where there are several, or another row's index; or image_path.

A file of a known benchmark without any of its picture columns is an error of that file. Under any
other name every column of pictures is used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import pyarrow as pa

# Kinds of columns: pictures as ``{bytes, path}`` or lists of them, other bytes, text.
PICTURES, BYTES, TEXT, OTHER = "pictures", "bytes", "text", "other"

_IMAGE = ("image", "image_path")
IMAGE_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "mmmu": (*(f"image_{number}" for number in range(1, 8)), *_IMAGE),
    "mathvista": ("decoded_image", *_IMAGE),
    "mmstar": _IMAGE,
    "docvqa": _IMAGE,
    "textvqa": _IMAGE,
    "chartqa": _IMAGE,
    "ai2d": _IMAGE,
    "mmbench": _IMAGE,
}

# Case, spaces and hyphens do not matter. The first name that a table has is used.
_QUESTION = ("question", "query", "prompt", "problem", "instruction")
_OPTIONS = ("options", "choices")
_LETTERS = tuple("ABCDEFGHIJ")
_HINT = ("hint", "context")
_ANSWER = ("answer", "answers", "correct_answer", "label", "response", "target")
_CAPTION = ("caption", "captions", "text", "description", "sentences")
_KEY = ("id", "pid", "question_id", "questionid", "qid", "index", "idx", "key", "uid", "image_id")

_NAMED_LIKE_IMAGES = re.compile(
    r"(image|img|picture|photo|screenshot|jpe?g|png|webp)s?(_?\d+)?(_(base64|b64|bytes|data|path))?"
)


class Roles(NamedTuple):
    """The column of each role; "" or () if there is none."""

    images: tuple[str, ...] = ()
    question: str = ""
    options: tuple[str, ...] = ()
    hint: str = ""
    answer: str = ""
    caption: str = ""
    key: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        texts = (self.question, *self.options, self.hint, self.answer, self.caption, self.key)
        return tuple(dict.fromkeys(name for name in (*self.images, *texts) if name))

    def to_json(self) -> str:
        return json.dumps(self)

    @classmethod
    def from_json(cls, text: str) -> Roles:
        images, question, options, *rest = json.loads(text)
        return cls(tuple(images), question, tuple(options), *rest)


def known_layout(name: str) -> str:
    """The published layout of a benchmark by its name, or ""; ``MMMU_val`` has ``mmmu``."""
    first = re.split(r"[^a-z0-9]", name.lower(), maxsplit=1)[0]
    return first if first in IMAGE_COLUMNS else ""


def roles_of(kinds: Mapping[str, str], layout: str) -> Roles:
    """Assign roles to the columns of a table.

    Args:
        kinds: the kind of each column, in order.
        layout: a known one, or "".
    """

    def first(names: tuple[str, ...]) -> str:
        texts = [name for name, kind in kinds.items() if kind in (TEXT, OTHER)]
        plain = {_plain(name): name for name in reversed(texts)}
        return next((plain[name] for name in names if name in plain), "")

    letters = tuple(name for name in _LETTERS if name in kinds)
    options = first(_OPTIONS)
    return Roles(
        images=_image_columns(kinds, layout),
        question=first(_QUESTION),
        options=(options,) if options else letters if letters[:2] == ("A", "B") else (),
        hint=first(_HINT),
        answer=first(_ANSWER),
        caption=first(_CAPTION),
        key=first(_KEY),
    )


def _plain(column: str) -> str:
    return re.sub(r"[\s-]+", "_", column.strip().lower())


def _image_columns(kinds: Mapping[str, str], layout: str) -> tuple[str, ...]:
    """Columns of pictures; if there are none, columns of bytes, of base64 text or of paths."""
    wanted = [name for name in IMAGE_COLUMNS[layout] if name in kinds] if layout else list(kinds)
    pictures = [name for name in wanted if kinds[name] == PICTURES]
    data = [name for name in wanted if kinds[name] == BYTES]
    texts = [name for name in wanted if kinds[name] == TEXT and _like_image(name)]
    paths = [name for name in texts if _plain(name).endswith("_path")]
    if not layout:
        data = [name for name in data if _like_image(name)] or data[: len(data) == 1]
    return tuple(pictures or data or [name for name in texts if name not in paths] or paths)


def _like_image(column: str) -> bool:
    return _NAMED_LIKE_IMAGES.fullmatch(_plain(column)) is not None


def text_kinds(columns: Iterable[str]) -> dict[str, str]:
    return dict.fromkeys(columns, TEXT)


def parquet_kinds(schema: pa.Schema) -> dict[str, str]:
    """The kind of each column. Audio and video are stored like pictures but declared otherwise."""
    declared = _declared_features(schema)
    return {
        field.name: OTHER if declared.get(field.name, "Image") != "Image" else _kind(field.type)
        for field in schema
    }


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _kind(kind.value_type)
    if pa.types.is_struct(kind):
        inside = {kind.field(i).name: kind.field(i).type for i in range(kind.num_fields)}
        return PICTURES if "bytes" in inside and _is_bytes(inside["bytes"]) else OTHER
    if _is_bytes(kind):
        return BYTES
    return TEXT if pa.types.is_string(kind) or pa.types.is_large_string(kind) else OTHER


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _declared_features(schema: pa.Schema) -> dict[str, str]:
    """Columns that ``datasets`` declares as Image, Audio, Video or Pdf."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        items = list(features.items())
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
    found = {name: _file_feature(value) for name, value in items}
    return {name: feature for name, feature in found.items() if feature}


def _file_feature(value: Any) -> str:
    for _ in range(3):  # a list is written [feature] or {"feature": feature, …}
        if isinstance(value, list) and value:
            value = value[0]
        elif isinstance(value, dict) and isinstance(value.get("feature"), dict):
            value = value["feature"]
    kind = value.get("_type") if isinstance(value, dict) else None
    return kind if kind in ("Image", "Audio", "Video", "Pdf") else ""
