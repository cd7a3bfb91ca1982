"""The sink port: where outputs are delivered.

A sink writes one file whole or not at all: into a temporary file beside the target, synced, then
renamed. Text that a spreadsheet would run as a formula is guarded where the format is CSV. A file has
one schema, the one the sink was opened with.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa


class Sink(Protocol):
    """Opened as `SinkClass(path, schema)`. Raises `SinkError` when the path cannot be written, and in every
    call `DiskFull` when there is no room.

    Every sink is closed or aborted in the end; one that is dropped without either leaves a hidden
    temporary file, which the next sink for the same path removes.
    """

    path: Path

    @classmethod
    def check(cls, path: Path) -> None:
        """Raise `SinkError` if a file could not be written at `path`; leaves nothing behind."""
        ...

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows. Columns are matched by name: those the batch lacks are null, types are cast to the
        schema's. Raises `SinkError` for a column that the schema lacks, a value that does not fit its
        column, or a disk that refuses; the sink can then only be aborted."""
        ...

    def close(self) -> None:
        """Make the file appear. Until this returns, whatever was at `path` before is untouched. Raises
        `SinkError` if that fails, having left no trace. Safe to call twice."""
        ...

    def abort(self) -> None:
        """Leave no trace. Safe to call twice, and after `close` (then it does nothing)."""
        ...
