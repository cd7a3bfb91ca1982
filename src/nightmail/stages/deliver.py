"""outputs -> sink: put the parts together, in the order of the source, into one file; and the failures.

Windows of consecutive records bound the memory. A row counts only if the store says that its record
succeeded in that part's batch, or names the part for it; and every record that succeeded must have its row:
a lost part is an error, not a shorter file. The files appear whole, by rename; doing it again gives the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from nightmail.core.request import RequestState
from nightmail.core.run import KeyKind, Run
from nightmail.errors import StoreError
from nightmail.sinks.base import Sink
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
        if not await _written(windows(ports, run, schema), sink, stop):
            await asyncio.to_thread(sink.abort)
            return False
        await asyncio.to_thread(sink.close)
    except BaseException:
        await asyncio.to_thread(sink.abort)
        raise
    await write_failures(ports, run, failures_path(output))
    return True


async def _written(tables: AsyncIterator[pa.Table], sink: Sink, stop: asyncio.Event | None) -> bool:
    """Write them all, each while the next is read; False if `stop` was set before the end."""
    writing: asyncio.Future[None] | None = None
    try:
        async for table in tables:
            if stop is not None and stop.is_set():
                return False
            if writing is not None:
                await asyncio.shield(writing)
            writing = asyncio.ensure_future(asyncio.to_thread(_write, sink, table))
        if writing is not None:
            await asyncio.shield(writing)
        return True
    finally:
        # A thread that still writes would meet a sink that is being ended.
        if writing is not None:
            await asyncio.wait([writing])


def _write(sink: Sink, table: pa.Table) -> None:
    for batch in table.to_batches():
        sink.write(batch)


def failures_path(output: Path) -> Path:
    """`answers.parquet` -> `answers.failures.jsonl`, beside it."""
    name = output.name
    for suffix in (".gz", ".zst", *([output.suffix] if output.suffix not in (".gz", ".zst") else [])):
        name = name.removesuffix(suffix)
    return output.with_name(f"{Path(name).stem if Path(name).suffix else name}.failures.jsonl")


async def windows(ports: Ports, run: Run, schema: pa.Schema) -> AsyncIterator[pa.Table]:
    """The accepted outputs in the order of the source, some tens of thousands of rows at a time."""
    rows = (await ports.store.requests.count(run.run_no)).states.get(RequestState.SUCCEEDED)
    if not rows:
        return
    size = await asyncio.to_thread(_size, ports, await _parts(ports, run))
    step = max(100, min(WINDOW_ROWS, WINDOW_BYTES * rows // max(1, size)))
    for first in range(1, run.record_count + 1, step):
        last = first + step - 1
        counts = await ports.store.requests.count_successes(run.run_no, first, last)
        if not counts:
            continue
        copies = await ports.store.copies.parts(run.run_no, first, last)
        table = None
        if not copies:
            table = await asyncio.to_thread(_whole_window, ports, counts, first, last, schema)
        if table is None:
            wanted = await ports.store.requests.list_successes(run.run_no, first, last)
            table = await asyncio.to_thread(_window, ports, wanted, copies, schema)
        yield table


async def _parts(ports: Ports, run: Run) -> list[str]:
    """Every part that the store may name a row of."""
    batches = [batch for batch in await ports.store.batches.list(run.run_no) if batch.settled_at is not None]
    copies = await ports.store.copies.all_parts(run.run_no)
    return [*await asyncio.to_thread(_parts_of, ports, [batch.batch_no for batch in batches]), *copies]


def _parts_of(ports: Ports, batch_nos: Iterable[int]) -> list[str]:
    return [name for each in batch_nos for name in part_names(ports.spool, ports.run_id, each)]


def _pieces(ports: Ports, names: Iterable[str]) -> Iterator[pa.RecordBatch]:
    for name in names:
        yield from read_part(ports.spool, name)


def _size(ports: Ports, names: Iterable[str]) -> int:
    return sum(ports.spool.size(name) for name in names)


def _whole_window(
    ports: Ports, counts: Mapping[int, int], first: int, last: int, schema: pa.Schema
) -> pa.Table | None:
    """The rows numbered first to last, if the parts of each batch have as many as the store counts: since
    every succeeded record is in a part of its batch, these are they. None if there are others too, of a
    judgement that came to nothing; then each has to be looked up."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = []
    for batch_no, count in counts.items():
        for piece in _pieces(ports, _parts_of(ports, [batch_no])):
            numbers = piece.column(SEQ)
            ends = pc.min_max(numbers)
            low, high = ends["min"].as_py(), ends["max"].as_py()
            if low is None or high < first or low > last:
                continue
            mine = piece
            if low < first or high > last:
                mine = piece.filter(pc.and_(pc.greater_equal(numbers, first), pc.less_equal(numbers, last)))
            if mine.num_rows:
                found.append(_shaped(mine, schema))
            count -= mine.num_rows
        if count:
            return None
    return _in_order(pa.Table.from_batches(found))


