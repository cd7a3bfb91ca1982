"""What goes into batches and comes out of them: the requests that are ready for one, those that are in one
and where their lines are, and where the answers are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from nightmail.core.answer_index import AnswerIndex
from nightmail.core.batch import Batch
from nightmail.core.planning import Item
from nightmail.core.request import Endpoint, RequestState
from nightmail.core.retry import LONGEST_DELAY
from nightmail.stores.base import Address, Asked, Before, Group, Key, Member, Ready, RequestRow
from nightmail.stores.database import Transaction, at
from nightmail.stores.rows import request_of, span_of


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


def read_members(tx: Transaction, batch: Batch, seqs: Sequence[int] | None) -> list[Member]:
    """All that wait for an outcome, or those of them with these numbers."""
    if seqs is None:
        return tx.rows("list_members", Member, **span_of(batch))
    wanted = msgspec.json.encode(seqs).decode()
    return tx.rows("list_some_members", Member, run_no=batch.run_no, batch_no=batch.batch_no, seqs=wanted)


def read_asked(tx: Transaction, batch: Batch) -> Asked:
    """The same in columns; two looks at the rows cost less than reading all of each."""
    seqs: list[int] = []
    keys: list[Key] = []
    tokens: list[int] = []
    for seq, key, counted in tx.each("list_asked", **span_of(batch)):
        seqs.append(seq)
        keys.append(key)
        tokens.append(counted)
    before = {seq: Before(*rest) for seq, *rest in tx.each("list_asked_before", **span_of(batch))}
    return Asked(seqs=seqs, keys=keys, tokens=tokens, before=before)


def read_request(tx: Transaction, run_no: int, seq: int) -> RequestRow | None:
    """One request. What an accepted answer took is not in its row; an answer that was judged anew is where
    it was when it failed."""
    row = tx.row("read_request", run_no=run_no, seq=seq)
    if row is None:
        return None
    if row["state"] != RequestState.SUCCEEDED:
        return request_of(row)
    packed = tx.row("read_answers", batch_no=row["batch_no"])
    found = packed and msgspec.msgpack.decode(packed["packed"], type=AnswerIndex).find(seq)
    return request_of(row, found or None)


def read_ranges(tx: Transaction, batch: Batch) -> list[Address]:
    """Where a batch's lines are, in the order of its requests: whole stretches of files where nothing else
    lies between, for lines of one file are in the order of their requests."""
    found: list[Address] = []
    beyond = 0
    for row in tx.rows("list_ranges", **span_of(batch)):
        if row["beyond"] - row["first"] != row["bytes"] or row["first_seq"] < beyond:
            return tx.rows("list_lines", Address, **span_of(batch))
        found.append(Address(row["file_no"], row["first"], row["bytes"]))
        beyond = row["last_seq"]
    return found
