"""Requests that are the same as an earlier one. They are exceptions: a run without any has no row here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from nightmail.core.answer_index import AnswerIndex, Found
from nightmail.core.failure import Reason
from nightmail.core.lifecycle import RequestEvent, move_request
from nightmail.core.request import RequestState
from nightmail.errors import IllegalMove
from nightmail.stores.base import Address, Failure, Key, Lease
from nightmail.stores.base_copies import CopyCounts, DueCopy, Kept, Same, Shared, Told
from nightmail.stores.database import Database, Transaction, at
from nightmail.stores.rows import address_of
from nightmail.stores.stretches import between, keys_of
from nightmail.stores.tallies import add_tally, move_tally


class SqliteCopies:
    """See `nightmail.stores.base_copies.Copies`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def kept(self, run_no: int, shard_no: int) -> Kept | None:
        row = await self._database.read(lambda tx: tx.row("read_digests", run_no=run_no, shard_no=shard_no))
        return Kept(row["digests"], row["lengths"]) if row else None

    async def due(self, run_no: int, *, after: int, limit: int) -> Sequence[DueCopy]:
        def work(tx: Transaction) -> list[DueCopy]:
            rows = tx.each("list_due_copies", run_no=run_no, after=after, limit=limit)
            return _with_answers(tx, run_no, list(rows))

        return await self._database.read(work)

    async def record_shared(self, lease: Lease, shared: Shared, *, now: datetime) -> None:
        def work(tx: Transaction) -> None:
            tx.fence(lease)
            _answer(tx, lease.run_no, shared)
            _fail(tx, lease.run_no, shared.failed, now)
            _release(tx, lease.run_no, shared, now)
            rows = ((lease.run_no, each.seq) for each in shared.given_up)
            _moved(
                tx, lease.run_no, tx.many("give_up_copy", rows), len(shared.given_up), RequestEvent.GIVEN_UP
            )

        await self._database.write(work)

    async def first_of(self, run_no: int, seq: int) -> int | None:
        row = await self._database.read(lambda tx: tx.row("read_first", run_no=run_no, seq=seq))
        return row["of_seq"] if row else None

    async def count(self, run_no: int) -> CopyCounts:
        row = await self._database.read(lambda tx: tx.row("read_copy_counts", run_no=run_no))
        return CopyCounts(row["copies"], row["saved_pusd"]) if row else CopyCounts()

    async def parts(self, run_no: int, first: int, last: int) -> dict[int, str]:
        return dict(
            await self._database.read(
                lambda tx: tx.rows("list_copy_parts", _named, run_no=run_no, first=first, last=last)
            )
        )

    async def all_parts(self, run_no: int) -> Sequence[str]:
        return await self._database.read(lambda tx: tx.rows("list_parts_of_copies", str, run_no=run_no))


def insert_copies(tx: Transaction, run_no: int, shard_no: int, same: Same) -> None:
    """Inside the transaction of a shard, after its rows."""
    digests, lengths = same.kept
    tx.run("insert_digests", run_no=run_no, shard_no=shard_no, digests=digests, lengths=lengths)
    if same.copies:
        tx.many("insert_copy", ((run_no, seq, first) for seq, first in same.copies))
        following = tx.many("follow_one", ((run_no, seq) for seq, _ in same.copies))
        new = move_request(RequestState.READY, RequestEvent.FOLLOWED)
        move_tally(tx, run_no, RequestState.READY, new, following)
        tx.run("count_copies", run_no=run_no, n=following)


def follow_again(tx: Transaction, run_no: int) -> None:
    """Inside the transaction that makes failed requests ready: copies follow their firsts as before."""
    following = tx.run("follow_again", run_no=run_no)
    new = move_request(RequestState.READY, RequestEvent.FOLLOWED)
    move_tally(tx, run_no, RequestState.READY, new, following)


def save_revalidated(tx: Transaction, run_no: int, accepted: Sequence[Failure]) -> set[int]:
    """Inside the transaction that accepts failed requests after all: which of them are copies."""
    seqs = {each.seq for each in accepted}
    span = {"first": min(seqs, default=0), "last": max(seqs, default=0)}
    copies = seqs & set(tx.rows("list_copies", int, run_no=run_no, **span))
    tx.many("save_one", ((seq, run_no) for seq in copies))
    return copies


def _answer(tx: Transaction, run_no: int, shared: Shared) -> None:
    if not shared.answered:
        return
    assert shared.part is not None, "answered copies have their outputs in a part"
    path, size = shared.part
    tx.run("insert_file", run_no=run_no, path=path, bytes=size)
    row = tx.row("read_file_no", path=path)
    assert row is not None
    changed = tx.many(
        "answer_copy", ((each.batch_no, *_answer_of(each), run_no, each.seq) for each in shared.answered)
    )
    tx.many("name_part", ((row["file_no"], run_no, each.seq) for each in shared.answered))
    _moved(tx, run_no, changed, len(shared.answered), RequestEvent.SUCCEEDED)
    costs = [each.spent_pusd for each in shared.answered]
    known = [cost for cost in costs if cost is not None]
    tx.run("add_saved", run_no=run_no, saved=sum(known) if len(known) == len(costs) else None)


