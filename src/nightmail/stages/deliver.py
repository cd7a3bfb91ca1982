"""outputs -> sink: put the parts together, in the order of the source, into one file; and the failures.

Windows of consecutive records bound the memory. A row counts only if the store says that its record
succeeded in that part's batch, and every record that succeeded must have its row: a lost part is an
error, not a shorter file. The files appear whole, by rename; doing it again gives the same files.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from nightmail.core.batch import Batch
from nightmail.core.run import KeyKind, Run
from nightmail.errors import StoreError
from nightmail.stages.failures import write_failures
from nightmail.stages.parts import LOOSE, META, SEQ, part_names, part_schema, read_part
from nightmail.stages.ports import Ports
from nightmail.stages.vectors import is_vector, of_size, size_of

if TYPE_CHECKING:
    import pyarrow as pa

WINDOW_ROWS = 50_000
WINDOW_BYTES = 24_000_000


async def deliver(ports: Ports, run: Run, output: Path | None, *, stop: asyncio.Event | None = None) -> bool:
    """Write what has succeeded so far to `output`, and what has failed beside it; None writes nothing.
    False if `stop` was set before the end: then the files are as they were."""
    if output is None:
        return True
    sink_class = ports.sink(str(output))
    schema = await final_schema(ports, run)
    sink = await asyncio.to_thread(sink_class, output, schema)
    try:
        async for table in windows(ports, run, schema):
            if stop is not None and stop.is_set():
                await asyncio.to_thread(sink.abort)
                return False
            for batch in table.to_batches():
                await asyncio.to_thread(sink.write, batch)
        await asyncio.to_thread(sink.close)
    except BaseException:
        await asyncio.to_thread(sink.abort)
        raise
    await write_failures(ports, run, failures_path(output))
    return True


def failures_path(output: Path) -> Path:
    """`answers.parquet` -> `answers.failures.jsonl`, beside it."""
    name = output.name
    for suffix in (".gz", ".zst", *([output.suffix] if output.suffix not in (".gz", ".zst") else [])):
        name = name.removesuffix(suffix)
    return output.with_name(f"{Path(name).stem if Path(name).suffix else name}.failures.jsonl")


async def windows(ports: Ports, run: Run, schema: pa.Schema) -> AsyncIterator[pa.Table]:
    """The accepted outputs in the order of the source, some tens of thousands of rows at a time."""
    batches = await batches_with_parts(ports, run)
    rows = sum(batch.succeeded for batch in batches)
    if not rows:
        return
    size = await asyncio.to_thread(_size, ports, batches)
    step = max(100, min(WINDOW_ROWS, WINDOW_BYTES * rows // max(1, size)))
    for first in range(1, run.record_count + 1, step):
        last = first + step - 1
        wanted = await ports.store.requests.list_successes(run.run_no, first, last)
        if not wanted:
            continue
        near = [batch for batch in batches if batch.first_seq <= last and batch.last_seq >= first]
        yield await asyncio.to_thread(_window, ports, near, wanted, schema)


async def batches_with_parts(ports: Ports, run: Run) -> list[Batch]:
    return [batch for batch in await ports.store.batches.list(run.run_no) if batch.succeeded]


def _pieces(ports: Ports, batch: Batch) -> Iterator[pa.RecordBatch]:
    for name in part_names(ports.spool, ports.run_id, batch.batch_no):
        yield from read_part(ports.spool, name)


def _size(ports: Ports, batches: Sequence[Batch]) -> int:
    return sum(
        ports.spool.path(name).stat().st_size
        for batch in batches
        for name in part_names(ports.spool, ports.run_id, batch.batch_no)
    )


def _window(
    ports: Ports, batches: Sequence[Batch], wanted: Sequence[tuple[int, int]], schema: pa.Schema
) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    by_batch: dict[int, list[int]] = {}
    for seq, batch_no in wanted:
        by_batch.setdefault(batch_no, []).append(seq)
    found = []
    for batch in batches:
        if batch.batch_no not in by_batch:
            continue
        seqs = pa.array(by_batch[batch.batch_no], type=pa.int64())
        for piece in _pieces(ports, batch):
            mine = piece.filter(pc.is_in(piece.column(SEQ), value_set=seqs))
            if mine.num_rows:
                found.append(_shaped(mine, schema))
    count = sum(piece.num_rows for piece in found)
    if count != len(wanted):
        parts = ports.spool.path(ports.run_id) / "outputs"
        raise StoreError(
            f"run {ports.run_id}: {len(wanted)} records between {wanted[0][0]} and {wanted[-1][0]} have "
            f"succeeded, but the parts under {parts} hold {count} of them"
        )
    return pa.Table.from_batches(found).sort_by(SEQ).drop_columns([SEQ])


async def final_schema(ports: Ports, run: Run) -> pa.Schema:
    """The columns of the delivered file. Where the task's outputs have no schema of their own, one is
    found that holds them all."""
    name, kind = run.key_name or "row", run.key_kind or KeyKind.ROW
    own = ports.task.arrow_schema()
    if own is None:
        own = await asyncio.to_thread(_found_schema, ports, await batches_with_parts(ports, run))
    else:
        own = await asyncio.to_thread(_sized, ports, own, await batches_with_parts(ports, run))
    return part_schema(name, kind, own).remove(0)


def _sized(ports: Ports, own: pa.Schema, batches: Sequence[Batch]) -> pa.Schema:
    """The task's schema, with the size of its vectors if they are all of one."""
    import pyarrow as pa

    for at, field in enumerate(own):
        if is_vector(field.type):
            size = size_of(piece.column(field.name) for batch in batches for piece in _pieces(ports, batch))
            if size is not None:
                own = own.set(at, pa.field(field.name, pa.list_(pa.float32(), size)))
    return own


