"""The chat schema: the pydantic model that ingest fills, and the Arrow schemas of files on disk.

A `Sample` is one conversation over zero or more images. In a mixture it is a row of
`MIXTURE_SCHEMA`, whose `images` column is the ``datasets`` Image feature and whose `messages`
column is what ``apply_chat_template`` and TRL take. A corpus row (`CORPUS_SCHEMA`) holds no
pixels: it gives their place in the record file beside it.

Pre-training data has no questions. Such a sample is a document: its `messages` are one message of
the role ``assistant``, whose content is its texts and images in the order of reading. Only
documents begin with an assistant's message (`is_document`). A chat template takes it as it is; as
plain text it is the content's parts in order. The loss is on all of its text.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pyarrow as pa

from cauldron.core.sections.rules import Strict

# Suffix of a benchmark turn's source if its question was not published; the row's key replaces it.
NO_QUESTION = " (no question)"


class ImageInfo(Strict):
    """Facts about one stored image.

    Attributes:
        width, height: pixels, as stored (after EXIF orientation and any downscale).
        format: ``JPEG``, ``PNG`` or ``WEBP``.
        mode: ``RGB`` or ``L``.
        sha256: of the stored bytes, hex.
        phash: 64-bit perceptual hash in the bit order of ``imagehash.phash`` (row-major, most
            significant bit first).
        bits: of a published picture with 16 bits a pixel, those that its values were taken to have
            when they were scaled to 8: 10, 12 or 16. None for other pictures.
    """

    width: int
    height: int
    format: str
    mode: str
    sha256: str
    phash: int
    bits: int | None = None


class Turn(Strict):
    """A question and its answer.

    Attributes:
        source: the source this turn came from; in a merged sample it may differ from the sample's.
        user_tokens, answer_tokens: tokens by the recipe's tokenizer. With ``mistral-7b`` an answer
            has one BOS more, as in the published counts; otherwise no special tokens are counted.
    """

    user: str
    assistant: str
    source: str
    user_tokens: int = 0
    answer_tokens: int = 0


class Document(Strict):
    """A pre-training document: texts and images in the order of reading, without a question.

    Attributes:
        parts: its texts; None stands for the next of the sample's images.
        tokens: of all texts, by the recipe's tokenizer. With ``mistral-7b`` there is one BOS more,
            as for an answer.
    """

    parts: tuple[str | None, ...]
    tokens: int = 0


class Origin(Strict):
    """The place of a row in the published files.

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


class Sample(Strict):
    """One normalised conversation over zero or more images. Pixels are kept apart from it.

    Attributes:
        document: of a sample without turns. It counts as one turn, all of it answer.
    """

    id: str
    source: str
    system: str | None
    turns: tuple[Turn, ...]
    images: tuple[ImageInfo, ...]
    origin: Origin
    license: str
    language: str | None
    system_tokens: int = 0
    document: Document | None = None

    @property
    def answer_tokens(self) -> int:
        """Tokens that count in the loss: those of the answers, or of all texts of a document."""
        if self.document is not None:
            return self.document.tokens
        return sum(turn.answer_tokens for turn in self.turns)

    @property
    def text_tokens(self) -> int:
        """Tokens of the system prompt, the questions and the answers."""
        asked = sum(turn.user_tokens for turn in self.turns)
        return self.system_tokens + asked + self.answer_tokens

    def columns(self) -> dict[str, Any]:
        """The columns of a corpus row that follow from the sample alone."""
        sources = [turn.source for turn in self.turns]
        texts = [(turn.user, turn.assistant) for turn in self.turns]
        messages = messages_of(self.system, texts, len(self.images))
        if self.document is not None:
            sources, messages = [self.source], document_messages(self.document.parts)
        return {
            "id": self.id,
            "source": self.source,
            "messages": messages,
            "image_info": [info.model_dump() for info in self.images],
            "answer_tokens": self.answer_tokens,
            "text_tokens": self.text_tokens,
            "turns": len(sources),
            "turn_sources": sources,
            "origin": self.origin.model_dump(),
            "license": self.license,
            "language": self.language,
        }


def content_id(
    source: str, image_digests: list[str], system: str | None, turns: list[tuple[str, str]]
) -> str:
    """The 128-bit id of a sample as 32 hex digits. Equal content has the same id in every build.

    Args:
        image_digests: SHA-256 of each image's bytes as published, in order.
        turns: (user, assistant) texts, in order.
    """
    content = json.dumps([source, image_digests, system, turns], ensure_ascii=True)
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


