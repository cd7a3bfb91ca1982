"""What survives: files, batches and books, in one SQLite database beside the files' bytes.

Rows hold the records as JSON; only what is searched for is a column of its own. Everything here is
called from the event loop's thread: single rows, microseconds. One transaction ends a batch, with its
files and its entry in the books, so that a batch killed half-way has booked nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from nightmail.simulator.ledger import Ledger, Lost
from nightmail.simulator.records import Batch, File
from nightmail.simulator.schema import OPEN, Transaction, opened


class State:
    """The database of one simulator; `files` and `work` are its folders."""

    def __init__(self, folder: Path) -> None:
        self.files = folder / "files"
        self.work = folder / "work"
        self.files.mkdir(parents=True, exist_ok=True)
        self.work.mkdir(exist_ok=True)
        self._db = opened(folder / "simulator.db")
        self.ledger = Ledger(self._db)

    def close(self) -> None:
        self._db.close()

    def sweep(self) -> None:
        """Remove bytes that no record knows: what a kill between writing and recording left."""
        known = {name for (name,) in self._db.execute("SELECT id FROM files")}
        for path in [*self.files.iterdir(), *self.work.glob("upload-*")]:
            if path.name not in known:
                path.unlink()

    def path(self, file_id: str) -> Path:
        """Where a file's bytes are."""
        return self.files / file_id

    def add_file(self, file: File) -> None:
        self._db.execute(
            "INSERT INTO files (id, purpose, record) VALUES (?, ?, ?)",
            (file.id, file.purpose, msgspec.json.encode(file)),
        )

    def file(self, file_id: str) -> File | None:
        row = self._db.execute("SELECT record FROM files WHERE id = ?", (file_id,)).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=File)

    def forget_file(self, file_id: str) -> bool:
        """Delete a file and its bytes; False if there was none."""
        gone = self._db.execute("DELETE FROM files WHERE id = ?", (file_id,)).rowcount > 0
        self.path(file_id).unlink(missing_ok=True)
        return gone

    def list_files(
        self, *, purpose: str | None, limit: int, after: str | None, ascending: bool
    ) -> tuple[list[File], bool]:
        """One page and whether there is more; an unknown `after` is an empty page."""
        return self._page("files", File, limit, after, ascending, purpose)

    def add_batch(self, batch: Batch) -> None:
        """Keep a new batch and give it its number."""
        with Transaction(self._db):
            cursor = self._db.execute(
                "INSERT INTO batches (id, status, enqueued_tokens, enqueued_requests, created_at, record) "
                "VALUES (?, ?, 0, 0, ?, '')",
                (batch.id, batch.status, batch.created_at),
            )
            batch.number = int(cursor.lastrowid or 0)
            self.save_batch(batch)

    def next_batch_number(self) -> int:
        row = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'batches'").fetchone()
        return 1 if row is None else int(row[0]) + 1

    def save_batch(self, batch: Batch) -> None:
        self._db.execute(
            "UPDATE batches SET status = ?, queue = ?, enqueued_tokens = ?, enqueued_requests = ?, "
            "record = ? WHERE id = ?",
            (batch.status, batch.queue, batch.enqueued_tokens, batch.enqueued_requests,
             msgspec.json.encode(batch), batch.id),
        )  # fmt: skip

    def batch(self, batch_id: str) -> Batch | None:
        row = self._db.execute("SELECT record FROM batches WHERE id = ?", (batch_id,)).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=Batch)

    def list_batches(self, *, limit: int, after: str | None) -> tuple[list[Batch], bool]:
        """Newest first."""
        return self._page("batches", Batch, limit, after, False, None)

    def open_batches(self) -> list[Batch]:
        rows = self._db.execute(f"SELECT record FROM batches WHERE {OPEN} ORDER BY number")
        return [msgspec.json.decode(row[0], type=Batch) for row in rows]

    def created_since(self, at: float) -> int:
        row = self._db.execute("SELECT count(*) FROM batches WHERE created_at > ?", (at,)).fetchone()
        return int(row[0])

    def enqueued(self) -> dict[str, tuple[int, int]]:
        """Tokens and requests of open batches, by queue."""
        rows = self._db.execute(
            f"SELECT queue, sum(enqueued_tokens), sum(enqueued_requests) FROM batches "
            f"WHERE {OPEN} AND queue IS NOT NULL GROUP BY queue"
        )
        return {queue: (tokens, requests) for queue, tokens, requests in rows}

    def move(self, batch: Batch, at: float) -> None:
        """Save a batch that enters its queue or leaves it, and how full the queue is from then on."""
        with Transaction(self._db):
            self._move(batch, at)

    def end_batch(
        self,
        batch: Batch,
        files: Iterable[File],
        *,
        billed_ids: list[str],
        failed_ids: list[str],
        lost: Lost,
        struck: Mapping[str, int],
        at: float,
    ) -> None:
        """A batch's last state, its files and its entry in the books, all or nothing."""
        with Transaction(self._db):
            for file in files:
                self.add_file(file)
            self._move(batch, at)
            packed = msgspec.json.encode(billed_ids), msgspec.json.encode(failed_ids)
            self.ledger.book_batch(batch, len(billed_ids), *packed, lost)
            self.ledger.strike(struck)

    def _move(self, batch: Batch, at: float) -> None:
        self.save_batch(batch)
        if batch.queue is not None:
            tokens, _ = self.enqueued().get(batch.queue, (0, 0))
            self.ledger.level(batch.queue, tokens, at)

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows of a reading statement, for the books."""
        return self._db.execute(statement, values).fetchall()

    def note(self, name: str, value: object) -> None:
        """Keep a small value under a name."""
        self._db.execute("REPLACE INTO notes VALUES (?, ?)", (name, msgspec.json.encode(value)))

    def noted(self, name: str) -> Any:
        row = self._db.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
        return None if row is None else msgspec.json.decode(row[0])

    def _page(
        self, table: str, kind: type[Any], limit: int, after: str | None, ascending: bool, purpose: str | None
    ) -> tuple[list[Any], bool]:
        sign, order = (">", "ASC") if ascending else ("<", "DESC")
        where, values = ["1"], list[object]()
        if after is not None:
            where.append(f"number {sign} (SELECT number FROM {table} WHERE id = ?)")
            values.append(after)
        if purpose is not None:
            where.append("purpose = ?")
            values.append(purpose)
        rows = self._db.execute(
            f"SELECT record FROM {table} WHERE {' AND '.join(where)} ORDER BY number {order} LIMIT ?",
            (*values, limit + 1),
        ).fetchall()
        return [msgspec.json.decode(row[0], type=kind) for row in rows[:limit]], len(rows) > limit


def unpacked(packed: bytes) -> list[str]:
    """The ids of one column of the books."""
    return msgspec.json.decode(packed, type=list[str])
