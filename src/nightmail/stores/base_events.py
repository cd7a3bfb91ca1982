"""The store port, events: what happened, for people."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

from nightmail.core.notice import Happening
from nightmail.stores.nouns import Event


class Events(Protocol):
    async def record(
        self, run_no: int, name: str, *, now: datetime, batch_no: int | None = None, **detail: Any
    ) -> None: ...
    async def list_after(self, event_no: int, *, limit: int) -> list[Happening]:
        """Those of all runs with higher numbers, by number. None comes later with a lower one."""
        ...

    async def list(self, run_no: int, *, limit: int) -> list[Event]:
        """The newest, in the order in which they happened."""
        ...
