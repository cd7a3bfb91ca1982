"""The schedules of a service: what they read and write is on its machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from nightmail.core.progress import RunStatus
from nightmail.core.schedule import ScheduleStatus
from nightmail.errors import ConfigError, UnknownRun
from nightmail.remote.calls import Calls
from nightmail.remote.options import said
from nightmail.remote.tasks import task_for
from nightmail.remote.wire import schedule_of, status_of


class Schedules:
    """See `nightmail.worker.schedules.Schedules`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

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
    ) -> ScheduleStatus:
        if provider is not None or base_url is not None:
            raise ConfigError("the provider and its address are the service's own; leave them out")
        for place in (source, watch, output):
            if place is not None and not Path(place).is_absolute():
                raise ConfigError(f"{place}: give the whole path, as the service's machine has it")
        asked = {
            "name": name,
            "task": task_for(task),
            "output": str(output),
            "source": str(source) if source is not None else None,
            "watch": str(watch) if watch is not None else None,
            "cron": cron,
            "time_zone": time_zone,
            "every_record": every_record,
            "replace": replace,
        }
        row = await self._calls.post("/schedules", asked | said(options), again=replace)
        return schedule_of(row)

    async def list(self) -> list[ScheduleStatus]:
        return [schedule_of(row) for row in (await self._calls.get("/schedules"))["schedules"]]

    async def remove(self, name: str) -> None:
        try:
            await self._calls.delete(_path(name))
        except UnknownRun as error:
            raise _none(name) from error

    async def pause(self, name: str) -> ScheduleStatus:
        return schedule_of(await self._post(name, "pause"))

    async def resume(self, name: str) -> ScheduleStatus:
        return schedule_of(await self._post(name, "resume"))

    async def start(self, name: str) -> RunStatus:
        # The second time finds the run that the first has started, as long as it is not over.
        return status_of(await self._post(name, "run"))

    async def _post(self, name: str, what: str) -> Any:
        try:
            return await self._calls.post(f"{_path(name)}/{what}")
        except UnknownRun as error:
            raise _none(name) from error


def _path(name: str) -> str:
    return f"/schedules/{quote(name, safe='')}"


def _none(name: str) -> ConfigError:
    return ConfigError(f"the service has no schedule {name!r} (nightmail schedule list)")
