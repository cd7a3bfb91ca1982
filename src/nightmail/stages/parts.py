"""Output parts: the accepted outputs of one batch as an Arrow file in the spool.

A part is written before its batch is settled and is rewritten, with the same rows, if a crash comes
between. `deliver` puts the parts together; only rows that the store calls succeeded in that batch count.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from nightmail.core.run import KeyKind
from nightmail.spool import Spool
from nightmail.stages.vectors import column_of

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_AT_ONCE = 5_000
SEQ = "_seq"
# Where the task's outputs have no schema of their own, a part keeps them as JSON and `deliver` finds one.
LOOSE = "_json"
META = ("_model", "_attempts", "_input_tokens", "_output_tokens", "_cost_usd")


def part_name(run_id: str, batch_no: int) -> str:
    return f"{run_id}/outputs/{batch_no}.arrow"


def part_names(spool: Spool, run_id: str, batch_no: int) -> list[str]:
    """All parts of a batch in their order: the one written when it was settled, and one for each time that
    failed answers were judged anew. Where several have a record, the last is right: one before it was left
    by a crash, and judged by a task that may have changed since."""
    folder = spool.path(f"{run_id}/outputs")
    names = [f"{run_id}/outputs/{path.name}" for path in folder.glob(f"{batch_no}.again-*.arrow")]
    first = part_name(run_id, batch_no)
    return [*([first] if spool.exists(first) else []), *sorted(names)]


def next_part_name(spool: Spool, run_id: str, batch_no: int, token: str) -> str:
    """The name of the next part of answers that are judged anew; `token` is nobody else's."""
    number = len(part_names(spool, run_id, batch_no))
    return f"{run_id}/outputs/{batch_no}.again-{number:06}-{token}.arrow"


def copies_part_name(run_id: str, token: str) -> str:
    """A part of outputs that copies got from others' answers; `token` is nobody else's."""
    return f"{run_id}/outputs/copies-{token}.arrow"


def batch_no_in(name: str) -> int | None:
    """Whose part this is; None for one of copies."""
    number = name.rpartition("/")[2].partition(".")[0]
    return int(number) if number.isdigit() else None


def part_schema(key_name: str, key_kind: KeyKind, outputs: pa.Schema | None) -> pa.Schema:
    """The columns of a part: number, key, the output's fields, what it took."""
    import pyarrow as pa

    key_type = pa.string() if key_kind is KeyKind.TEXT else pa.int64()
    fields = list(outputs) if outputs is not None else [pa.field(LOOSE, pa.string())]
    return pa.schema(
        [
            pa.field(SEQ, pa.int64()),
            pa.field(key_name, key_type),
            *fields,
            pa.field("_model", pa.string()),
            pa.field("_attempts", pa.int64()),
            pa.field("_input_tokens", pa.int64()),
            pa.field("_output_tokens", pa.int64()),
            pa.field("_cost_usd", pa.float64()),
        ]
    )


class PartWriter:
    """Accepted outputs in, some thousands at a time, each time a record batch out. Columns, since a row that
    is an object of its own is one more for the interpreter to look at whenever it looks for garbage."""

    def __init__(self, writer: pa.ipc.RecordBatchFileWriter, schema: pa.Schema) -> None:
        self._writer = writer
        self._schema = schema
        self._loose = LOOSE in schema.names
        self._outputs = schema.names[2 : -len(META)]

    def add(
        self,
        seqs: Sequence[int],
        keys: Sequence[int | str],
        outputs: Sequence[dict[str, Any]],
        meta: Sequence[Sequence[Any]],
    ) -> None:
        """Outputs by their fields, best `ROWS_AT_ONCE` of them; `meta` are the columns of `META`."""
        import pyarrow as pa

        if self._loose:
            outputs = [{LOOSE: msgspec.json.encode(each, enc_hook=list).decode()} for each in outputs]
        fields = [[each.get(name) for each in outputs] for name in self._outputs]
        arrays = [
            column_of(values, field.type)
            for values, field in zip([seqs, keys, *fields, *meta], self._schema, strict=True)
        ]
        self._writer.write_batch(pa.record_batch(arrays, schema=self._schema))


@contextlib.contextmanager
def writing(spool: Spool, name: str, schema: pa.Schema) -> Iterator[PartWriter]:
    """A part that appears under `name` when the block ends without an exception."""
    import pyarrow as pa

    with spool.replacing(name) as file, pa.ipc.new_file(file, schema) as writer:
        yield PartWriter(writer, schema)


def read_part(spool: Spool, name: str) -> Iterator[pa.RecordBatch]:
    """The record batches of a part, mapped rather than read."""
    import pyarrow as pa

    with pa.memory_map(str(spool.path(name))) as mapped:
        reader = pa.ipc.open_file(mapped)
        for number in range(reader.num_record_batches):
            yield reader.get_batch(number)
