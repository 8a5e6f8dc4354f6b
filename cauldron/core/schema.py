"""The one chat schema: the pydantic model that ingest fills and the Arrow schemas at rest.

A `Sample` is one conversation over zero or more images. In a mixture it is a row of
`MIXTURE_SCHEMA`, whose `images` column is the ``datasets`` Image feature and whose `messages`
column is what ``apply_chat_template`` and TRL take. A corpus row (`CORPUS_SCHEMA`) is the same
without pixels: it says where they lie in the pack beside it.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

_STRING = pa.string()


# Ends the source of a benchmark's turn whose question was not published; its key stands for it.
NO_QUESTION = " (no question)"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ImageInfo(_Frozen):
    """What is known of one stored image.

    Attributes:
        width, height: pixels, as stored (after EXIF orientation and any downscale).
        format: ``JPEG``, ``PNG`` or ``WEBP``.
        mode: ``RGB`` or ``L``.
        sha256: of the stored bytes, hex.
        phash: 64-bit perceptual hash, bit order of ``imagehash.phash`` (row-major, first bit
            highest).
    """

    width: int
    height: int
    format: str
    mode: str
    sha256: str
    phash: int


class Turn(_Frozen):
    """A question and its answer.

    Attributes:
        source: the source this turn came from; after merges not always the sample's own.
        user_tokens, answer_tokens: text tokens by the recipe's tokenizer, no special tokens.
    """

    user: str
    assistant: str
    source: str
    user_tokens: int = 0
    answer_tokens: int = 0


class Origin(_Frozen):
    """Where a row stood at its publisher.

    Attributes:
        file: path inside the repository.
        row_group: parquet row group, -1 for other formats.
        row: row number in the file for parquet and JSON arrays, byte offset of the line for
            JSON lines, member index for archives; -1 when the whole file is meant.
        key: the publisher's own key of the row, or "".
    """

    file: str
    row_group: int = -1
    row: int = -1
    key: str = ""


class Sample(_Frozen):
    """One conversation over zero or more images, normalised; pixels travel beside it."""

    id: str
    source: str
    system: str | None
    turns: tuple[Turn, ...]
    images: tuple[ImageInfo, ...]
    origin: Origin
    license: str
    language: str | None
    system_tokens: int = 0

    @property
    def answer_tokens(self) -> int:
        return sum(turn.answer_tokens for turn in self.turns)

    @property
    def text_tokens(self) -> int:
        """All text: system prompt, questions and answers."""
        asked = sum(turn.user_tokens for turn in self.turns)
        return self.system_tokens + asked + self.answer_tokens


def content_id(
    source: str, image_digests: list[str], system: str | None, turns: list[tuple[str, str]]
) -> str:
    """The 128-bit id of a sample, 32 hex digits: equal content, equal id, in every build.

    Args:
        image_digests: SHA-256 of each image's bytes as published, in order.
        turns: (user, assistant) texts, in order.
    """
    content = json.dumps([source, image_digests, system, turns], ensure_ascii=True)
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


def messages_of(
    system: str | None, turns: list[tuple[str, str]] | tuple[tuple[str, str], ...], images: int
) -> list[dict[str, Any]]:
    """Chat messages as transformers and TRL take them: all images open the first user turn."""
    messages: list[dict[str, Any]] = []
    if system:
        messages.append({"role": "system", "content": [_text(system)]})
    for number, (user, assistant) in enumerate(turns):
        placeholders = [{"type": "image", "text": None}] * (images if number == 0 else 0)
        messages.append({"role": "user", "content": [*placeholders, _text(user)]})
        messages.append({"role": "assistant", "content": [_text(assistant)]})
    return messages


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


MESSAGES = pa.list_(
    pa.struct(
        [
            ("role", _STRING),
            ("content", pa.list_(pa.struct([("type", _STRING), ("text", _STRING)]))),
        ]
    )
)
TOKENS = pa.struct([("answer", pa.int32()), ("text", pa.int32()), ("image", pa.int32())])
ORIGIN = pa.struct(
    [("file", _STRING), ("row_group", pa.int32()), ("row", pa.int64()), ("key", _STRING)]
)
_IMAGE_FIELDS = [
    ("width", pa.int32()),
    ("height", pa.int32()),
    ("format", _STRING),
    ("mode", _STRING),
    ("sha256", _STRING),
    ("phash", pa.uint64()),
]

# What near-duplicates are found by, see `cauldron.transforms.signatures.Signature`.
# Only a corpus has them.
_SIGNATURE_FIELDS = [
    ("pixels", _STRING),  # null where not all pixels were decoded
    ("phash256", pa.binary(32)),
    ("ground", pa.uint8()),
]

# `tokens.text` counts every text token of the row, answers included; `tokens.image` follows the
# stage's resolution; `tiles` is the number of vision-encoder inputs, global views included.
MIXTURE_SCHEMA = pa.schema(
    [
        ("id", _STRING),
        ("source", _STRING),
        ("images", pa.list_(pa.struct([("bytes", pa.binary()), ("path", _STRING)]))),
        ("messages", MESSAGES),
        ("image_info", pa.list_(pa.struct([*_IMAGE_FIELDS, ("tiles", pa.int32())]))),
        ("tokens", TOKENS),
        ("tiles", pa.int32()),
        ("turn_sources", pa.list_(_STRING)),
        ("origin", ORIGIN),
        ("license", _STRING),
        ("language", _STRING),
        ("cluster", _STRING),
        ("epoch", pa.int32()),
        ("repeat", pa.int32()),
    ]
)

# Besides the sample: where its record and its images lie in the pack of the same part.
# `offset` and `length` of the row span its whole record (text as JSON, then the images);
# those inside `image_info` are the bytes of that image alone.
CORPUS_SCHEMA = pa.schema(
    [
        ("id", _STRING),
        ("source", _STRING),
        ("messages", MESSAGES),
        (
            "image_info",
            pa.list_(
                pa.struct(
                    [
                        *_IMAGE_FIELDS,
                        *_SIGNATURE_FIELDS,
                        ("offset", pa.int64()),
                        ("length", pa.int64()),
                    ]
                )
            ),
        ),
        ("answer_tokens", pa.int32()),
        ("text_tokens", pa.int32()),
        ("turns", pa.int32()),
        ("turn_sources", pa.list_(_STRING)),
        ("origin", ORIGIN),
        ("license", _STRING),
        ("language", _STRING),
        ("pack", _STRING),
        ("offset", pa.int64()),
        ("length", pa.int64()),
    ]
)

QUARANTINE_SCHEMA = pa.schema(
    [
        ("source", _STRING),
        ("outcome", _STRING),  # "dropped" by a rule, or "quarantined": could not be read
        ("reason", _STRING),
        ("message", _STRING),
        ("origin", ORIGIN),
        ("rows", pa.int32()),  # published rows this record stands for
    ]
)

# One row per corpus row: what happens to it, and what mixing must know to pick and fetch it.
# `answer_tokens` and `turns` are those of the row that the mixture gets: a row that others were
# merged into has theirs too, and its text lies in `merged-<file>` from `merged_offset` on.
# `cluster` is that of the row's first image that is in one. `into_*` name the row that a merged row
# became part of, or that stays where a near-duplicate is dropped.
DECISION_SCHEMA = pa.schema(
    [
        ("source", _STRING),
        ("id", _STRING),
        ("part", pa.int32()),
        ("row", pa.int32()),
        ("decision", _STRING),  # "keep", "merge" or "drop"
        ("reason", _STRING),
        ("into_source", _STRING),
        ("into_part", pa.int32()),
        ("into_row", pa.int32()),
        ("answer_tokens", pa.int32()),
        ("turns", pa.int32()),
        ("offset", pa.int64()),
        ("length", pa.int64()),
        ("cluster", _STRING),
        ("merged_file", pa.int32()),
        ("merged_offset", pa.int64()),
        ("merged_length", pa.int64()),
    ]
)

# One row per image in a cluster of two or more. `cluster` is the content key of the
# representative's picture; `distance` (of 64-bit hashes) and `score` (of pixels, 0 to 1) compare
# an image with the representative, whose own are 0 and 1.
CLUSTER_SCHEMA = pa.schema(
    [
        ("cluster", _STRING),
        ("source", _STRING),
        ("id", _STRING),
        ("image", pa.int32()),
        ("origin", ORIGIN),
        ("representative", pa.bool_()),
        ("distance", pa.int32()),
        ("score", pa.float32()),
    ]
)

# One row per image of a corpus and picture of a benchmark that are the same. `overlap` is the run
# of words that both questions have, null where there is none; `removed` says whether the row went;
# `thumbnails` are the two pictures, the corpus' first.
CONTAMINATION_SCHEMA = pa.schema(
    [
        ("source", _STRING),
        ("id", _STRING),
        ("image", pa.int32()),
        ("origin", ORIGIN),
        ("benchmark", _STRING),
        ("benchmark_id", _STRING),
        ("benchmark_image", pa.int32()),
        ("benchmark_origin", ORIGIN),
        ("distance", pa.int32()),
        ("score", pa.float32()),
        ("overlap", _STRING),
        ("removed", pa.bool_()),
        ("thumbnails", pa.list_(pa.struct([("bytes", pa.binary()), ("path", _STRING)]))),
    ]
)


def _feature(kind: pa.DataType) -> Any:
    """The Hugging Face spelling of an Arrow type, for the ``huggingface`` schema metadata."""
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    return {"dtype": str(kind), "_type": "Value"}


def mixture_schema_with_features() -> pa.Schema:
    """`MIXTURE_SCHEMA` with the metadata by which ``datasets`` decodes the images."""
    features = {field.name: _feature(field.type) for field in MIXTURE_SCHEMA}
    features["images"] = {"feature": {"_type": "Image"}, "_type": "List"}
    info = json.dumps({"info": {"features": features}}, sort_keys=True)
    return MIXTURE_SCHEMA.with_metadata({b"huggingface": info.encode()})
