"""What SQLite's refusals mean, in words: what happened to which file, and what to do."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from nightmail.core.disk import MAKE_WRITABLE, full
from nightmail.errors import DiskFull, NightmailError, StoreError

BUSY_TIMEOUT = 30.0  # seconds to wait for another process's transaction


def store_error(path: Path, error: sqlite3.Error) -> NightmailError:
    """What to raise for it. The lower byte of SQLite's code is the kind (https://sqlite.org/rescode.html)."""
    code = getattr(error, "sqlite_errorcode", None)
    match None if code is None else code & 0xFF:
        case sqlite3.SQLITE_FULL:
            return DiskFull(full(path))
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreError(
                f"{path} is locked: another program has been writing to it, or keeps a transaction open, for "
                f"more than {BUSY_TIMEOUT:.0f} seconds. End that program (a database shell, a back-up), then "
                "run the same command again: nothing is lost"
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return StoreError(f"{path} cannot be written: {error}. {MAKE_WRITABLE}")
        case sqlite3.SQLITE_CANTOPEN:
            return StoreError(
                f"{path} cannot be opened, or the files that SQLite keeps beside it cannot be made in "
                f"{path.parent}: {error}. {MAKE_WRITABLE}"
            )
        case sqlite3.SQLITE_NOTADB:
            return StoreError(
                f"{path} is not a database ({error}). Nothing was changed. Put it back from a back-up, "
                "or name another home (--home)"
            )
        case sqlite3.SQLITE_CORRUPT:
            return StoreError(
                f"{path} is damaged ({error}). Put it back from a back-up, or save what is readable with "
                f"`sqlite3 {path} .recover`; requests and paid results are safe as files in "
                f"{path.parent / 'spool'}"
            )
        case sqlite3.SQLITE_IOERR:
            return StoreError(
                f"{path}: the disk under it fails ({error}). Look after the disk, then run the same command "
                "again"
            )
        case _:
            return StoreError(f"{path}: {error}")
