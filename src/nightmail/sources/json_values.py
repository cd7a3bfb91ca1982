"""Which Python values may stand in a record that is kept as JSON, and what they become.

Dates and times become ISO text, decimals, UUIDs and paths text, enums their value, NumPy numbers
numbers. What would be lost without a word is refused: NaN and infinities (JSON has none, and the
encoder would write null), sets, bytes, integers beyond 64 bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import is_dataclass
from decimal import Decimal
from pathlib import PurePath
from typing import Any

import msgspec
import orjson

from nightmail.errors import SourceError

_OPTIONS = orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY


def json_line(record: Any, index: int) -> bytes:
    """One line of JSON Lines. Raises `SourceError` naming the record by its index if it is no record
    or holds a value that JSON cannot carry."""
    fields = record if type(record) is dict else _fields(record, index)
    try:
        line = orjson.dumps(fields, default=_plain, option=_OPTIONS)
    except (orjson.JSONEncodeError, TypeError) as error:
        raise SourceError(f"record {index}: {_culprit(fields, error)}") from error
    # Only a null may be a number that was lost, so only such lines are looked through.
    if b"null" in line:
        lost = _not_finite(fields, "")
        if lost is not None:
            raise SourceError(f"record {index}: {lost}, which JSON cannot carry; use None")
    return line


def _fields(record: Any, index: int) -> Any:
    """What the encoder takes as a record's fields."""
    if isinstance(record, Mapping):
        return dict(record)
    if isinstance(record, msgspec.Struct):
        return msgspec.structs.asdict(record)
    if is_dataclass(record) and not isinstance(record, type):
        return record
    if hasattr(record, "model_dump"):  # pydantic, recognised without importing it
        return record.model_dump(mode="json")
    if isinstance(record, tuple) and hasattr(record, "_asdict"):
        return record._asdict()
    if hasattr(record, "keys") and hasattr(record, "__getitem__"):  # sqlite3.Row and its like
        return {key: record[key] for key in record.keys()}  # noqa: SIM118 - it may iterate over values
    kind = type(record).__name__
    raise SourceError(
        f"record {index} is of type {kind}; a record is a dict. Wrap each: ({{'text': x}} for x in records)"
    )


def _plain(value: Any) -> Any:
    """What stands for a value that the encoder does not know."""
    if isinstance(value, Decimal | PurePath):
        return str(value)
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.asdict(value)
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__}")


def _culprit(fields: Any, error: Exception) -> str:
    """Which field the encoder stumbled over."""
    if not isinstance(fields, dict):
        return f"JSON cannot carry it ({error.__cause__ or error})"
    for name, value in fields.items():
        if not isinstance(name, str):
            return f"the field name {name!r} is no text"
        try:
            orjson.dumps({name: value}, default=_plain, option=_OPTIONS)
        except (orjson.JSONEncodeError, TypeError) as wrong:
            return f"JSON cannot carry field {name!r} ({wrong.__cause__ or wrong})"
    return f"JSON cannot carry it ({error})"


def _not_finite(value: Any, path: str) -> str | None:
    if is_dataclass(value) and not isinstance(value, type):
        value = {name: getattr(value, name) for name in value.__dataclass_fields__}
    elif isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    children: list[tuple[str, Any]] = []
    if isinstance(value, Mapping):
        children = [(f"{path}.{name}" if path else str(name), each) for name, each in value.items()]
    elif isinstance(value, list | tuple):
        children = [(f"{path}[{position}]", each) for position, each in enumerate(value)]
    elif type(value).__module__ == "numpy":
        return _not_finite(value.tolist(), path)
    elif isinstance(value, float) and not math.isfinite(value):
        return f"{path!r} is {value}"
    for name, child in children:
        found = _not_finite(child, name)
        if found is not None:
            return found
    return None
