"""Embeddings as Arrow columns, without a Python object per number.

While a run goes on nobody knows how long its vectors are, so a part holds lists; in the delivered file they
are of one fixed size if all of them are.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def is_vector(kind: pa.DataType) -> bool:
    """Is it the type of a column of embeddings, whatever their size?"""
    import pyarrow as pa

    lists = pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(lists and pa.types.is_float32(kind.value_type))


def column_of(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """What `pyarrow.array` gives; packed numbers are copied as they are."""
    import pyarrow as pa

    if is_vector(kind) and _are_packed(values):
        return _vectors(values)
    if pa.types.is_list(kind) and is_vector(kind.value_type) and all(map(_are_packed, values)):
        inner = _vectors([vector for vectors in values for vector in vectors])
        return pa.ListArray.from_arrays(_offsets(values), inner)
    return pa.array(values, type=kind)


def size_of(arrays: Iterable[pa.Array]) -> int | None:
    """How many numbers each vector of these columns has; None if they differ or there are none."""
    import pyarrow.compute as pc

    sizes: set[int | None] = set()
    for each in arrays:
        if len(each):
            ends = pc.min_max(pc.list_value_length(each), skip_nulls=False)
            sizes |= {ends["min"].as_py(), ends["max"].as_py()}
        if len(sizes) > 1:
            return None
    return sizes.pop() or None if sizes else None


def of_size(vectors: pa.Array, size: int) -> pa.Array:
    """A column of vectors, all of `size` numbers, as one of that fixed size; the numbers stay in place."""
    import pyarrow as pa

    return pa.FixedSizeListArray.from_arrays(vectors.flatten(), size)


def _are_packed(values: Any) -> bool:
    return isinstance(values, list) and all(
        type(value) in (array, memoryview) and memoryview(value).format in ("d", "f") for value in values
    )


def _vectors(values: Sequence[array[float] | memoryview[float]]) -> pa.Array:
    import pyarrow as pa

    views: list[memoryview[Any]] = [memoryview(value) for value in values]
    formats = {view.format for view in views}
    if len(formats) == 1:
        return pa.ListArray.from_arrays(_offsets(values), _packed(views, formats.pop()))
    # Servers of both kinds in one run: rare enough to go the long way.
    return pa.array([view.tolist() for view in views], type=pa.list_(pa.float32()))


def _packed(values: Sequence[memoryview[Any]], format: str) -> pa.Array:
    import pyarrow as pa

    kind = pa.float64() if format == "d" else pa.float32()
    # Nothing is decoded. Put together first: an Arrow array for each would take three times as long.
    together = pa.py_buffer(b"".join(values))
    numbers = pa.Array.from_buffers(kind, together.size // values[0].itemsize, [None, together])
    return numbers.cast(pa.float32(), safe=False)


def _offsets(values: Sequence[Sequence[Any]]) -> pa.Array:
    import pyarrow as pa

    return pa.array([0, *accumulate(map(len, values))], type=pa.int32())
