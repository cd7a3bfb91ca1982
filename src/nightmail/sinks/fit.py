"""Makes a batch of rows fit the one schema of the file it goes into."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nightmail.errors import SinkError

if TYPE_CHECKING:
    import pyarrow as pa


def fitted(batch: pa.RecordBatch, schema: pa.Schema, path: Path) -> pa.RecordBatch:
    """The batch with exactly the schema's columns, in its order; missing ones are null.

    Raises `SinkError` naming the column for one that the schema lacks or whose values do not fit.
    """
    import pyarrow as pa

    if batch.schema.equals(schema):
        return batch
    for name in batch.schema.names:
        if schema.get_field_index(name) < 0:
            raise SinkError(f"{path}: a row has the column {name!r}, which the file does not have")
    columns = []
    for field in schema:
        index = batch.schema.get_field_index(field.name)
        if index < 0:
            columns.append(pa.nulls(batch.num_rows, field.type))
            continue
        column = batch.column(index)
        try:
            columns.append(column if column.type.equals(field.type) else column.cast(field.type))
        except pa.ArrowException as error:
            raise SinkError(
                f"{path}: values of column {field.name!r} ({column.type}) do not fit the file's "
                f"{field.type}: {error}"
            ) from error
    return pa.record_batch(columns, schema=schema)
