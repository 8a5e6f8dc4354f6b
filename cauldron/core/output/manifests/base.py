"""What every manifest has: files with their digests, the tokenizer, reading and writing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from io import BytesIO
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass

from cauldron.core import storage
from cauldron.core.errors import CauldronError
from cauldron.core.output.compact import CompactList

MANIFEST = "manifest.json"


def _plain_name(name: str) -> str:
    if not name or "/" in name or "\\" in name or name.startswith("."):
        raise ValueError(f"{name!r} is not a plain file name")
    return name


FileName = Annotated[str, AfterValidator(_plain_name)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Manifest(Frozen):
    """What every manifest has; `fingerprint` is that of all that decides the folder's content."""

    fingerprint: str


# Of the entries below a manifest may hold hundreds of thousands. Dataclasses with slots take a
# third of a model's memory.
STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class HashedFile:
    """A file in the manifest's folder; `sha256` is that of the whole file, hex."""

    name: FileName
    bytes: int
    sha256: Sha256


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class RowFile(HashedFile):
    """A file of rows, parquet or JSON lines."""

    rows: int


class Tokenizer(Frozen):
    """The tokenizer that counted the tokens.

    Attributes:
        name: as in the recipe; None in old manifests if the counts are estimated.
        estimated: the counts are estimated from bytes.
        digest: identifies the tokenizer under any name, see `cauldron.core.tokenizer`. None if
            the counts are estimated, and in old manifests.
    """

    name: str | None
    estimated: bool
    digest: str | None = None


M = TypeVar("M", bound=Manifest)


def manifest_bytes(manifest: Manifest) -> bytes:
    """As it is written: sorted keys, an indent of one. Entries of long lists are encoded one at a
    time, so that neither all of them nor their text are beside the bytes."""
    text = BytesIO()
    text.write(b"{")
    for number, name in enumerate(sorted(type(manifest).model_fields)):
        text.write(b",\n " if number else b"\n ")
        text.write(_json(name) + b": ")
        for piece in _pieces(getattr(manifest, name)):
            text.write(piece)
    text.write(b"\n}\n")
    return text.getvalue()


def _pieces(value: Any) -> Iterator[bytes]:
    """A value one level below the top."""
    if not isinstance(value, CompactList) or not value:
        yield _json(list(value) if isinstance(value, CompactList) else value, 1)
        return
    for number, item in enumerate(value):
        yield (b",\n  " if number else b"[\n  ") + _json(item, 2)
    yield b"\n ]"


def _json(value: Any, depth: int = 0) -> bytes:
    # No string holds a line break: JSON escapes them.
    return storage.json_bytes(value, _values).rstrip(b"\n").replace(b"\n", b"\n" + b" " * depth)


def _values(item: Any) -> Any:
    return item.model_dump(mode="json") if isinstance(item, BaseModel) else asdict(item)


def read_manifest(kind: type[M], folder: str) -> M:
    """Read the manifest of a folder.

    Raises:
        FileNotFoundError: there is none; the folder is unfinished.
        CauldronError: the file is not a manifest of this kind, or is of an older format.
    """
    path = storage.join(folder, MANIFEST)
    known = kind.model_fields["format"].default
    try:
        return kind.model_validate_json(storage.read_bytes(path))
    except ValidationError as error:
        first = error.errors()[0]
        if first["loc"] == ("format",) and first["input"] in range(1, known):
            raise CauldronError(
                f"{path} is of an older version, in another layout: remove {folder}, build again"
            ) from None
        what = f"{'.'.join(str(part) for part in first['loc'])} {first['msg']}"
        raise CauldronError(f"{path} is not a manifest of format {known}: {what}") from None
