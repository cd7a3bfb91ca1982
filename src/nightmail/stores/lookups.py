"""One request, a page of them, or those with a key: each from its row, or from the stretch that it is in."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import msgspec

from nightmail.core.answer_index import AnswerIndex
from nightmail.core.failure import Reason
from nightmail.core.request import RequestState
from nightmail.stores.base import Key, RequestRow
from nightmail.stores.base_pages import PageRow
from nightmail.stores.database import Transaction
from nightmail.stores.rows import request_of
from nightmail.stores.stretches import Sizes, Stretch, between, keys_of, numbers_of, sizes_of

# No text that begins with another sorts behind that text with this after it.
BEYOND = "\U0010ffff"


def read_request(tx: Transaction, run_no: int, seq: int) -> RequestRow | None:
    """One request. What an accepted answer took is not in its row; an answer that was judged anew is where
    it was when it failed."""
    row: Any = tx.row("read_request", run_no=run_no, seq=seq) or _stretched(tx, run_no, seq)
    if row is None:
        return None
    if row["state"] != RequestState.SUCCEEDED:
        return request_of(row)
    packed = tx.row("read_answers", batch_no=row["batch_no"])
    found = packed and msgspec.msgpack.decode(packed["packed"], type=AnswerIndex).find(seq)
    return request_of(row, found or None)


def read_page(
    tx: Transaction, run_no: int, *, after: int, limit: int, state: RequestState | None
) -> list[PageRow]:
    """Up to `limit` requests numbered above `after`, in order."""
    rows = [
        page_row(row)
        for row in tx.rows("page_of_requests", run_no=run_no, after=after, limit=limit, state=state)
    ]
    last = rows[-1].seq if len(rows) == limit else 2**62
    span = {"first": after + 1, "last": last}
    found: list[PageRow] = []
    for each in tx.each("list_stretches_between", run_no=run_no, state=state, **span):
        stretch = Stretch(*each)
        found += _page_rows(tx, stretch, numbers_of(tx, run_no, stretch, **span)[: limit - len(found)])
        if len(found) >= limit:
            break
    return _in_order(rows, found)[:limit]


def read_rows(tx: Transaction, run_no: int, seqs: Sequence[int]) -> list[PageRow]:
    """The requests with these numbers, in order."""
    said = msgspec.json.encode(list(seqs)).decode()
    rows = [page_row(row) for row in tx.rows("read_requests", run_no=run_no, seqs=said)]
    missing = set(seqs) - {row.seq for row in rows}
    found: list[PageRow] = []
    if missing:
        for stretch in between(tx, run_no, min(missing), max(missing)):
            mine = sorted(seq for seq in missing if stretch.first_seq <= seq <= stretch.last_seq)
            found += _page_rows(tx, stretch, mine) if mine else []
    return _in_order(rows, found)


def find_keys(
    tx: Transaction, run_no: int, text: str, *, number: int | None, beginning: bool, after: int, upto: int,
    limit: int,
) -> list[tuple[int, Key]]:  # fmt: skip
    """Up to `limit` requests numbered above `after` up to `upto` whose key is the text or the number, or
    begins with the text."""
    within = {"run_no": run_no, "after": after, "upto": upto, "limit": limit, "text": text}
    if not beginning:
        rows = tx.rows("find_key", _pair, number=number, **within)
    elif number is not None:
        rows = tx.rows("find_numbers_beginning", _pair, **within)
    else:
        rows = tx.rows("find_keys_between", _pair, beyond=text + BEYOND, **within)
    found = dict(rows)
    for stretch in between(tx, run_no, after + 1, upto):
        keys = keys_of(tx, stretch)
        if not beginning and text not in keys and (number is None or number not in keys):
            continue
        found |= {
            seq: key
            for seq, key in enumerate(keys, stretch.first_seq)
            if (str(key).startswith(text) if beginning else key in (text, number)) and after < seq <= upto
        }
    return sorted(found.items())[:limit]


def first_line(tx: Transaction, run_no: int) -> tuple[str, int, int] | None:
    """Where the line of a run's first request is: path, offset, length. Records of which no request could be
    made have none."""
    row = tx.row("read_first_line", run_no=run_no)
    stretch = tx.row("read_first_stretch", run_no=run_no)
    if stretch is not None and (row is None or stretch["first_seq"] < row["seq"]):
        sizes = msgspec.msgpack.decode(stretch["sizes"], type=Sizes)
        return stretch["path"], stretch["offset"], sizes.lengths[0]
    return (row["path"], row["offset"], row["length"]) if row else None


def page_row(row: Any) -> PageRow:
    """A row of the queries that give a page of requests."""
    return PageRow(
        row["seq"],
        row["key"],
        RequestState(row["state"]),
        row["attempts"],
        row["batch_no"],
        Reason(row["reason"]) if row["reason"] else None,
        row["message"],
        row["part"],
    )


def _page_rows(tx: Transaction, stretch: Stretch, seqs: Sequence[int]) -> list[PageRow]:
    keys, state = keys_of(tx, stretch), RequestState(stretch.state)
    attempts = int(state is RequestState.SUCCEEDED)
    return [
        PageRow(seq, keys[stretch.at(seq)], state, attempts, stretch.batch_no, None, None, None)
        for seq in seqs
    ]


def _in_order(rows: list[PageRow], stretched: list[PageRow]) -> list[PageRow]:
    return sorted([*rows, *stretched], key=lambda row: row.seq) if rows and stretched else rows or stretched


def _stretched(tx: Transaction, run_no: int, seq: int) -> dict[str, Any] | None:
    """As a row: nothing was asked of it before the batch that it is in."""
    for stretch in between(tx, run_no, seq, seq):
        at, sizes = stretch.at(seq), sizes_of(tx, stretch)
        beside = tx.row("read_names_of_stretch", stretch_no=stretch.stretch_no)
        assert beside is not None
        return {
            **beside,
            "seq": seq,
            "key": keys_of(tx, stretch)[at],
            "attempts": int(stretch.state == RequestState.SUCCEEDED),
            "tokens": sizes.tokens[at],
            "offset": list(accumulate(sizes.lengths, initial=stretch.offset))[at],
            "length": sizes.lengths[at],
            **dict.fromkeys(("answer_file_no", "answer_offset", "answer_length", "reason")),
            **dict.fromkeys(("expiries", "spent_input", "spent_output", "spent_pusd"), 0),
        }
    return None


def _pair(seq: int, key: Key) -> tuple[int, Key]:
    return seq, key
