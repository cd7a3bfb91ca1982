"""The seam under the tables: one SQLite file, used from one thread of its own.

`sqlite3` blocks; a thread keeps the event loop free, and one thread makes every transaction of this
process follow the other. Between processes SQLite's own lock decides (BEGIN IMMEDIATE, a busy timeout).
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import starmap
from pathlib import Path
from typing import Any, TypeVar, overload

from nightmail.errors import LeaseLost, SchemaTooNew, StoreError
from nightmail.stores.base import Lease
from nightmail.stores.queries import load, migrations
from nightmail.stores.refusals import BUSY_TIMEOUT, store_error

T = TypeVar("T")
OPENERS = 20  # of a new home at the same moment, at most


def at(moment: datetime) -> str:
    """A time as it is stored: UTC, one width."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def moment(text: str | None) -> datetime | None:
    """A stored time, back."""
    return datetime.fromisoformat(text) if text else None


class Transaction:
    """Named queries inside one transaction; used only in the database's thread."""

    def __init__(self, connection: sqlite3.Connection, queries: dict[str, str]) -> None:
        self._connection = connection
        self._queries = queries

    def run(self, name: str, /, **parameters: Any) -> int:
        """Execute a statement; how many rows it changed."""
        return self._connection.execute(self._queries[name], parameters).rowcount

    def insert(self, name: str, /, **parameters: Any) -> int:
        """Execute an INSERT; the new row's number."""
        number = self._connection.execute(self._queries[name], parameters).lastrowid
        assert number is not None
        return number

    @overload
    def rows(self, name: str, /, **parameters: Any) -> list[sqlite3.Row]: ...
    @overload
    def rows(self, name: str, make: Callable[..., T], /, **parameters: Any) -> list[T]: ...
    def rows(self, name: str, make: Callable[..., Any] | None = None, /, **parameters: Any) -> list[Any]:
        """All rows; with `make`, what it makes of each row's columns, one row at a time."""
        cursor = self._connection.cursor()
        if make is None:
            return cursor.execute(self._queries[name], parameters).fetchall()
        cursor.row_factory = None
        return list(starmap(make, cursor.execute(self._queries[name], parameters)))

    def each(self, name: str, /, **parameters: Any) -> Iterator[tuple[Any, ...]]:
        """All rows one after the other as plain tuples. Who lets go of each has nothing that the interpreter
        looks at when it looks for garbage."""
        cursor = self._connection.cursor()
        cursor.row_factory = None
        return cursor.execute(self._queries[name], parameters)

    def row(self, name: str, /, **parameters: Any) -> sqlite3.Row | None:
        found: sqlite3.Row | None = self._connection.execute(self._queries[name], parameters).fetchone()
        return found

    def many(self, name: str, rows: Iterable[Sequence[Any]]) -> int:
        """Execute a statement with `?` parameters once per row; how many rows it changed in all."""
        return self._connection.executemany(self._queries[name], rows).rowcount

    def statement(self, sql: str, parameters: dict[str, Any]) -> int:
        """Execute SQL made from a fixed list of column names (an UPDATE of the columns that changed)."""
        return self._connection.execute(sql, parameters).rowcount

    def fence(self, lease: Lease) -> None:
        """Raise `LeaseLost` unless the run is still driven under this lease."""
        if self.row("read_fence", run_no=lease.run_no, token=lease.token) is None:
            raise LeaseLost(
                f"run number {lease.run_no} has been taken over by another worker; nothing was written"
            )


class Database:
    """One SQLite file and the thread that talks to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._queries = load("sqlite")
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="nightmail-store")
        try:
            self._connection = self._thread.submit(self._open).result()
        except sqlite3.Error as error:
            self._thread.shutdown()
            raise store_error(path, error) from error
        except BaseException:
            self._thread.shutdown()
            raise

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
        )
        try:
            connection.row_factory = sqlite3.Row
            _use_wal(connection)
            # A commit survives a crash of the process at NORMAL, but a power cut may undo the newest:
            # a create call must not outlive the memory of its intent, so commits are synced.
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA temp_store = MEMORY")
            self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        steps = migrations("sqlite")
        newest = steps[-1][0]
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == newest:
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Asked again under the lock: another process may have migrated meanwhile.
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > newest:
                raise SchemaTooNew(
                    f"{self.path} has schema {version}, this nightmail knows up to {newest}: update nightmail"
                )
            for number, sql in steps:
                if number > version:
                    for statement in _statements(sql):
                        connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {newest}")
            connection.execute("COMMIT")
        except BaseException:
            # A full disk has rolled it back already.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` on one consistent state of the database."""
        return await self._submit("BEGIN", work)

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` as one transaction: all of it, or nothing."""
        return await self._submit("BEGIN IMMEDIATE", work)

    async def _submit(self, begin: str, work: Callable[[Transaction], T]) -> T:
        loop = asyncio.get_running_loop()
        # Shielded: a cancelled waiter must not be told before its transaction has ended one way or
        # the other, or the next one would start while this one still runs.
        return await asyncio.shield(loop.run_in_executor(self._thread, self._transact, begin, work))

    def _transact(self, begin: str, work: Callable[[Transaction], T]) -> T:
        connection = self._connection
        try:
            connection.execute(begin)
            try:
                answer = work(Transaction(connection, self._queries))
                connection.execute("COMMIT")
                return answer
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise store_error(self.path, error) from error

    def copy(self, target: Path) -> None:
        """Write the database as it is at one moment to the file `target`. By a connection of its own, and in
        one step: it holds nobody up, and is not begun anew when somebody writes meanwhile."""
        try:
            with (
                contextlib.closing(sqlite3.connect(self.path, timeout=BUSY_TIMEOUT)) as source,
                contextlib.closing(sqlite3.connect(target)) as copy,
            ):
                source.backup(copy, pages=-1)
                (said,) = copy.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.Error as error:
            raise store_error(target, error) from error
        if said != "ok":
            raise StoreError(f"{self.path} is damaged, and so would be its copy: {said}")

    async def close(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown()


def _use_wal(connection: sqlite3.Connection) -> None:
    """SQLite does not wait here for others who open the same new file at the same moment; it does for a
    transaction, after which one of them has done it."""
    for _ in range(OPENERS):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        else:
            return
    connection.execute("PRAGMA journal_mode = WAL")


def _statements(sql: str) -> list[str]:
    """Cut a script into statements; `executescript` would commit the transaction that it is part of."""
    found, current = [], ""
    for line in sql.splitlines():
        if not line.lstrip().startswith("--"):
            current += line + "\n"
            if sqlite3.complete_statement(current):
                found.append(current)
                current = ""
    return found
