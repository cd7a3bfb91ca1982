"""What goes into batches and comes out of them: the requests that are ready for one, those that are in one
and where their lines are, and which have succeeded. Of each there are rows and stretches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from itertools import accumulate
from operator import attrgetter, itemgetter

import msgspec

from nightmail.core.batch import Batch
from nightmail.core.planning import Items
from nightmail.core.request import Endpoint, RequestState
from nightmail.core.retry import LONGEST_DELAY
from nightmail.stores.base import Address, Asked, Before, Group, Key, Member, Ready
from nightmail.stores.database import Transaction, at
from nightmail.stores.rows import span_of
from nightmail.stores.stretches import Stretch, between, keys_of, numbers_of, of_batch, sizes_of


def read_ready(tx: Transaction, run_no: int, now: datetime, limit: int) -> list[Ready]:
    """Those asked again first, then the new; apart, so that a batch of new requests stays a range of
    numbers."""
    run = tx.row("read_run_by_number", run_no=run_no)
    assert run is not None
    groups = [
        Group(row["group_no"], row["model"], Endpoint(row["endpoint"]))
        for row in tx.rows("list_groups", run_no=run_no)
    ]
    again: dict[int, Items] = {}
    latest = at(now + LONGEST_DELAY)
    for seq, group_no, *sizes in tx.rows(
        "list_again", run_no=run_no, now=at(now), latest=latest, limit=limit
    ):
        again.setdefault(group_no, Items()).add(seq, *sizes)
    ready = [Ready(group, again[group.group_no]) for group in groups if group.group_no in again]
    after = run["planned_seq"]
    for group in groups:
        left = limit - sum(len(each.items) for each in ready)
        new = _new(tx, run_no, group.group_no, after, left)
        if new.seqs:
            ready.append(Ready(group, new))
    return ready


def _new(tx: Transaction, run_no: int, group_no: int, after: int, limit: int) -> Items:
    key = {"run_no": run_no, "group_no": group_no}
    items = Items()
    for stretch in tx.rows("list_ready_stretches", Stretch, **key):
        if len(items) >= limit:
            break
        sizes = sizes_of(tx, stretch)
        items.seqs += range(stretch.first_seq, stretch.last_seq + 1)
        items.tokens += sizes.tokens
        items.bytes += sizes.lengths
        items.inputs += sizes.each_inputs()
    stretched = len(items)
    for row in tx.each("list_new", after=after, limit=limit, **key):
        items.add(*row)
    order: Sequence[int] = range(min(limit, len(items)))
    if 0 < stretched < len(items):
        order = sorted(range(len(items)), key=items.seqs.__getitem__)[:limit]
    elif len(items) <= limit:
        return items
    columns = (items.seqs, items.tokens, items.bytes, items.inputs)
    return Items(*([column[place] for place in order] for column in columns))


def read_members(tx: Transaction, batch: Batch, seqs: Sequence[int] | None) -> list[Member]:
    """All that wait for an outcome, or those of them with these numbers."""
    if seqs is None:
        rows = tx.rows("list_members", Member, **span_of(batch))
    else:
        said = msgspec.json.encode(seqs).decode()
        rows = tx.rows("list_some_members", Member, run_no=batch.run_no, batch_no=batch.batch_no, seqs=said)
    stretches = of_batch(tx, batch.batch_no)
    if not stretches:
        return rows
    wanted = None if seqs is None else set(seqs)
    for stretch in stretches:
        if wanted is not None and not any(stretch.first_seq <= seq <= stretch.last_seq for seq in wanted):
            continue
        sizes = sizes_of(tx, stretch)
        columns = zip(
            range(stretch.first_seq, stretch.last_seq + 1),
            keys_of(tx, stretch),
            sizes.tokens,
            accumulate(sizes.lengths, initial=stretch.offset),
            sizes.lengths,
            strict=False,
        )
        rows += [
            Member(seq, key, 0, 0, tokens, stretch.file_no, offset, length, 0, 0, 0)
            for seq, key, tokens, offset, length in columns
            if wanted is None or seq in wanted
        ]
    return sorted(rows, key=attrgetter("seq"))


def read_asked(tx: Transaction, batch: Batch) -> Asked:
    """The same in columns; two looks at the rows cost less than reading all of each."""
    seqs: list[int] = []
    keys: list[Key] = []
    tokens: list[int] = []
    for stretch in of_batch(tx, batch.batch_no):
        seqs += range(stretch.first_seq, stretch.last_seq + 1)
        keys += keys_of(tx, stretch)
        tokens += sizes_of(tx, stretch).tokens
    stretched = len(seqs)
    for seq, key, counted in tx.each("list_asked", **span_of(batch)):
        seqs.append(seq)
        keys.append(key)
        tokens.append(counted)
    if 0 < stretched < len(seqs):
        order = sorted(range(len(seqs)), key=seqs.__getitem__)
        seqs, keys = [seqs[at] for at in order], [keys[at] for at in order]
        tokens = [tokens[at] for at in order]
    before = {seq: Before(*rest) for seq, *rest in tx.each("list_asked_before", **span_of(batch))}
    return Asked(seqs=seqs, keys=keys, tokens=tokens, before=before)


def read_ranges(tx: Transaction, batch: Batch) -> list[Address]:
    """Where a batch's lines are, in the order of its requests: whole stretches of files where nothing else
    lies between, for lines of one file are in the order of their requests."""
    stretches = of_batch(tx, batch.batch_no)
    if stretches:
        rows = tx.each("list_numbered_lines", **span_of(batch))
        found = [(seq, Address(*rest)) for seq, *rest in rows]
        found += [(each.first_seq, Address(each.file_no, each.offset, each.bytes)) for each in stretches]
        return [address for _, address in sorted(found, key=itemgetter(0))]
    addresses: list[Address] = []
    beyond = 0
    for row in tx.rows("list_ranges", **span_of(batch)):
        if row["beyond"] - row["first"] != row["bytes"] or row["first_seq"] < beyond:
            return [Address(*rest) for _, *rest in tx.each("list_numbered_lines", **span_of(batch))]
        addresses.append(Address(row["file_no"], row["first"], row["bytes"]))
        beyond = row["last_seq"]
    return addresses


def tally_successes(tx: Transaction, run_no: int, first: int, last: int) -> dict[int, int]:
    """How many of the requests numbered first to last succeeded in each batch."""
    counts: Counter[int] = Counter(dict(tx.each("count_successes", run_no=run_no, first=first, last=last)))
    for each in between(tx, run_no, first, last, RequestState.SUCCEEDED):
        assert each.batch_no is not None
        counts[each.batch_no] += len(numbers_of(tx, run_no, each, first, last))
    return dict(+counts)


def read_successes(tx: Transaction, run_no: int, first: int, last: int) -> list[tuple[int, int]]:
    """(seq, batch_no) of the succeeded requests numbered first to last."""
    found: list[tuple[int, int]] = []
    for each in between(tx, run_no, first, last, RequestState.SUCCEEDED):
        assert each.batch_no is not None
        batch_no = each.batch_no
        found += [(seq, batch_no) for seq in numbers_of(tx, run_no, each, first, last)]
    rows = tx.rows("list_successes", _pair, run_no=run_no, first=first, last=last)
    return sorted([*found, *rows]) if rows else found


def _pair(seq: int, batch_no: int) -> tuple[int, int]:
    return seq, batch_no
