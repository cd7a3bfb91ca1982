"""What becomes of pages of records that are handed in together: each is taken whole, or not at all.

Many pages are one transaction, and its statements are as many as there are queues in it, not pages: what a
page finds there is what was there before and what pages before it have put there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from nightmail.core.intake import IntakeSpec
from nightmail.errors import LeaseLost
from nightmail.stores.base_intakes import HandedPage, Taken
from nightmail.stores.database import Transaction

Row = tuple[Any, ...]


@dataclass(slots=True)
class _Queue:
    """An intake as the pages so far have left it."""

    last_seq: int
    waiting: int
    closed: bool
    most: int
    new: int = 0
    tokens: int = 0


def take(tx: Transaction, pages: Sequence[HandedPage], now: str) -> list[Taken]:
    """What became of each page. Raises `LeaseLost` if a segment that they are in was retired."""
    segments = {page.segment_no for page in pages}
    said = msgspec.json.encode(list(segments)).decode()
    if set(tx.rows("held_segments", int, segments=said)) != segments:
        raise LeaseLost("a segment was retired by another process while this one wrote to it")
    known: dict[tuple[int, str], dict[str, bytes]] = {}
    for owner in {(page.intake_no, page.tenant or "") for page in pages}:
        keys = [each.key for page in pages if (page.intake_no, page.tenant or "") == owner
                for each in page.records]  # fmt: skip
        said = msgspec.json.encode(keys).decode()
        known[owner] = dict(
            tx.rows("known_records", lambda *row: row, intake_no=owner[0], tenant=owner[1], keys=said)
        )
    queues = {number: _read(tx, number) for number in {page.intake_no for page in pages}}
    rows: list[Row] = []
    taken = [
        _take(page, queues[page.intake_no], known[page.intake_no, page.tenant or ""], rows, now)
        for page in pages
    ]
    tx.many("insert_intake_records", rows)
    for number, queue in queues.items():
        if queue.new:
            tx.run("grow_intake", intake_no=number, last_seq=queue.last_seq, records=queue.new,
                   tokens=queue.tokens)  # fmt: skip
    return taken


def _read(tx: Transaction, intake_no: int) -> _Queue:
    row = tx.row("read_intake_queue", intake_no=intake_no)
    assert row is not None
    most = msgspec.json.decode(row["spec"], type=IntakeSpec).max_waiting
    return _Queue(row["last_seq"], row["waiting"], bool(row["closed"]), most)


def _take(page: HandedPage, queue: _Queue, known: dict[str, bytes], rows: list[Row], now: str) -> Taken:
    conflicts = [each.key for each in page.records if known.get(each.key, each.digest) != each.digest]
    if conflicts:
        return Taken(0, 0, queue.waiting, conflicts=conflicts)
    new = [each for each in page.records if each.key not in known]
    if new and (queue.closed or queue.waiting + len(new) > queue.most):
        return Taken(0, 0, queue.waiting, full=not queue.closed, closed=queue.closed)
    tenant = page.tenant or ""
    for seq, each in enumerate(new, queue.last_seq + 1):
        rows.append((page.intake_no, seq, tenant, each.key, each.digest, page.priority, each.tokens,
                     page.segment_no, each.offset, each.length, now))  # fmt: skip
        known[each.key] = each.digest
        queue.tokens += each.tokens
    queue.last_seq += len(new)
    queue.waiting += len(new)
    queue.new += len(new)
    return Taken(len(new), len(page.records) - len(new), queue.waiting)
