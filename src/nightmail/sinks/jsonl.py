"""JSON Lines: one object a row, nested values as they are, missing values as null.

What JSON has no form for becomes text: dates and times in ISO form, decimals in digits, durations in
ISO form, bytes in Base64. NaN and infinities become null.
"""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from nightmail.errors import SinkError
from nightmail.sinks.atomic import AtomicFile, blamed, check_target
from nightmail.sinks.compression import text_out
from nightmail.sinks.files import compression_of
from nightmail.sinks.fit import fitted

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS_AT_ONCE = 2_000


class JsonlSink:
    """Writes `.jsonl` or `.ndjson`, with `.gz` or `.zst` behind it compressed."""

    def __init__(self, path: Path | str, schema: pa.Schema) -> None:
        self.path = Path(path)
        self._schema = schema
        self._file = AtomicFile(self.path)
        self._out = text_out(self._file.file, compression_of(self.path))

    @classmethod
    def check(cls, path: Path) -> None:
        """Raise `SinkError` if a file could not be written at `path`; leaves nothing behind."""
        check_target(Path(path))

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows; see `Sink.write`."""
        batch = fitted(batch, self._schema, self.path)
        for begin in range(0, batch.num_rows, _ROWS_AT_ONCE):
            try:
                lines = json_lines(batch.slice(begin, _ROWS_AT_ONCE))
            except (TypeError, ValueError, OverflowError, LookupError) as error:
                raise SinkError(f"{self.path}: a row that JSON cannot hold: {error}") from error
            with blamed(self.path):
                self._out.write(lines)

    def close(self) -> None:
        """Make the file appear."""
        if not self._file.is_open:
            return
        try:
            with blamed(self.path):
                self._out.close()
        except BaseException:
            self._file.abort()
            raise
        self._file.commit()

    def abort(self) -> None:
        """Leave no trace."""
        self._file.abort()


def json_lines(batch: pa.RecordBatch) -> bytes:
    """The rows of a batch, each with its newline."""
    option = orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS
    rows = batch.to_pylist(maps_as_pydicts="strict")
    return b"".join([orjson.dumps(row, default=json_value, option=option) for row in rows])


def json_value(value: Any) -> str:
    """What stands for a value that JSON has no form for."""
    match value:
        case Decimal():
            return str(value)
        case bytes():
            return base64.b64encode(value).decode()
        case timedelta():
            return f"PT{value.total_seconds():f}S"
        case datetime():  # a subclass, which the encoder does not take: pandas gives them for nanoseconds
            return value.isoformat()
        case _:
            raise TypeError(f"JSON has no form for a {type(value).__name__}")
