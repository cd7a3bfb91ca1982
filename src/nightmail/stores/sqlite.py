"""The store in one SQLite file."""

from __future__ import annotations

import asyncio
from pathlib import Path

from nightmail.core import disk
from nightmail.errors import DiskFull, StoreError
from nightmail.stores.batches import SqliteBatches
from nightmail.stores.copies import SqliteCopies
from nightmail.stores.database import Database
from nightmail.stores.delivered import SqliteDelivered
from nightmail.stores.events import SqliteEvents
from nightmail.stores.figures import SqliteFigures
from nightmail.stores.history import SqliteHistory
from nightmail.stores.inquiries import SqliteInquiries
from nightmail.stores.intakes import SqliteIntakes
from nightmail.stores.notices import SqliteNotices
from nightmail.stores.pages import SqlitePages
from nightmail.stores.requests import SqliteRequests
from nightmail.stores.runs import SqliteRuns
from nightmail.stores.schedules import SqliteSchedules
from nightmail.stores.tenants import SqliteTenants

FILE_NAME = "nightmail.db"


class SqliteStore:
    """See `nightmail.stores.base.Store`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.runs = SqliteRuns(database)
        self.requests = SqliteRequests(database)
        self.batches = SqliteBatches(database)
        self.copies = SqliteCopies(database)
        self.events = SqliteEvents(database)
        self.schedules = SqliteSchedules(database)
        self.delivered = SqliteDelivered(database)
        self.notices = SqliteNotices(database)
        self.figures = SqliteFigures(database)
        self.history = SqliteHistory(database)
        self.tenants = SqliteTenants(database)
        self.pages = SqlitePages(database)
        self.inquiries = SqliteInquiries(database)
        self.intakes = SqliteIntakes(database)

    @classmethod
    async def open(cls, home: Path) -> SqliteStore:
        """Open the home's database; made, with its folder, if it is not there."""
        return cls(await asyncio.to_thread(_open, home))

    async def copy(self, folder: Path) -> None:
        await asyncio.to_thread(self._database.copy, folder / FILE_NAME)

    async def close(self) -> None:
        await self._database.close()


def _open(home: Path) -> Database:
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if disk.is_full(error):
            raise DiskFull(disk.full(home, error)) from error
        raise StoreError(disk.refused(home, "made", error)) from error
    return Database(home / FILE_NAME)
