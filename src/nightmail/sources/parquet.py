"""Parquet: row groups, sliced into pieces that are Arrow streams, so that every type survives.

A position counts rows within the file. All files are read with one schema: columns that a file lacks
are null there, numbers are widened, anything else that differs is an error before the first piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightmail.errors import SourceError
from nightmail.sources.arrow import always_readable, as_schema, plain_schema
from nightmail.sources.base import BadRow, Piece, Position, Record
from nightmail.sources.files import fingerprint, no_records

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


# What a value raises that Python cannot hold; a text that is no UTF-8 is a ValueError.
_NOT_PYTHONS = (ValueError, OverflowError, LookupError)


class ParquetSource:
    """Rows of `.parquet` files as records of Python values."""

    piece_bytes = 4_000_000
    piece_rows = 5_000

    def __init__(self, paths: Iterable[Path | str]) -> None:
        self.paths = tuple(Path(path) for path in paths)

    def pieces(self, start: Position) -> Iterator[Piece]:
        """Rows of about `piece_bytes` and at most `piece_rows`; never of two row groups."""
        schema = self._schema()
        found = False
        for index in range(start.file, len(self.paths)):
            path = self.paths[index]
            row = start.offset if index == start.file else 0
            for batch in self._batches(path, row):
                found = True
                after = row + batch.num_rows
                try:
                    payload = _stream(as_schema(batch, schema))
                except _arrow_error() as error:
                    raise SourceError(f"{path}:{row + 1}: {error}") from error
                yield Piece(
                    path=str(path),
                    row=row + 1,
                    payload=payload,
                    next=Position(file=index, offset=after, row=after + 1),
                )
                row = after
        if not found and start == Position():
            raise no_records(self.paths)

    def records(self, piece: Piece) -> list[Record | BadRow]:
        """The rows of a piece; one with a value that Python cannot hold (a year beyond 9999, a time
        zone that this machine does not know, a map with a key twice) is a `BadRow`."""
        import pyarrow as pa

        table = pa.ipc.open_stream(piece.payload).read_all()
        try:
            return list(_rows_of(table))
        except _NOT_PYTHONS:
            return [_record(table.slice(at, 1), piece.row + at) for at in range(table.num_rows)]

    def skim(self, piece: Piece, field: str | None) -> list[Any] | None:
        """See `Source.skim`. Only columns with values that Python may be unable to hold are made Python's."""
        import pyarrow as pa

        table = pa.ipc.open_stream(piece.payload).read_all()
        unsure = [each.name for each in table.schema if not always_readable(each.type)]
        try:
            table.validate(full=True)
            _rows_of(table.select(unsure))
        except _NOT_PYTHONS:
            return None
        if field is None:
            return [None] * table.num_rows
        return table.column(field).to_pylist() if field in table.column_names else None

    def numbers(self, piece: Piece) -> list[int]:
        """The row of each item that `records` gives."""
        import pyarrow as pa

        count = pa.ipc.open_stream(piece.payload).read_all().num_rows
        return list(range(piece.row, piece.row + count))

    def fingerprint(self) -> str:
        return fingerprint(self.paths)

    def _schema(self) -> pa.Schema:
        import pyarrow as pa

        merged: pa.Schema | None = None
        for path in self.paths:
            with _opened(path) as file:
                schema = plain_schema(file.schema_arrow)
            names = schema.names
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise SourceError(f"{path}: two columns are named {twice!r}")
            if merged is None:
                merged = schema
                continue
            try:
                merged = pa.unify_schemas([merged, schema], promote_options="permissive")
            except _arrow_error():
                raise _differing_column(self.paths[0], merged, path, schema) from None
        if merged is None:
            raise SourceError("no input was given")
        return merged

    def _batches(self, path: Path, skip: int) -> Iterator[pa.RecordBatch]:
        """The rows from `skip` on, in batches that are small enough to be pieces."""
        row = skip
        with _opened(path) as file:
            for group in range(file.num_row_groups):
                meta = file.metadata.row_group(group)
                if skip >= meta.num_rows:
                    skip -= meta.num_rows
                    continue
                width = max(1, meta.total_byte_size // max(1, meta.num_rows))
                batch_rows = max(1, min(self.piece_rows, self.piece_bytes // width))
                batches = file.iter_batches(batch_size=batch_rows, row_groups=[group], use_threads=False)
                while True:
                    try:
                        batch = next(batches, None)
                    except (OSError, _arrow_error()) as error:
                        raise SourceError(f"{path}:{row + 1}: damaged Parquet data ({error})") from error
                    if batch is None:
                        break
                    dropped = min(skip, batch.num_rows)
                    skip -= dropped
                    for part in self._parts(batch.slice(dropped)):
                        row += part.num_rows
                        yield part

    def _parts(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        # The row group's size said what is on disk; what dictionaries unfold to is known only now.
        if not batch.num_rows:
            return
        count = -(-batch.nbytes // self.piece_bytes)
        size = max(1, -(-batch.num_rows // max(1, count)))
        for begin in range(0, batch.num_rows, size):
            yield batch.slice(begin, size)


def _arrow_error() -> type[Exception]:
    import pyarrow as pa

    found: type[Exception] = pa.ArrowException
    return found


def _opened(path: Path) -> pq.ParquetFile:
    import pyarrow.parquet as pq

    try:
        # Buffered and without read-ahead: otherwise a whole column of a row group is held.
        return pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False, page_checksum_verification=True)
    except _arrow_error() as error:
        raise SourceError(f"{path}: not a Parquet file ({str(error).splitlines()[0]})") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror or error}") from error


def _stream(batch: pa.RecordBatch) -> bytes:
    import pyarrow as pa

    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, batch.schema) as writer:
        writer.write_batch(batch)
    payload: bytes = out.getvalue().to_pybytes()
    return payload


def _rows_of(table: pa.Table) -> list[Record]:
    rows: list[Record] = table.to_pylist(maps_as_pydicts="strict")
    return rows


def _record(one: pa.Table, row: int) -> Record | BadRow:
    for name in one.column_names:
        try:
            _rows_of(one.select([name]))
        except _NOT_PYTHONS as error:
            return BadRow(row, f"column {name!r} cannot be read as a Python value ({error})")
    return _rows_of(one)[0]


def _differing_column(first: Path, merged: pa.Schema, path: Path, schema: pa.Schema) -> SourceError:
    import pyarrow as pa

    for field in schema:
        index = merged.get_field_index(field.name)
        if index < 0:
            continue
        pair = [pa.schema([merged.field(index)]), pa.schema([field])]
        try:
            pa.unify_schemas(pair, promote_options="permissive")
        except _arrow_error():
            return SourceError(
                f"{path}: column {field.name!r} is {field.type}, in {first} it is {merged.field(index).type}"
            )
    return SourceError(f"{path}: its columns cannot be read together with those of {first}")
