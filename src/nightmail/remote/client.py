"""Remote: the questions and wishes of `Client`, with a service that answers and does the work.

What a run is over is sent there, what came of it is brought back here. Nothing is kept on this machine but
the output that was asked for.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack
from urllib.parse import quote

from nightmail.config import Server
from nightmail.core.failure import Reason
from nightmail.core.progress import RunStatus
from nightmail.core.request import RequestState
from nightmail.core.run import RunState
from nightmail.errors import ConfigError, NightmailError, UnknownRun
from nightmail.remote import files
from nightmail.remote.calls import Calls
from nightmail.remote.files import Told
from nightmail.remote.keys import Keys
from nightmail.remote.options import money, said
from nightmail.remote.schedules import Schedules
from nightmail.remote.tasks import task_for
from nightmail.remote.watching import watched
from nightmail.remote.wire import audit_of, event_of, plan_of, result_of, status_of
from nightmail.stages.estimate import Plan
from nightmail.stages.ports import Clock
from nightmail.stores.base import Event
from nightmail.worker.audit import Audit
from nightmail.worker.clock import RealClock
from nightmail.worker.options import RunOptions
from nightmail.worker.pages import RecordResult

PAGE = 500
OVER = (RunState.FINISHED, RunState.CANCELLED)


def _quiet(_: str) -> None:
    """Nobody is told."""


class Remote:
    """One service, as one tenant. Use it as `async with Remote(server) as client`. `told` hears what takes
    long: a file that is sent, a service that is away."""

    def __init__(self, server: Server, *, told: Told = _quiet, clock: Clock | None = None) -> None:
        self.url = server.url
        self._told = told
        self._clock = clock or RealClock()
        self._calls = Calls(server, self._clock)
        self._stack = AsyncExitStack()
        self._outputs: dict[str, Path] = {}  # by run: where its output goes on this machine
        self._cancelled: set[str] = set()
        self._sent: dict[str, Path] = {}  # by upload: which file it was here

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._calls)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def schedules(self) -> Schedules:
        return Schedules(self._calls)

    @property
    def keys(self) -> Keys:
        return Keys(self._calls)

    async def start(
        self,
        task: str,
        source: Any,
        output: str | Path | None = None,
        *,
        new: bool = False,
        as_started: bool = False,
        **options: Unpack[RunOptions],
    ) -> RunStatus:
        """See `Client.start`. The files of `source` are sent, unless the service has them; `work` brings the
        output to `output` on this machine."""
        target = await asyncio.to_thread(files.target_of, output) if output is not None else None
        body = await self._asked(task, source, options) | {"new": new, "as_started": as_started}
        # A second one that is to be new would be another one.
        row = await self._in_our_words(self._calls.post("/runs", body, again=not new, patient=True))
        if target is not None:
            self._outputs[row["run_id"]] = target
        return self._status(row)

    async def plan(self, task: str, source: Any, **options: Unpack[RunOptions]) -> Plan:
        """See `Client.plan`."""
        body = await self._asked(task, source, options)
        return plan_of(await self._in_our_words(self._calls.post("/plans", body, patient=True)))

    async def work(self, run_id: str) -> RunStatus:
        """Return when the service is done with the run, or it is paused; what came of it is then where its
        start wanted it."""
        async for status in self.watch(run_id):  # noqa: B007 - the last one is what is wanted
            pass
        if status.state in OVER and run_id in self._outputs:
            await files.bring(self._calls, run_id, self._outputs[run_id])
        return status

    async def status(self, run_id: str | None = None) -> RunStatus:
        """See `Client.status`."""
        if run_id is not None:
            return self._status(await self._get_run(run_id))
        newest = (await self._calls.get("/runs", limit=1))["runs"]
        if not newest:
            raise UnknownRun(f"no run: there is none at all at {self.url}")
        return self._status(newest[0])

    async def runs(self) -> list[RunStatus]:
        """See `Client.runs`."""
        found: list[RunStatus] = []
        before: str | None = None
        while True:
            page = await self._calls.get("/runs", limit=PAGE, before=before)
            found += [self._status(row) for row in page["runs"]]
            before = page["next"]
            if before is None:
                return found[::-1]

    async def watch(self, run_id: str | None = None) -> AsyncIterator[RunStatus]:
        """See `Client.watch`; as the service tells it. Raises what keeps the run from going on if somebody
        here has to mend it."""
        status = await self.status(run_id)
        yield status
        if status.state in (*OVER, RunState.PAUSED):
            return
        try:
            following = watched(
                self._calls,
                status.run_id,
                clock=self._clock,
                told=self._told,
                is_ending=status.run_id in self._cancelled,
            )
            async with aclosing(following) as rows:
                async for row in rows:
                    yield self._status(row)
        except NightmailError as error:
            raise type(error)(self._localised(str(error))) from error

    async def pause(self, run_id: str | None = None) -> RunStatus:
        """See `Client.pause`."""
        return self._status(await self._post_run(run_id, "pause"))

    async def resume(
        self, run_id: str | None = None, *, budget: Decimal | float | str | None = None
    ) -> RunStatus:
        """See `Client.resume`."""
        body = {"budget": money(budget)} if budget is not None else None
        return self._status(await self._post_run(run_id, "resume", body))

    async def cancel(self, run_id: str | None = None) -> RunStatus:
        """See `Client.cancel`."""
        status = self._status(await self._post_run(run_id, "cancel"))
        self._cancelled.add(status.run_id)
        return status

    async def retry(self, run_id: str | None = None, *, reasons: Sequence[Reason] | None = None) -> int:
        """See `Client.retry`."""
        body = {"reasons": [str(each) for each in reasons]} if reasons else None
        return int((await self._post_run(run_id, "retry", body, again=False))["records"])

    async def revalidate(self, run_id: str | None = None) -> int:
        """See `Client.revalidate`."""
        answer = await self._post_run(run_id, "retry", {"revalidate": True}, again=False)
        return int(answer["records"])

    async def export(self, output: str | Path, run_id: str | None = None) -> RunStatus:
        """See `Client.export`; the files are written on this machine."""
        status = await self.status(run_id)
        target = await asyncio.to_thread(files.target_of, output)
        await files.bring(self._calls, status.run_id, target)
        return status

    async def results(
        self,
        run_id: str | None = None,
        *,
        after: int = 0,
        limit: int = 100,
        state: RequestState | None = None,
    ) -> list[RecordResult]:
        """See `Client.results`."""
        found = await self._calls.get(
            f"{_path((await self.status(run_id)).run_id)}/results", after=after, limit=limit, state=state
        )
        return [result_of(row) for row in found["results"]]

    async def record(self, key: str | int, run_id: str | None = None) -> dict[str, Any]:
        """See `Client.record`."""
        run = await self.status(run_id)
        try:
            found: dict[str, Any] = await self._calls.get(
                f"{_path(run.run_id)}/records/{quote(str(key), safe='')}"
            )
        except UnknownRun as error:
            raise ConfigError(f"run {run.run_id} has no record with the key {key!r}") from error
        return found

    async def events(self, run_id: str | None = None, *, limit: int = 50) -> list[Event]:
        """See `Client.events`."""
        run = await self.status(run_id)
        return [
            event_of(row)
            for row in (await self._calls.get(f"{_path(run.run_id)}/events", limit=limit))["events"]
        ]

    async def doctor(self, *, fix: bool = False) -> Audit:
        """See `Client.doctor`; only its look."""
        if fix:
            raise self._not_from_here()
        return audit_of(await self._calls.get("/doctor", patient=True))

    async def resolve_doubt(self, batch_id: str, *, adopt: str | None) -> None:
        """Not over a service."""
        raise self._not_from_here()

    def _not_from_here(self) -> ConfigError:
        return ConfigError(
            f"{self.url} shows what its doctor sees; mending is done on its own machine, by nightmail doctor"
        )

    async def _asked(self, task: str, source: Any, options: Any) -> dict[str, Any]:
        """The body that a run and a plan have in common."""
        asked = {"task": task_for(task)} | said(options)
        sent = await files.send(self._calls, source, self._told)
        self._sent |= dict(sent)
        return asked | {"source": {"upload_id": [upload_id for upload_id, _ in sent]}}

    async def _in_our_words(self, call: Any) -> Any:
        try:
            return await call
        except NightmailError as error:
            raise type(error)(self._localised(str(error))) from error

    def _localised(self, text: str) -> str:
        """With this machine's names for the files that were sent."""
        for upload_id, path in self._sent.items():
            # A path is told up to the colon before a line number.
            text = str(path).join(re.split(rf"\S*{re.escape(upload_id)}", text))
        return text

    async def _get_run(self, run_id: str) -> Any:
        try:
            return await self._calls.get(_path(run_id))
        except UnknownRun as error:
            raise self._unknown(run_id) from error

    async def _post_run(
        self, run_id: str | None, what: str, body: dict[str, Any] | None = None, *, again: bool = True
    ) -> Any:
        named = run_id or (await self.status()).run_id
        try:
            return await self._calls.post(f"{_path(named)}/{what}", body, again=again)
        except UnknownRun as error:
            raise self._unknown(named) from error

    def _unknown(self, run_id: str) -> UnknownRun:
        return UnknownRun(f"there is no run {run_id!r} at {self.url}")

    def _status(self, row: dict[str, Any]) -> RunStatus:
        return status_of(row, self._outputs.get(str(row.get("run_id"))))


def _path(run_id: str) -> str:
    return f"/runs/{quote(run_id, safe='')}"
