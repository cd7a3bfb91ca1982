"""The tables of one simulator, and how a database of an earlier one is brought up to them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from nightmail.simulator.records import TERMINAL

_VERSION = 2
_TABLES = """
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
  executions INTEGER NOT NULL, billed_ids BLOB NOT NULL, failed_ids BLOB NOT NULL,
  lost_requests INTEGER NOT NULL DEFAULT 0, lost_input_tokens INTEGER NOT NULL DEFAULT 0,
  lost_output_tokens INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS calls (model TEXT NOT NULL, tier TEXT NOT NULL, calls INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, PRIMARY KEY (model, tier));
CREATE TABLE IF NOT EXISTS peaks (queue TEXT PRIMARY KEY, tokens INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS queues (queue TEXT PRIMARY KEY, at REAL NOT NULL, tokens INTEGER NOT NULL,
  token_seconds REAL NOT NULL, busy_seconds REAL NOT NULL);
CREATE TABLE IF NOT EXISTS levels (number INTEGER PRIMARY KEY, queue TEXT NOT NULL, at REAL NOT NULL,
  tokens INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS levels_queue ON levels (queue, number);
CREATE TABLE IF NOT EXISTS struck (kind TEXT PRIMARY KEY, count INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value BLOB NOT NULL);
"""
_FROM_THE_FIRST = """
ALTER TABLE calls RENAME TO calls_before;
CREATE TABLE calls (model TEXT NOT NULL, tier TEXT NOT NULL, calls INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, PRIMARY KEY (model, tier));
INSERT INTO calls SELECT model, 'default', calls, input_tokens, output_tokens FROM calls_before;
DROP TABLE calls_before;
ALTER TABLE books ADD COLUMN lost_requests INTEGER NOT NULL DEFAULT 0;
ALTER TABLE books ADD COLUMN lost_input_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE books ADD COLUMN lost_output_tokens INTEGER NOT NULL DEFAULT 0;
"""
# SQL that is true of a batch which has not ended.
OPEN = f"status NOT IN {TERMINAL!r}"


def opened(path: Path) -> sqlite3.Connection:
    """A connection to the database, whose tables are there and up to date."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version < _VERSION and db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'calls'").fetchone():
        db.executescript(f"BEGIN;{_FROM_THE_FIRST};PRAGMA user_version = {_VERSION};COMMIT;")
    if version < _VERSION:
        db.executescript(f"BEGIN;{_TABLES};PRAGMA user_version = {_VERSION};COMMIT;")
    return db


class Transaction:
    """All or nothing: committed at the end of a `with`, taken back if it is left by an exception."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        self._db.execute("COMMIT" if kind is None else "ROLLBACK")
