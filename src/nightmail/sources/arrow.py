"""The Arrow types that records are read with.

A record's value must not depend on how a column happens to be stored, on whether pandas is installed,
or on which slice of the table it is in. So dictionaries become their values, views become plain
strings, and nanoseconds, which Python's own times cannot hold, become microseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


def plain_schema(schema: pa.Schema) -> pa.Schema:
    """The schema with every type plain and without metadata."""
    import pyarrow as pa

    return pa.schema([pa.field(field.name, plain_type(field.type)) for field in schema])


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type that a column of `kind` is read with; nested types are plain inside."""
    import pyarrow as pa

    is_ = pa.types
    if is_.is_dictionary(kind) or is_.is_run_end_encoded(kind):
        return plain_type(kind.value_type)
    if is_.is_string_view(kind):
        return pa.large_string()
    if is_.is_binary_view(kind):
        return pa.large_binary()
    if is_.is_timestamp(kind) and kind.unit == "ns":
        return pa.timestamp("us", tz=kind.tz)
    if is_.is_time64(kind):
        return pa.time64("us")
    if is_.is_duration(kind) and kind.unit == "ns":
        return pa.duration("us")
    if is_.is_map(kind):
        return pa.map_(plain_type(kind.key_type), plain_type(kind.item_type))
    if is_.is_fixed_size_list(kind):
        return pa.list_(plain_type(kind.value_type), kind.list_size)
    if is_.is_large_list(kind):
        return pa.large_list(plain_type(kind.value_type))
    if is_.is_list(kind):
        return pa.list_(plain_type(kind.value_type))
    if is_.is_struct(kind):
        return pa.struct([pa.field(field.name, plain_type(field.type)) for field in kind.fields])
    return kind


def always_readable(kind: pa.DataType) -> bool:
    """Is every value of a plain type, if it is valid, one that Python can hold? Not a time beyond the year
    9999, or one in a zone that this machine does not know."""
    import pyarrow as pa

    is_ = pa.types
    if is_.is_struct(kind):
        return all(always_readable(field.type) for field in kind.fields)
    if is_.is_list(kind) or is_.is_large_list(kind) or is_.is_fixed_size_list(kind):
        return always_readable(kind.value_type)
    texts = (
        is_.is_string(kind) or is_.is_large_string(kind) or is_.is_binary(kind) or is_.is_large_binary(kind)
    )
    return bool(
        texts
        or is_.is_integer(kind)
        or is_.is_floating(kind)
        or is_.is_decimal(kind)
        or is_.is_boolean(kind)
        or is_.is_null(kind)
    )


def as_schema(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch with exactly the schema's columns; those it lacks are null. Raises `pa.ArrowInvalid`
    or `pa.ArrowNotImplementedError` if a value has no place in its column."""
    import pyarrow as pa

    if batch.schema.equals(schema):
        return batch
    columns = []
    for field in schema:
        index = batch.schema.get_field_index(field.name)
        if index < 0:
            columns.append(pa.nulls(batch.num_rows, field.type))
            continue
        columns.append(_as_type(batch.column(index), field.type))
    return pa.record_batch(columns, schema=schema)


def _as_type(column: pa.Array, kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if column.type.equals(kind):
        return column
    if pa.types.is_dictionary(column.type):
        # In this order, because there is no unfolding of a dictionary of string views (polars' categories).
        values = _as_type(column.dictionary, kind)
        return pa.DictionaryArray.from_arrays(column.indices, values).dictionary_decode()
    # Unsafe only means that nanoseconds may be cut off; other types are widened by unification.
    return column.cast(kind, safe=False)
