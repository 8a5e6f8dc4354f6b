"""Long lists of small records, held compressed.

At 10^9 pictures a manifest lists 300,000 parts, which take 1 kB each as objects and 0.1 kB here.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Generic, TypeVar, cast, get_args, overload

from pydantic import GetCoreSchemaHandler, TypeAdapter
from pydantic_core import CoreSchema, core_schema

T = TypeVar("T")

# Shorter lists stay as they are.
_CHUNK = 1_024


class CompactList(Sequence[T], Generic[T]):
    """A sequence that is written once and mostly read from the beginning to the end.

    Every full chunk is JSON, compressed; what is left at the end is a plain list. An index decodes
    the whole chunk.

    Args:
        kind: of the items, a dataclass or named tuple of JSON's values.
    """

    def __init__(self, kind: type[T], items: Iterable[T] = ()) -> None:
        self._kind = kind
        adapter = _adapter(cast(Any, kind))
        self._chunks: list[bytes] = []
        self._rest: list[T] = []
        for item in items:
            self._rest.append(item)
            if len(self._rest) == _CHUNK:
                self._chunks.append(zlib.compress(adapter.dump_json(self._rest), 1))
                self._rest = []

    def __len__(self) -> int:
        return len(self._chunks) * _CHUNK + len(self._rest)

    def __iter__(self) -> Iterator[T]:
        for number in range(len(self._chunks)):
            yield from self._chunk(number)
        yield from self._rest

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> list[T]: ...

    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            return list(self)[index]
        number, place = divmod(range(len(self))[index], _CHUNK)
        return (self._chunk(number) if number < len(self._chunks) else self._rest)[place]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (CompactList, list)):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))

    def _chunk(self, number: int) -> list[T]:
        text = zlib.decompress(self._chunks[number])
        return cast(list[T], _adapter(cast(Any, self._kind)).validate_json(text))


@lru_cache(maxsize=16)
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(list[kind])  # type: ignore[valid-type]


class Compact:
    """Annotates a model's field of type ``Sequence[...]``, which then holds a `CompactList`."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        (kind,) = get_args(source)

        def validate(value: Any, inner: core_schema.ValidatorFunctionWrapHandler) -> Any:
            known = isinstance(value, CompactList)
            return value if known else CompactList(kind, inner(value))

        def serialize(value: Any, inner: core_schema.SerializerFunctionWrapHandler) -> Any:
            return inner(list(value))

        plain = handler.generate_schema(list[kind])  # type: ignore[valid-type]
        return core_schema.no_info_wrap_validator_function(
            validate,
            plain,
            serialization=core_schema.wrap_serializer_function_ser_schema(serialize, schema=plain),
        )