def _found_schema(ports: Ports, batches: Sequence[Batch]) -> pa.Schema:
    import pyarrow as pa

    schemas = []
    for batch in batches:
        for piece in _pieces(ports, batch):
            values = [msgspec.json.decode(text) for text in piece.column(LOOSE).to_pylist()]
            schemas.append(_schema_of(values))
    if not schemas:
        return pa.schema([])
    try:
        return pa.unify_schemas(schemas, promote_options="permissive")
    except pa.ArrowInvalid:
        pass
    except pa.ArrowTypeError:
        pass
    names = dict.fromkeys(name for schema in schemas for name in schema.names)
    return pa.schema([pa.field(name, pa.string()) for name in names])


def _schema_of(values: Sequence[dict[str, Any]]) -> pa.Schema:
    """Columns by name; one whose values are of several kinds is JSON text."""
    import pyarrow as pa

    fields = []
    for name in dict.fromkeys(name for value in values for name in value):
        try:
            kind = pa.infer_type([value.get(name) for value in values])
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            kind = pa.string()
        fields.append(pa.field(name, kind))
    return pa.schema(fields)


def _shaped(piece: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """A part's rows with the delivered columns, the number still in front."""
    import pyarrow as pa

    whole = schema.insert(0, pa.field(SEQ, pa.int64()))
    if LOOSE not in piece.schema.names:
        pairs = zip(piece.columns, whole, strict=True)
        return pa.record_batch([_of_type(column, field.type) for column, field in pairs], schema=whole)
    values = [msgspec.json.decode(text) for text in piece.column(LOOSE).to_pylist()]
    fields = schema.names[1 : -len(META)]
    loose = []
    for name in fields:
        kind = schema.field(name).type
        column = [value.get(name) for value in values]
        if pa.types.is_string(kind):
            column = [
                each if isinstance(each, str | None) else msgspec.json.encode(each).decode()
                for each in column
            ]
        loose.append(pa.array(column, type=kind))
    front, back = piece.columns[:2], piece.columns[-len(META) :]
    return pa.record_batch([*front, *loose, *back], schema=whole)


def _of_type(column: pa.Array, kind: pa.DataType) -> pa.Array:
    sized = is_vector(kind) and not column.type.equals(kind)
    return of_size(column, kind.list_size) if sized else column