def _in_order(table: pa.Table) -> pa.Table:
    import pyarrow.compute as pc

    numbers = table.column(SEQ)
    # What is in order already is not copied.
    if not pc.all(pc.greater(numbers[1:], numbers[:-1]), min_count=0).as_py():
        table = table.sort_by(SEQ)
    return table.drop_columns([SEQ])


def _last_of_each(pieces: Sequence[pa.RecordBatch]) -> pa.Table:
    """One row for each record, that of the last part which has one."""
    import pyarrow as pa

    table = pa.Table.from_batches(pieces)
    last = {seq: at for at, seq in enumerate(table.column(SEQ).to_pylist())}
    return table if len(last) == table.num_rows else table.take(list(last.values()))


def _window(
    ports: Ports, wanted: Sequence[tuple[int, int]], copies: Mapping[int, str], schema: pa.Schema
) -> pa.Table:
    """The rows of succeeded records, each from the part of its batch, or of its own if it is one of the
    `copies`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    by_place: dict[int | str, list[int]] = {}
    for seq, batch_no in wanted:
        by_place.setdefault(copies.get(seq, batch_no), []).append(seq)
    found = []
    for place, numbers in by_place.items():
        seqs = pa.array(numbers, type=pa.int64())
        names = [place] if isinstance(place, str) else _parts_of(ports, [place])
        for piece in _pieces(ports, names):
            mine = piece.filter(pc.is_in(piece.column(SEQ), value_set=seqs))
            if mine.num_rows:
                found.append(_shaped(mine, schema))
    table = _last_of_each(found) if found else None
    if table is None or table.num_rows != len(wanted):
        parts, rows = ports.spool.path(ports.run_id) / "outputs", 0 if table is None else table.num_rows
        raise StoreError(
            f"run {ports.run_id}: {len(wanted)} records between {wanted[0][0]} and {wanted[-1][0]} have "
            f"succeeded, but the parts under {parts} hold {rows} of them"
        )
    return _in_order(table)


async def final_schema(ports: Ports, run: Run) -> pa.Schema:
    """The columns of the delivered file. Where the task's outputs have no schema of their own, one is
    found that holds them all."""
    name, kind = run.key_name or "row", run.key_kind or KeyKind.ROW
    own = ports.task.arrow_schema()
    if own is None:
        own = await asyncio.to_thread(_found_schema, ports, await _parts(ports, run))
    elif any(is_vector(field.type) for field in own):
        own = await asyncio.to_thread(_sized, ports, own, await _parts(ports, run))
    return part_schema(name, kind, own).remove(0)


def _sized(ports: Ports, own: pa.Schema, names: Sequence[str]) -> pa.Schema:
    """The task's schema, with the size of its vectors if they are all of one."""
    import pyarrow as pa

    for at, field in enumerate(own):
        if is_vector(field.type):
            size = size_of(piece.column(field.name) for piece in _pieces(ports, names))
            if size is not None:
                own = own.set(at, pa.field(field.name, pa.list_(pa.float32(), size)))
    return own


def _found_schema(ports: Ports, names: Sequence[str]) -> pa.Schema:
    import pyarrow as pa

    schemas = []
    for piece in _pieces(ports, names):
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
    columns = dict.fromkeys(name for schema in schemas for name in schema.names)
    return pa.schema([pa.field(name, pa.string()) for name in columns])


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
