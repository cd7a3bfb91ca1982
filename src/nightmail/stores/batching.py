"""What goes into batches: the requests that are ready for one, and where the lines of a batch's are."""

from __future__ import annotations

from datetime import datetime

from nightmail.core.batch import Batch
from nightmail.core.planning import Item
from nightmail.core.request import Endpoint
from nightmail.core.retry import LONGEST_DELAY
from nightmail.stores.base import Address, Group, Ready
from nightmail.stores.database import Transaction, at


def read_ready(tx: Transaction, run_no: int, now: datetime, limit: int) -> list[Ready]:
    """Those asked again first, then the new; apart, so that a batch of new requests stays a range of
    numbers."""
    run = tx.row("read_run_by_number", run_no=run_no)
    assert run is not None
    groups = [
        Group(row["group_no"], row["model"], Endpoint(row["endpoint"]))
        for row in tx.rows("list_groups", run_no=run_no)
    ]
    again: dict[int, list[Item]] = {}
    latest = at(now + LONGEST_DELAY)
    for seq, group_no, *sizes in tx.rows(
        "list_again", run_no=run_no, now=at(now), latest=latest, limit=limit
    ):
        again.setdefault(group_no, []).append(Item(seq, *sizes))
    ready = [Ready(group, again[group.group_no]) for group in groups if group.group_no in again]
    after = run["planned_seq"]
    for group in groups:
        left = limit - sum(len(each.items) for each in ready)
        new = tx.rows("list_new", Item, run_no=run_no, after=after, group_no=group.group_no, limit=left)
        if new:
            ready.append(Ready(group, new))
    return ready


def read_ranges(tx: Transaction, batch: Batch) -> list[Address]:
    """Where a batch's lines are, in the order of its requests: whole stretches of files where nothing else
    lies between, for lines of one file are in the order of their requests."""
    span = {"run_no": batch.run_no, "first": batch.first_seq, "last": batch.last_seq}
    found: list[Address] = []
    beyond = 0
    for row in tx.rows("list_ranges", **span, batch_no=batch.batch_no):
        if row["beyond"] - row["first"] != row["bytes"] or row["first_seq"] < beyond:
            return tx.rows("list_lines", Address, **span, batch_no=batch.batch_no)
        found.append(Address(row["file_no"], row["first"], row["bytes"]))
        beyond = row["last_seq"]
    return found
