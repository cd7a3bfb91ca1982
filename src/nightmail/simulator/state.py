"""What survives: files, batches and books, in one SQLite database beside the files' bytes.

Rows hold the records as JSON; only what is searched for is a column of its own. Everything here is
called from the event loop's thread: single rows, microseconds. One transaction ends a batch, with its
files and its entry in the books, so that a batch killed half-way has booked nothing.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from nightmail.simulator.records import TERMINAL, Batch, File

_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL,
  purpose TEXT NOT NULL, record BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS batches (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL,
  status TEXT NOT NULL, queue TEXT, enqueued_tokens INTEGER NOT NULL, enqueued_requests INTEGER NOT NULL,
  created_at INTEGER NOT NULL, record BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS batches_open ON batches (status) WHERE status NOT IN
  ('failed', 'completed', 'expired', 'cancelled');
CREATE INDEX IF NOT EXISTS batches_created ON batches (created_at);
CREATE TABLE IF NOT EXISTS books (batch INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, model TEXT NOT NULL,
  requests INTEGER NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
  executions INTEGER NOT NULL, billed_ids BLOB NOT NULL, failed_ids BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS calls (model TEXT PRIMARY KEY, calls INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS peaks (queue TEXT PRIMARY KEY, tokens INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value BLOB NOT NULL);
"""
_OPEN = f"status NOT IN {TERMINAL!r}"


class State:
    """The database of one simulator; `files` and `work` are its folders."""

    def __init__(self, folder: Path) -> None:
        self.files = folder / "files"
        self.work = folder / "work"
        self.files.mkdir(parents=True, exist_ok=True)
        self.work.mkdir(exist_ok=True)
        self._db = sqlite3.connect(folder / "simulator.db", isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)

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
        with self._transaction():
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
        rows = self._db.execute(f"SELECT record FROM batches WHERE {_OPEN} ORDER BY number")
        return [msgspec.json.decode(row[0], type=Batch) for row in rows]

    def created_since(self, at: float) -> int:
        row = self._db.execute("SELECT count(*) FROM batches WHERE created_at > ?", (at,)).fetchone()
        return int(row[0])

    def enqueued(self) -> dict[str, tuple[int, int]]:
        """Tokens and requests of open batches, by queue."""
        rows = self._db.execute(
            f"SELECT queue, sum(enqueued_tokens), sum(enqueued_requests) FROM batches "
            f"WHERE {_OPEN} AND queue IS NOT NULL GROUP BY queue"
        )
        return {queue: (tokens, requests) for queue, tokens, requests in rows}

    def admit(self, batch: Batch) -> None:
        """Save a batch that has its place in the queue now, and remember how full the queue ever was."""
        with self._transaction():
            self.save_batch(batch)
            tokens, _ = self.enqueued().get(batch.queue or "", (0, 0))
            self._db.execute(
                "INSERT INTO peaks VALUES (?, ?) "
                "ON CONFLICT DO UPDATE SET tokens = max(tokens, excluded.tokens)",
                (batch.queue, tokens),
            )

    def end_batch(
        self, batch: Batch, files: Iterable[File], billed_ids: list[str], failed_ids: list[str]
    ) -> None:
        """A batch's last state, its files and its entry in the books, all or nothing."""
        with self._transaction():
            for file in files:
                self.add_file(file)
            self.save_batch(batch)
            self._db.execute(
                "INSERT INTO books VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (batch.number, batch.id, batch.queue or "", len(billed_ids), batch.input_tokens,
                 batch.output_tokens, batch.executions, _packed(billed_ids), _packed(failed_ids)),
            )  # fmt: skip

    def book_call(self, model: str, input_tokens: int, output_tokens: int) -> None:
        """A synchronous call that was answered."""
        self._db.execute(
            "INSERT INTO calls VALUES (?, 1, ?, ?) ON CONFLICT DO UPDATE SET calls = calls + 1, "
            "input_tokens = input_tokens + excluded.input_tokens, "
            "output_tokens = output_tokens + excluded.output_tokens",
            (model, input_tokens, output_tokens),
        )

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows of a reading statement, for the books."""
        return self._db.execute(statement, values).fetchall()

    def note(self, name: str, value: object) -> None:
        """Keep a small value under a name."""
        self._db.execute("REPLACE INTO notes VALUES (?, ?)", (name, msgspec.json.encode(value)))

    def noted(self, name: str) -> Any:
        row = self._db.execute("SELECT value FROM notes WHERE name = ?", (name,)).fetchone()
        return None if row is None else msgspec.json.decode(row[0])

    def _transaction(self) -> _Transaction:
        return _Transaction(self._db)

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


def _packed(names: list[str]) -> bytes:
    return zlib.compress(msgspec.json.encode(names), 1)


def unpacked(packed: bytes) -> list[str]:
    """The ids of one column of the books."""
    return msgspec.json.decode(zlib.decompress(packed), type=list[str])


class _Transaction:
    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        self._db.execute("COMMIT" if kind is None else "ROLLBACK")