def document_id(source: str, image_digests: list[str], parts: Sequence[str | None]) -> str:
    """The id of a document, as `content_id` gives that of a conversation.

    Args:
        parts: its texts in order; None stands for the next image.
    """
    content = json.dumps([source, image_digests, "document", list(parts)], ensure_ascii=True)
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


def messages_of(
    system: str | None, turns: list[tuple[str, str]] | tuple[tuple[str, str], ...], images: int
) -> list[dict[str, Any]]:
    """Chat messages for transformers and TRL. All images come first in the first user turn."""
    messages: list[dict[str, Any]] = []
    if system:
        messages.append({"role": "system", "content": [_text(system)]})
    for number, (user, assistant) in enumerate(turns):
        placeholders = [{"type": "image", "text": None}] * (images if number == 0 else 0)
        messages.append({"role": "user", "content": [*placeholders, _text(user)]})
        messages.append({"role": "assistant", "content": [_text(assistant)]})
    return messages


def document_messages(parts: Sequence[str | None]) -> list[dict[str, Any]]:
    """The one message of a document.

    Args:
        parts: its texts in order; None stands for the next image.
    """
    content = [{"type": "image", "text": None} if part is None else _text(part) for part in parts]
    return [{"role": "assistant", "content": content}]


def is_document(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the messages of a row are a document: no question comes before the first answer.

    A benchmark's row may have no messages at all; it is none.
    """
    return bool(messages) and messages[0]["role"] == "assistant"


def without_images(parts: Sequence[str | None], dropped: Collection[int]) -> list[str | None]:
    """A document's parts without some of its images, and without blank texts.

    Texts that then meet are joined by a blank line, as paragraphs are in OBELICS.

    Args:
        dropped: numbers of images, from 0.
    """
    numbers = itertools.count()
    left: list[str | None] = []
    for part in parts:
        if part is None:
            if next(numbers) not in dropped:
                left.append(None)
        elif part.strip():
            if left and (before := left[-1]) is not None:
                left[-1] = f"{before}\n\n{part}"
            else:
                left.append(part)
    return left


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


_STRING = pa.string()

_CONTENT = pa.list_(pa.struct([("type", _STRING), ("text", _STRING)]))
MESSAGES = pa.list_(pa.struct([("role", _STRING), ("content", _CONTENT)]))
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
    ("bits", pa.uint8()),
]

# What is inside a border, in pixels, and its hashes.
CONTENT_BOX = pa.struct(
    [
        *((name, pa.int32()) for name in ("left", "top", "width", "height")),
        *[("phash", pa.uint64()), ("phash256", pa.binary(32))],
    ]
)

# For finding near-duplicates, see `cauldron.transforms.pictures.signatures`. Only in a corpus.
_SIGNATURE_FIELDS = [
    ("pixels", _STRING),  # null if not all pixels were decoded
    ("phash256", pa.binary(32)),
    ("ground", pa.uint8()),
    ("loss", pa.uint16()),
    ("content", CONTENT_BOX),  # null without a border or padding of one colour
]

_PLACE_FIELDS = [("offset", pa.int64()), ("length", pa.int64())]
_PICTURES = pa.list_(pa.struct([("bytes", pa.binary()), ("path", _STRING)]))

# `tokens.text` counts all text tokens of the row, answers included. `tokens.image` depends on the
# stage's resolution. `tiles` is the number of vision-encoder inputs, global views included.
MIXTURE_SCHEMA = pa.schema(
    [
        ("id", _STRING),
        ("source", _STRING),
        ("images", _PICTURES),
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

# The sample, and the place of its record in the record file (`pack`) of the same part. The row's
# `offset` and `length` span the whole record (text as JSON, then the images); those inside
# `image_info` span that image's bytes only.
CORPUS_SCHEMA = pa.schema(
    [
        ("id", _STRING),
        ("source", _STRING),
        ("messages", MESSAGES),
        ("image_info", pa.list_(pa.struct([*_IMAGE_FIELDS, *_SIGNATURE_FIELDS, *_PLACE_FIELDS]))),
        ("answer_tokens", pa.int32()),
        ("text_tokens", pa.int32()),
        ("turns", pa.int32()),
        ("turn_sources", pa.list_(_STRING)),
        ("origin", ORIGIN),
        ("license", _STRING),
        ("language", _STRING),
        ("pack", _STRING),
        *_PLACE_FIELDS,
    ]
)

QUARANTINE_SCHEMA = pa.schema(
    [
        ("source", _STRING),
        ("outcome", _STRING),  # "dropped" by a rule, or "quarantined" because it is unreadable
        ("reason", _STRING),
        ("message", _STRING),
        ("origin", ORIGIN),
        ("rows", pa.int32()),  # number of published rows
    ]
)

CONTRIBUTIONS = pa.list_(
    pa.struct([("source", _STRING), ("turns", pa.int32()), ("answer_tokens", pa.int32())])
)

# One row per corpus row: its decision, and what mixing needs to pick and fetch it.
# `answer_tokens` and `turns` are those of the row in the mixture. If other rows were merged into
# it, they include theirs, the text is in file number `merged_file` at `merged_offset`, and
# `contributions` says how much of it is of which source, in the order of the sources' priority.
# `cluster` is the cluster of the row's first image that is in one. `into_*` identify the row that
# a merged row became part of, or that was kept instead of a dropped near-duplicate.
# `dropped_images` are the numbers of a document's images that are left out of it, ascending; null
# for none.
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
        ("image_bytes", pa.int64()),
        ("cluster", _STRING),
        ("merged_file", pa.int32()),
        ("merged_offset", pa.int64()),
        ("merged_length", pa.int64()),
        ("contributions", CONTRIBUTIONS),
        ("dropped_images", pa.list_(pa.int32())),
    ]
)

# One row per image in a cluster of two or more. `cluster` is the content key of the
# representative's picture. `distance` (of 64-bit hashes) and `score` (of pixels, 0 to 1) compare
# the image with the representative, which itself has 0 and 1; with `other_colours` it shows it in
# other colours, and the score is that of grey levels; with `other_rendering` it is a rendering of
# the same page at another resolution, and the score says how well the ink agrees.
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
        ("other_colours", pa.bool_()),
        ("other_rendering", pa.bool_()),
    ]
)

# What a corpus row and a benchmark's row have in common. `removed` says whether the row was
# dropped.
# Kind ``picture``: a row per pair of a corpus image and a benchmark picture that are the same.
# Kinds ``part``, ``mirrored``, ``colours``: the image shows part of it, mirrors or recolours it.
# Kind ``watermark``: it shows it under a half-transparent mark.
# Kind ``rendering``: it is the same page rendered at another resolution.
# `overlap` is the sequence of words that both questions contain, null if none. `thumbnails` are the
# two pictures, first the corpus image.
# Kind ``text``: a row per pair of rows with words in common. `score` is the share of the
# benchmark's words, `overlap` the longest sequence. The columns about images are null.
CONTAMINATION_SCHEMA = pa.schema(
    [
        ("kind", _STRING),
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
        ("thumbnails", _PICTURES),
    ]
)

# A pair of pictures, and whether a person says that they are the same; `cauldron.core.reviews` says
# how pictures are named.
_REVIEW_FIELDS = [
    *[("picture", _STRING), ("id", _STRING), ("image", pa.int32())],
    *[("other_picture", _STRING), ("other_id", _STRING), ("other_image", pa.int32())],
    *[("same", pa.bool_()), ("note", _STRING)],
]
ASKED_SCHEMA = pa.schema(_REVIEW_FIELDS)
# What became of a review. Where the pictures were found, `picture` and `other_picture` are filled.
REVIEW_SCHEMA = pa.schema([*_REVIEW_FIELDS, ("status", _STRING)])

# One row per turn and scale. `rating` is null if the model gave none; `reason` then says why.
RATING_SCHEMA = pa.schema(
    [
        ("source", _STRING),
        ("id", _STRING),
        ("turn", pa.int32()),
        ("scale", _STRING),
        ("model", _STRING),
        ("revision", _STRING),
        ("rating", pa.int8()),
        ("reason", _STRING),
        ("tokens_in", pa.int32()),
        ("tokens_out", pa.int32()),
    ]
)


def _feature(kind: pa.DataType) -> Any:
    """An Arrow type as a Hugging Face feature, for the ``huggingface`` schema metadata."""
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    return {"dtype": str(kind), "_type": "Value"}


def mixture_schema_with_features() -> pa.Schema:
    """`MIXTURE_SCHEMA` with the metadata that ``datasets`` needs to decode the images."""
    features = {field.name: _feature(field.type) for field in MIXTURE_SCHEMA}
    features["images"] = {"feature": {"_type": "Image"}, "_type": "List"}
    info = json.dumps({"info": {"features": features}}, sort_keys=True)
    return MIXTURE_SCHEMA.with_metadata({b"huggingface": info.encode()})