def _fail(tx: Transaction, run_no: int, failed: Sequence[Told], now: datetime) -> None:
    rows = (
        (told.reason, told.copy.batch_no, *_answer_of(told.copy), run_no, told.copy.seq) for told in failed
    )
    changed = tx.many("fail_copy", rows)
    _moved(tx, run_no, changed, len(failed), RequestEvent.FAILED)
    _tell(tx, run_no, failed, now)
    for reason, n in Counter(told.reason for told in failed).items():
        add_tally(tx, run_no, "reason", reason, n)


def _release(tx: Transaction, run_no: int, shared: Shared, now: datetime) -> None:
    released = shared.released
    if not released:
        return
    changed = tx.many("release_copy", ((run_no, each.seq) for each in released))
    # What is new is looked for behind what was planned last.
    tx.run("plan_from", run_no=run_no, seq=min(each.seq for each in released))
    tx.many("forget_copy", ((run_no, each.seq) for each in released))
    _moved(tx, run_no, changed, len(released), RequestEvent.RELEASED)
    tx.run("uncount_copies", run_no=run_no, n=changed)
    _tell(tx, run_no, shared.told, now)


def _moved(tx: Transaction, run_no: int, changed: int, wanted: int, event: RequestEvent) -> None:
    if changed != wanted:
        raise IllegalMove(f"{wanted - changed} of {wanted} copies did not follow any more")
    move_tally(tx, run_no, RequestState.FOLLOWING, move_request(RequestState.FOLLOWING, event), changed)


def _tell(tx: Transaction, run_no: int, told: Iterable[Told], now: datetime) -> None:
    tx.many(
        "insert_attempt",
        (
            (run_no, each.copy.seq, each.copy.batch_no, "shared", each.reason, each.message, None,
             *_answer_of(each.copy), 0, 0, 0, at(now))
            for each in told
        ),
    )  # fmt: skip


def _answer_of(copy: DueCopy) -> Sequence[int | None]:
    return copy.answer or (None, None, None)


def _with_answers(tx: Transaction, run_no: int, rows: Sequence[tuple[Any, ...]]) -> list[DueCopy]:
    """Where the answer that a first has succeeded with is, and what it took, is in its batch's index, if it
    was not judged anew; the key of one without a row is in its stretch."""
    wanted: dict[int, set[int]] = {}
    for _, _, first_seq, _, state, _, batch_no, *_ in rows:
        if state == RequestState.SUCCEEDED:
            wanted.setdefault(batch_no, set()).add(first_seq)
    found: dict[int, Found] = {}
    for batch_no, seqs in wanted.items():
        if (row := tx.row("read_answers", batch_no=batch_no)) is not None:
            found |= msgspec.msgpack.decode(row["packed"], type=AnswerIndex).find_all(seqs)
    keys = _keys(tx, run_no, [first_seq for _, _, first_seq, first_key, *_ in rows if first_key is None])
    return [
        _due_copy(seq, key, first_seq, keys.get(first_seq, first_key), *rest, found=found.get(first_seq))
        for seq, key, first_seq, first_key, *rest in rows
    ]


def _keys(tx: Transaction, run_no: int, seqs: Sequence[int]) -> dict[int, Key]:
    found: dict[int, Key] = {}
    if seqs:
        for stretch in between(tx, run_no, min(seqs), max(seqs)):
            mine = [seq for seq in seqs if stretch.first_seq <= seq <= stretch.last_seq]
            if mine:
                keys = keys_of(tx, stretch)
                found |= {seq: keys[stretch.at(seq)] for seq in mine}
    return found


def _due_copy(
    seq: int,
    key: Key,
    first_seq: int,
    first_key: Key,
    state: str,
    reason: str | None,
    batch_no: int | None,
    file_no: int,
    answer_file_no: int | None,
    offset: int | None,
    length: int | None,
    spent_pusd: int | None,
    *,
    found: Found | None,
) -> DueCopy:
    answer = address_of(answer_file_no, offset, length)
    if found is not None:
        answer = Address(found.file_no, found.offset, found.length)
        known = spent_pusd is not None and found.cost_pusd is not None
        spent_pusd = (spent_pusd or 0) + (found.cost_pusd or 0) if known else None
    return DueCopy(
        seq, key, first_seq, first_key, RequestState(state), Reason(reason) if reason else None, batch_no,
        file_no, answer, spent_pusd,
    )  # fmt: skip


def _named(seq: int, path: str) -> tuple[int, str]:
    return seq, path
