"""Records that exist only in a running program, written to a file first.

A run must outlive the program that started it, so what a caller hands over in memory becomes a file
named by its content: the same records are the same file, and starting again is the same run. An
existing file is left as it is, its time included, since the time is part of a source's fingerprint.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from nightmail.errors import SourceError
from nightmail.sources.arrow import as_schema, plain_schema
from nightmail.sources.json_values import json_line

if TYPE_CHECKING:
    import pyarrow as pa

_CHUNK_BYTES = 1 << 20
_BATCH_ROWS = 65_536


def store_iterable(records: Iterable[Any], folder: Path) -> Path:
    """Write records as JSON Lines into `folder` (made if missing) and return the file.

    A record is a dict or another mapping, a dataclass, a pydantic model, a msgspec struct or a named
    tuple; `json_values` says what its values become. Raises `SourceError` with the index of a record
    that is none of these or that JSON cannot carry, and if there are no records.
    """
    if isinstance(records, Mapping):
        raise SourceError("a mapping is one record; give a list of records: [record]")
    if isinstance(records, str | bytes):
        raise SourceError("a text is not a list of records; give dicts, or the path of a file as input")
    with _NamedByContent(folder, ".jsonl") as stored:
        lines: list[bytes] = []
        size = 0
        for index, record in enumerate(records):
            lines.append(json_line(record, index))
            size += len(lines[-1])
            if size >= _CHUNK_BYTES:
                stored.write(b"".join(lines))
                lines, size = [], 0
        stored.write(b"".join(lines))
        if not stored.file.tell():
            raise SourceError("no records were given")
    return stored.path


def store_frame(frame: Any, folder: Path) -> Path:
    """Write a pandas, polars or Arrow table, or a stream of Arrow batches, as Parquet into `folder`
    (made if missing) and return the file. A pandas index is kept as a column if it has a name.

    Raises `SourceError` if it has no rows or holds what Arrow cannot.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    reader = _reader(frame)
    kept = [name for name in reader.schema.names if not re.fullmatch(r"__index_level_\d+__", name)]
    schema = plain_schema(pa.schema([reader.schema.field(name) for name in kept]))
    rows = 0
    with _NamedByContent(folder, ".parquet") as stored:
        # The digest is of the values: the bytes of a Parquet file change with the library that wrote it.
        stored.digest.update(schema.serialize())
        with pq.ParquetWriter(stored.file, schema, compression="zstd") as writer:
            for batch in _even_batches(reader, schema):
                rows += batch.num_rows
                stored.digest.update(batch.serialize())
                writer.write_batch(batch)
        if not rows:
            raise SourceError("the frame has no rows")
    return stored.path


def is_frame(value: Any) -> bool:
    """Whether `store_frame` takes it; a look at its methods, nothing is imported or read."""
    if isinstance(value, type):
        return False
    return any(hasattr(value, name) for name in _FRAME_MARKS) or _is_lazy(value)


_FRAME_MARKS = ("__arrow_c_stream__", "__arrow_c_array__", "__dataframe__")


def _is_lazy(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "polars" and hasattr(value, "collect")


def _reader(frame: Any) -> pa.RecordBatchReader:
    import pyarrow as pa

    if _is_lazy(frame):
        frame = frame.collect()
    library = type(frame).__module__.partition(".")[0]
    try:
        if library == "pandas":
            # An index that has a name is often the key; left to itself pandas drops an evenly spaced one.
            named = any(name is not None for name in frame.index.names)
            return pa.Table.from_pandas(frame, preserve_index=named).to_reader()
        if isinstance(frame, pa.RecordBatch):
            return pa.RecordBatchReader.from_batches(frame.schema, [frame])
        if hasattr(frame, "__arrow_c_stream__"):
            reader = pa.RecordBatchReader.from_stream(frame)
            if library == "polars":
                _refuse_objects(reader.schema)
            return reader
        if hasattr(frame, "__dataframe__"):
            from pyarrow.interchange import from_dataframe

            return from_dataframe(frame).to_reader()
    except (pa.ArrowException, AttributeError, TypeError, ValueError, NotImplementedError) as error:
        raise SourceError(f"a {type(frame).__name__} that Arrow cannot read as a table: {error}") from error
    raise SourceError(f"a {type(frame).__name__} is no frame; give a pandas, polars or Arrow table")


def _refuse_objects(schema: pa.Schema) -> None:
    """Polars exports a column of Python objects as their addresses, and nothing else in this type."""
    import pyarrow as pa

    for field in schema:
        if pa.types.is_fixed_size_binary(field.type):
            raise TypeError(f"column {field.name!r} holds Python objects")


def _even_batches(reader: pa.RecordBatchReader, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The rows in batches whose size does not depend on how they came, so that the digest does not."""
    import pyarrow as pa

    held: list[pa.RecordBatch] = []
    rows = 0
    try:
        for batch in reader:
            held.append(as_schema(batch, schema))
            rows += batch.num_rows
            if rows < _BATCH_ROWS:
                continue
            whole = rows - rows % _BATCH_ROWS
            table = pa.Table.from_batches(held, schema=schema)
            yield from _combined(table.slice(0, whole))
            held = table.slice(whole).to_batches()
            rows -= whole
        yield from _combined(pa.Table.from_batches(held, schema=schema))
    except pa.ArrowException as error:
        raise SourceError(f"the frame cannot be written as Parquet: {error}") from error


def _combined(table: pa.Table) -> Iterator[pa.RecordBatch]:
    for begin in range(0, table.num_rows, _BATCH_ROWS):
        yield from table.slice(begin, _BATCH_ROWS).combine_chunks().to_batches()


class _NamedByContent:
    """A file under a temporary name that gets its digest as its name when the block ends well."""

    def __init__(self, folder: Path, suffix: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._suffix = suffix
        self.digest = hashlib.sha256()
        self.path = folder

    def __enter__(self) -> _NamedByContent:
        handle, name = tempfile.mkstemp(dir=self._folder, prefix=".records-", suffix=".tmp")
        self._temporary = Path(name)
        self.file: BinaryIO = os.fdopen(handle, "wb")
        return self

    def write(self, data: bytes) -> None:
        self.digest.update(data)
        self.file.write(data)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.path = self._folder / f"records-{self.digest.hexdigest()[:32]}{self._suffix}"
                self.file.flush()
                os.fsync(self.file.fileno())
            self.file.close()
            if kind is None and not self.path.exists():
                self._temporary.replace(self.path)
        finally:
            self.file.close()
            self._temporary.unlink(missing_ok=True)
