"""Parquet with zstd, in row groups of 65,536 rows: enough to compress well, little enough to hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightmail.errors import SinkError
from nightmail.sinks.atomic import AtomicFile, blamed, check_target
from nightmail.sinks.fit import fitted

if TYPE_CHECKING:
    import pyarrow as pa


class ParquetSink:
    """Writes `.parquet`."""

    row_group_rows = 65_536
    # Less than `deliver` reads of large rows at a time: each window is written while the next is read.
    row_group_bytes = 20_000_000

    def __init__(self, path: Path | str, schema: pa.Schema) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.path = Path(path)
        self._schema = schema
        self._held: list[pa.RecordBatch] = []
        self._held_rows = self._held_bytes = 0
        self._file = AtomicFile(self.path)
        try:
            with blamed(self.path):
                self._writer = pq.ParquetWriter(self._file.file, schema, **_efforts(schema))
        except BaseException as error:
            self._file.abort()
            if isinstance(error, pa.ArrowException):
                raise SinkError(f"{self.path}: Parquet cannot hold these columns: {error}") from error
            raise

    @classmethod
    def check(cls, path: Path) -> None:
        """Raise `SinkError` if a file could not be written at `path`; leaves nothing behind."""
        check_target(Path(path))

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows; see `Sink.write`. They are held until a row group is full."""
        batch = fitted(batch, self._schema, self.path)
        for begin in range(0, batch.num_rows, self.row_group_rows):
            part = batch.slice(begin, self.row_group_rows)
            if self._held_rows + part.num_rows > self.row_group_rows:
                self._write_row_group()
            self._held.append(part)
            self._held_rows += part.num_rows
            self._held_bytes += part.nbytes
            if self._held_bytes >= self.row_group_bytes:
                self._write_row_group()

    def close(self) -> None:
        """Make the file appear."""
        if not self._file.is_open:
            return
        try:
            self._write_row_group()
            with blamed(self.path):
                self._writer.close()
        except BaseException:
            self.abort()
            raise
        self._file.commit()

    def abort(self) -> None:
        """Leave no trace."""
        if not self._file.is_open:
            return
        self._held.clear()
        # Closed while it still can: its finalizer would write a footer into a closed file.
        with suppress(Exception):
            self._writer.close()
        self._file.abort()

    def _write_row_group(self) -> None:
        import pyarrow as pa

        if not self._held:
            return
        table = pa.Table.from_batches(self._held, schema=self._schema)
        self._held, self._held_rows, self._held_bytes = [], 0, 0
        with blamed(self.path):
            self._writer.write_table(table, row_group_size=max(1, table.num_rows))


def _efforts(schema: pa.Schema) -> dict[str, Any]:
    """What is tried to make columns small, and found out about them: nothing for embeddings, which do not
    repeat. A dictionary of their values takes five times as long as writing them, zstd half as long, for a
    twelfth of the size."""
    import pyarrow as pa

    worth: list[str] = []
    vectors: list[str] = []
    for field in schema:
        for path, kind in _leaves(field.name, field.type):
            (vectors if pa.types.is_float32(kind) else worth).append(path)
    if not vectors:
        return {"compression": "zstd"}
    codecs = {**dict.fromkeys(worth, "zstd"), **dict.fromkeys(vectors, "none")}
    return {"compression": codecs, "use_dictionary": worth, "write_statistics": worth}


def _leaves(path: str, kind: pa.DataType) -> Iterator[tuple[str, pa.DataType]]:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        for field in kind:
            yield from _leaves(f"{path}.{field.name}", field.type)
    elif pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        yield from _leaves(f"{path}.list.element", kind.value_type)
    else:
        yield path, kind
