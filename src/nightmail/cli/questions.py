"""What commands ask and wish, of a home on this machine or of a service: a command does not know which it
has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, Unpack

from nightmail.core.failure import Reason
from nightmail.core.ids import RunId
from nightmail.core.progress import RunStatus
from nightmail.core.request import RequestState
from nightmail.core.schedule import ScheduleStatus
from nightmail.core.scope import Scope
from nightmail.core.tenancy import ApiKey
from nightmail.stages.estimate import Plan
from nightmail.stores.base import Event
from nightmail.worker.audit import Audit
from nightmail.worker.options import RunOptions
from nightmail.worker.pages import RecordResult


class Started(Protocol):
    """A run that was started."""

    @property
    def run_id(self) -> RunId: ...


class Schedules(Protocol):
    """See `nightmail.worker.schedules.Schedules`."""

    async def add(
        self,
        name: str,
        task: str,
        output: str | Path,
        *,
        source: str | Path | None = None,
        watch: str | Path | None = None,
        cron: str | None = None,
        time_zone: str = "UTC",
        every_record: bool = False,
        replace: bool = False,
        provider: str | None = None,
        base_url: str | None = None,
        **options: Any,
    ) -> ScheduleStatus: ...
    async def list(self) -> list[ScheduleStatus]: ...
    async def remove(self, name: str) -> None: ...
    async def pause(self, name: str) -> ScheduleStatus: ...
    async def resume(self, name: str) -> ScheduleStatus: ...
    async def start(self, name: str) -> Started: ...


class Keys(Protocol):
    """See `nightmail.worker.keys.Keys`."""

    async def add(
        self, tenant: str, *, scope: Scope | str, budget: str | None, share: float | None
    ) -> str: ...
    async def list(self) -> Sequence[ApiKey]: ...
    async def revoke(self, key_id: str) -> None: ...


class Questions(Protocol):
    """Open as `async with`. See `nightmail.client.Client` and `nightmail.remote.client.Remote`, which have
    all of it."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    @property
    def schedules(self) -> Schedules: ...
    @property
    def keys(self) -> Keys: ...
    async def start(
        self,
        task: str,
        source: Any,
        output: str | Path | None = None,
        *,
        new: bool = False,
        as_started: bool = False,
        **options: Unpack[RunOptions],
    ) -> RunStatus: ...
    async def plan(self, task: str, source: Any, **options: Unpack[RunOptions]) -> Plan: ...
    async def work(self, run_id: str) -> RunStatus:
        """Return when the run is over, with its output where it belongs, or paused."""
        ...

    async def status(self, run_id: str | None = None) -> RunStatus: ...
    async def runs(self) -> list[RunStatus]: ...
    def watch(self, run_id: str | None = None) -> AsyncIterator[RunStatus]: ...
    async def pause(self, run_id: str | None = None) -> RunStatus: ...
    async def resume(self, run_id: str | None = None, *, budget: str | None = None) -> RunStatus: ...
    async def cancel(self, run_id: str | None = None) -> RunStatus: ...
    async def retry(self, run_id: str | None = None, *, reasons: Sequence[Reason] | None = None) -> int: ...
    async def revalidate(self, run_id: str | None = None) -> int: ...
    async def export(self, output: str | Path, run_id: str | None = None) -> RunStatus: ...
    async def results(
        self,
        run_id: str | None = None,
        *,
        after: int = 0,
        limit: int = 100,
        state: RequestState | None = None,
    ) -> list[RecordResult]: ...
    async def record(self, key: str | int, run_id: str | None = None) -> dict[str, Any]: ...
    async def events(self, run_id: str | None = None, *, limit: int = 50) -> list[Event]: ...
    async def doctor(self, *, fix: bool = False) -> Audit: ...
    async def resolve_doubt(self, batch_id: str, *, adopt: str | None) -> None: ...
