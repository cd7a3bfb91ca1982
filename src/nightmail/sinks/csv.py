"""CSV by RFC 4180, safe to open in a spreadsheet.

Texts are quoted, missing values are empty (an empty text is `""`), lists and objects are JSON text.
A text that begins with `= + - @`, a tab or a carriage return is run as a formula by spreadsheets;
unless it is a plain number it gets an apostrophe in front, as OWASP advises
(https://owasp.org/www-community/attacks/CSV_Injection, read 2026-11-20).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from nightmail.errors import SinkError
from nightmail.sinks.atomic import AtomicFile, blamed, check_target
from nightmail.sinks.compression import text_out
from nightmail.sinks.files import compression_of
from nightmail.sinks.fit import fitted
from nightmail.sinks.jsonl import json_value

if TYPE_CHECKING:
    import pyarrow as pa

_FORMULA = r"^[=+\-@\t\r]"
_PLAIN_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_ROWS_AT_ONCE = 10_000


class CsvSink:
    """Writes `.csv` or `.tsv`, with `.gz` or `.zst` behind it compressed."""

    def __init__(self, path: Path | str, schema: pa.Schema) -> None:
        import pyarrow as pa

        self.path = Path(path)
        self._schema = schema
        compression = compression_of(self.path)
        name = self.path.name.lower().removesuffix(compression)
        self._delimiter = "\t" if name.endswith(".tsv") else ","
        self._file = AtomicFile(self.path)
        try:
            self._out = text_out(self._file.file, compression)
            self._write_cells(pa.RecordBatch.from_pylist([], schema=schema), header=True)
        except BaseException:
            self._file.abort()
            raise

    @classmethod
    def check(cls, path: Path) -> None:
        """Raise `SinkError` if a file could not be written at `path`; leaves nothing behind."""
        check_target(Path(path))

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows; see `Sink.write`."""
        batch = fitted(batch, self._schema, self.path)
        for begin in range(0, batch.num_rows, _ROWS_AT_ONCE):
            self._write_cells(batch.slice(begin, _ROWS_AT_ONCE))

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

    def _write_cells(self, batch: pa.RecordBatch, *, header: bool = False) -> None:
        import pyarrow as pa
        from pyarrow import csv

        options = csv.WriteOptions(include_header=header, delimiter=self._delimiter)
        text = pa.BufferOutputStream()
        try:
            csv.write_csv(_cells(batch), text, options)
        except (pa.ArrowException, TypeError, ValueError, OverflowError, LookupError) as error:
            raise SinkError(f"{self.path}: a row that CSV cannot hold: {error}") from error
        with blamed(self.path):
            self._out.write(text.getvalue())


def _cells(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with only numbers, booleans and harmless texts in it, names included."""
    import pyarrow as pa

    is_ = pa.types
    columns = []
    for column in batch.columns:
        kind = column.type
        is_number = is_.is_integer(kind) or is_.is_floating(kind) or is_.is_decimal(kind)
        columns.append(column if is_number or is_.is_boolean(kind) else _guarded(_as_text(column)))
    names = _guarded(pa.array(batch.schema.names, pa.string())).to_pylist()
    return pa.record_batch(columns, names=names)


def _as_text(column: pa.Array) -> pa.Array:
    import pyarrow as pa

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return column
    return pa.array([_text(value) for value in column.to_pylist(maps_as_pydicts="strict")], pa.large_string())


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    text = orjson.dumps(value, default=json_value, option=orjson.OPT_NON_STR_KEYS).decode()
    # Dates, durations and bytes have come out as one JSON string; in a cell they need no quotes.
    return text[1:-1] if text.startswith('"') else text


def _guarded(column: pa.Array) -> pa.Array:
    import pyarrow as pa
    from pyarrow import compute

    formula = compute.and_not(
        compute.match_substring_regex(column, _FORMULA), compute.match_substring_regex(column, _PLAIN_NUMBER)
    )
    if not compute.any(formula).as_py():
        return column
    apostrophe, nothing = pa.scalar("'", column.type), pa.scalar("", column.type)
    guarded = compute.binary_join_element_wise(apostrophe, column, nothing)
    return compute.if_else(formula, guarded, column)
