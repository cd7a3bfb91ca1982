"""What is written into the books: executions, calls, strikes of faults, and how full the queues are."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

import msgspec

from nightmail.simulator.records import Batch

_MAX_LEVELS = 20_000
_TRIMMED_EVERY = 1_000


class Lost(msgspec.Struct, kw_only=True):
    """What was billed although no client can ever read it: the lines are in no file."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def add(self, requests: int, input_tokens: int, output_tokens: int) -> None:
        self.requests += requests
        self.input_tokens += input_tokens
        self.output_tokens += output_tokens


class Ledger:
    """Writes on a connection; transactions are the caller's."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def book_batch(
        self, batch: Batch, requests: int, billed_ids: bytes, failed_ids: bytes, lost: Lost
    ) -> None:
        """An ended batch, with the packed ids of its billed and of its failed requests."""
        self._db.execute(
            "INSERT INTO books VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (batch.number, batch.id, batch.queue or "", requests, batch.input_tokens,
             batch.output_tokens, batch.executions, billed_ids, failed_ids,
             lost.requests, lost.input_tokens, lost.output_tokens),
        )  # fmt: skip

    def book_call(self, model: str, tier: str, input_tokens: int, output_tokens: int) -> None:
        """A synchronous call that was answered."""
        self._db.execute(
            "INSERT INTO calls VALUES (?, ?, 1, ?, ?) ON CONFLICT DO UPDATE SET calls = calls + 1, "
            "input_tokens = input_tokens + excluded.input_tokens, "
            "output_tokens = output_tokens + excluded.output_tokens",
            (model, tier, input_tokens, output_tokens),
        )

    def strike(self, kinds: Mapping[str, int]) -> None:
        """Count faults that have struck, by kind."""
        self._db.executemany(
            "INSERT INTO struck VALUES (?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
            [(kind, count) for kind, count in kinds.items() if count],
        )

    def level(self, queue: str, tokens: int, at: float) -> None:
        """So many tokens are enqueued from now on."""
        row = self._db.execute("SELECT at, tokens FROM queues WHERE queue = ?", (queue,)).fetchone()
        since, before = row or (at, 0)
        if before == tokens:
            return
        seconds = max(at - since, 0.0)
        self._db.execute(
            "INSERT INTO queues VALUES (?, ?, ?, 0, 0) ON CONFLICT DO UPDATE SET at = excluded.at, "
            "tokens = excluded.tokens, token_seconds = token_seconds + ?, busy_seconds = busy_seconds + ?",
            (queue, at, tokens, before * seconds, seconds if before else 0.0),
        )
        self._db.execute(
            "INSERT INTO peaks VALUES (?, ?) ON CONFLICT DO UPDATE SET tokens = max(tokens, excluded.tokens)",
            (queue, tokens),
        )
        cursor = self._db.execute(
            "INSERT INTO levels (queue, at, tokens) VALUES (?, ?, ?)", (queue, at, tokens)
        )
        number = int(cursor.lastrowid or 0)
        if number % _TRIMMED_EVERY == 0:
            self._db.execute("DELETE FROM levels WHERE number <= ?", (number - _MAX_LEVELS,))
