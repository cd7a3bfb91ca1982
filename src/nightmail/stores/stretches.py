"""Consecutive requests of which the same is true, kept as one row.

Most requests of a run have the story of their neighbours: they are built together, travel in one batch and
succeed with it. A row for each, written once and moved twice, took the store four microseconds a request. So
a request is in a stretch until something is to be said of it alone, and has a row of its own from then on.
Until it has succeeded a stretch is whole; of one that has, those which did not have rows.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence, Set
from itertools import accumulate, compress, groupby, repeat
from typing import NamedTuple

import msgspec

from nightmail.core.batch import Batch
from nightmail.core.request import RequestState
from nightmail.stores.base import Key, ReadyRows
from nightmail.stores.database import Transaction

# Fewer than these are rows: a stretch takes as long to write and to read as so many of them.
SHORTEST = 8


class Stretch(NamedTuple):
    """As the table has it; `rest` is how many of its requests have no row of their own."""

    stretch_no: int
    first_seq: int
    last_seq: int
    state: str
    group_no: int
    batch_no: int | None
    file_no: int
    offset: int
    bytes: int
    rest: int

    @property
    def is_whole(self) -> bool:
        return self.rest == self.last_seq - self.first_seq + 1

    def at(self, seq: int) -> int:
        """The place of a request in the columns."""
        return seq - self.first_seq


class Sizes(msgspec.Struct, frozen=True, array_like=True):
    """What planning and sending must know of each; `inputs` is empty where each has one."""

    tokens: list[int]
    lengths: list[int]
    inputs: list[int] = []

    def each_inputs(self) -> list[int]:
        return self.inputs or [1] * len(self.tokens)

    def between(self, begin: int, end: int) -> Sizes:
        return Sizes(self.tokens[begin:end], self.lengths[begin:end], self.inputs[begin:end])


_read_sizes = msgspec.msgpack.Decoder(Sizes).decode
_read_keys = msgspec.msgpack.Decoder(list[Key]).decode


def insert_ready(
    tx: Transaction, run_no: int, file_no: int, ready: ReadyRows, *, apart: Set[int], alone: bool
) -> None:
    """New requests, those `apart` as rows; all if each is to be `alone`."""
    offsets = list(accumulate(ready.lengths, initial=0))
    rows = bytearray(len(ready.seqs))
    for begin, end in [(0, len(rows))] if alone else _alike(ready, apart):
        if alone or end - begin < SHORTEST or ready.seqs[begin] in apart:
            rows[begin:end] = b"\1" * (end - begin)
            continue
        tokens, lengths, inputs = (
            column[begin:end] for column in (ready.tokens, ready.lengths, ready.inputs)
        )
        sizes = Sizes(tokens, lengths, [] if inputs.count(1) == len(inputs) else inputs)
        first = ready.seqs[begin]
        _insert(
            tx, run_no, first, RequestState.READY, ready.group_nos[begin], None, file_no, offsets[begin],
            ready.keys[begin:end], sizes,
        )  # fmt: skip
    tx.many(
        "insert_ready",
        compress(
            zip(
                repeat(run_no), ready.seqs, ready.keys, ready.group_nos, ready.tokens, ready.inputs,
                repeat(file_no), offsets, ready.lengths, strict=False,
            ),
            rows,
        ),
    )  # fmt: skip


def _alike(ready: ReadyRows, apart: Set[int]) -> Iterator[tuple[int, int]]:
    """Where consecutive requests of one group begin and end."""
    seqs, groups = ready.seqs, ready.group_nos
    if not seqs:
        return
    if not apart and seqs[-1] - seqs[0] + 1 == groups.count(groups[0]) == len(seqs):
        yield 0, len(seqs)
        return
    begin = 0
    for _, run in groupby(
        enumerate(seqs), lambda each: (each[1] - each[0], groups[each[0]], each[1] in apart)
    ):
        end = begin + len(list(run))
        yield begin, end
        begin = end


def put_in_batch(tx: Transaction, run_no: int, seqs: Sequence[int], batch_no: int) -> tuple[int, list[int]]:
    """Put those of these new requests that are in stretches into a batch, inside a transaction: how many, and
    the others, which have rows. `seqs` ascend."""
    span = {"first": seqs[0], "last": seqs[-1]}
    moved: list[int] = []
    others: list[int] = []
    done = count = 0
    for stretch in tx.rows("list_ready_stretches_between", Stretch, run_no=run_no, **span):
        first, last = max(stretch.first_seq, seqs[0]), min(stretch.last_seq, seqs[-1])
        begin, end = bisect_left(seqs, first), bisect_right(seqs, last)
        if end - begin != last - first + 1:
            if end > begin:
                unpack(tx, run_no, [stretch])
            continue
        if first > stretch.first_seq:
            stretch = _cut(tx, run_no, stretch, first)
        if last < stretch.last_seq:
            _cut(tx, run_no, stretch, last + 1)
        moved.append(stretch.stretch_no)
        others += seqs[done:begin]
        done, count = end, count + end - begin
    tx.many("batch_stretch", ((batch_no, number) for number in moved))
    return count, [*others, *seqs[done:]]


def settle_members(tx: Transaction, batch: Batch, set_back: Iterable[int]) -> int:
    """All but these of a batch's stretches succeed, inside a transaction; how many. These have rows then, in
    the batch as before."""
    stretches = of_batch(tx, batch.batch_no)
    if not stretches:
        return 0
    seqs = sorted(set_back)
    succeeded = 0
    for stretch in stretches:
        begin, end = bisect_left(seqs, stretch.first_seq), bisect_right(seqs, stretch.last_seq)
        rest = stretch.rest - (end - begin)
        if end > begin:
            _insert_rows(tx, batch.run_no, stretch, seqs[begin:end])
        if rest:
            tx.run("succeed_stretch", stretch_no=stretch.stretch_no, rest=rest)
        else:
            _delete(tx, stretch)
        succeeded += rest
    return succeeded


def unpack(tx: Transaction, run_no: int, stretches: Iterable[Stretch]) -> None:
    """Give each request of whole stretches a row of its own, inside a transaction."""
    for stretch in stretches:
        _insert_rows(tx, run_no, stretch, range(stretch.first_seq, stretch.last_seq + 1))
        _delete(tx, stretch)


def unpack_ready(tx: Transaction, run_no: int, seqs: Sequence[int]) -> None:
    """The same for those ready stretches that have one of these requests."""
    if not seqs:
        return
    span = {"first": min(seqs), "last": max(seqs)}
    ready = tx.rows("list_ready_stretches_between", Stretch, run_no=run_no, **span)
    unpack(
        tx, run_no, [each for each in ready if any(each.first_seq <= seq <= each.last_seq for seq in seqs)]
    )


def of_batch(tx: Transaction, batch_no: int) -> list[Stretch]:
    """Those whose requests wait for an outcome in a batch."""
    return tx.rows("list_stretches_of_batch", Stretch, batch_no=batch_no)


def between(tx: Transaction, run_no: int, first: int, last: int, state: str | None = None) -> list[Stretch]:
    """Those that have a request numbered first to last."""
    return tx.rows("list_stretches_between", Stretch, run_no=run_no, first=first, last=last, state=state)


def numbers_of(tx: Transaction, run_no: int, stretch: Stretch, first: int, last: int) -> Sequence[int]:
    """Its requests numbered first to last that have no row of their own."""
    first, last = max(first, stretch.first_seq), min(last, stretch.last_seq)
    if stretch.is_whole:
        return range(first, last + 1)
    own = set(tx.rows("list_own_rows", int, run_no=run_no, first=first, last=last))
    return [seq for seq in range(first, last + 1) if seq not in own]


def keys_of(tx: Transaction, stretch: Stretch) -> list[Key]:
    row = tx.row("read_stretch_keys", stretch_no=stretch.stretch_no)
    assert row is not None
    return _read_keys(row["keys"])


def sizes_of(tx: Transaction, stretch: Stretch) -> Sizes:
    row = tx.row("read_stretch_sizes", stretch_no=stretch.stretch_no)
    assert row is not None
    return _read_sizes(row["sizes"])


def _insert(
    tx: Transaction,
    run_no: int,
    first: int,
    state: str,
    group_no: int,
    batch_no: int | None,
    file_no: int,
    offset: int,
    keys: Sequence[Key],
    sizes: Sizes,
) -> int:
    number = tx.insert(
        "insert_stretch",
        run_no=run_no,
        first_seq=first,
        last_seq=first + len(keys) - 1,
        state=state,
        group_no=group_no,
        batch_no=batch_no,
        file_no=file_no,
        offset=offset,
        bytes=sum(sizes.lengths),
    )
    tx.run("insert_stretch_columns", stretch_no=number, **_packed(keys, sizes))
    return number


def _packed(keys: Sequence[Key], sizes: Sizes) -> dict[str, bytes]:
    return {"keys": msgspec.msgpack.encode(keys), "sizes": msgspec.msgpack.encode(sizes)}


def _cut(tx: Transaction, run_no: int, stretch: Stretch, seq: int) -> Stretch:
    """Let a whole stretch end before a request, which is the first of a new one then; the new one."""
    keys, sizes, at = keys_of(tx, stretch), sizes_of(tx, stretch), stretch.at(seq)
    left = sizes.between(0, at)
    taken = sum(left.lengths)
    tx.run("shrink_stretch", stretch_no=stretch.stretch_no, last_seq=seq - 1, bytes=taken)
    tx.run("replace_stretch_columns", stretch_no=stretch.stretch_no, **_packed(keys[:at], left))
    number = _insert(
        tx, run_no, seq, stretch.state, stretch.group_no, stretch.batch_no, stretch.file_no,
        stretch.offset + taken, keys[at:], sizes.between(at, len(keys)),
    )  # fmt: skip
    return stretch._replace(
        stretch_no=number, first_seq=seq, offset=stretch.offset + taken, bytes=stretch.bytes - taken,
        rest=stretch.last_seq - seq + 1,
    )  # fmt: skip


def _insert_rows(tx: Transaction, run_no: int, stretch: Stretch, seqs: Iterable[int]) -> None:
    keys, sizes = keys_of(tx, stretch), sizes_of(tx, stretch)
    offsets = list(accumulate(sizes.lengths, initial=stretch.offset))
    tx.many(
        "insert_member",
        (
            (
                run_no, seq, keys[at], stretch.state, stretch.group_no, stretch.batch_no, sizes.tokens[at],
                sizes.inputs[at] if sizes.inputs else 1, stretch.file_no, offsets[at], sizes.lengths[at],
            )
            for seq, at in ((seq, stretch.at(seq)) for seq in seqs)
        ),
    )  # fmt: skip


def _delete(tx: Transaction, stretch: Stretch) -> None:
    tx.run("delete_stretch_columns", stretch_no=stretch.stretch_no)
    tx.run("delete_stretch", stretch_no=stretch.stretch_no)
