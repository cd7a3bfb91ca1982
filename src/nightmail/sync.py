"""The synchronous twin of `Client`, for scripts and notebooks: the only place where it exists twice.

One thread with one event loop serves all runs of a process; each call here is a call into it.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, Unpack

from nightmail.client import Client
from nightmail.core.progress import RunStatus, summary, usd
from nightmail.core.run import RunState
from nightmail.tasks.base import Task
from nightmail.worker.options import RunOptions

if TYPE_CHECKING:
    from decimal import Decimal

    import pyarrow as pa

T = TypeVar("T")


class _Loop:
    """The event loop of this process's runs, started when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def call(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run `work` to its end; a keyboard interrupt or a timeout cancels it."""
        future = asyncio.run_coroutine_threadsafe(work, self._running())
        try:
            return future.result(timeout)
        except BaseException:
            future.cancel()
            raise

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="nightmail", daemon=True)
                self._thread.start()
            return self._loop


_loop = _Loop()


class Run:
    """A run that this process has started: see how it is, wait for it, read what came of it.

    Its work goes on in the background of this process; when the process ends, start it again with the
    same arguments (or let `nightmail worker` take it): it is the same run.
    """

    def __init__(self, client: Client, run_id: str) -> None:
        self._client = client
        self.run_id = run_id
        self._working: asyncio.Task[RunStatus] | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<nightmail run {self.run_id}>"

    def status(self) -> RunStatus:
        """How it is now."""
        return _loop.call(self._client.status(self.run_id))

    def watch(self, every: float = 1.0) -> Iterator[RunStatus]:
        """The status every so many seconds, until it is finished, cancelled or paused."""
        waited = threading.Event()
        while True:
            status = self.status()
            yield status
            if status.state in (RunState.FINISHED, RunState.CANCELLED, RunState.PAUSED):
                return
            waited.wait(every)

    def wait(self, timeout: float | None = None) -> RunStatus:
        """Return when it is finished, cancelled or paused. Raises `TimeoutError` after `timeout` seconds
        (the run goes on), and whatever ended its work."""
        return _loop.call(self._join(), timeout)

    def cancel(self) -> RunStatus:
        """Give up what is not sent, ask batches to end, keep and deliver what is paid."""
        _loop.call(self._client.cancel(self.run_id))
        return self.wait()

    def pause(self) -> RunStatus:
        """Send nothing new."""
        return _loop.call(self._client.pause(self.run_id))

    def resume(self) -> RunStatus:
        """Go on after a pause."""
        status = _loop.call(self._client.resume(self.run_id))
        self.begin()
        return status

    def retry(self) -> int:
        """Ask what has failed again; how many records that is."""
        count = _loop.call(self._client.retry(self.run_id))
        self.begin()
        return count

    def outputs(self) -> pa.Table:
        """What has succeeded so far, in the order of the input."""
        return _loop.call(self._client.outputs(self.run_id))

    def failures(self) -> list[dict[str, Any]]:
        """What has failed for good: key, reason, message, attempts, the last raw answer."""
        return _loop.call(self._client.failures(self.run_id))

    def export(self, output: str | Path) -> RunStatus:
        """Write what there is so far to a file."""
        return _loop.call(self._client.export(output, self.run_id))

    @property
    def cost(self) -> Decimal | None:
        """What the provider has billed so far, in USD; None where a price is unknown."""
        return usd(self.status().cost_pusd)

    @property
    def succeeded(self) -> int:
        return self.status().succeeded

    @property
    def failed(self) -> int:
        return self.status().failed

    @property
    def summary(self) -> dict[str, object]:
        """The numbers of `nightmail run --json`."""
        return summary(self.status())

    def begin(self) -> None:
        """Carry the run out in the background of this process, unless that is going on already."""
        _loop.call(self._begin())

    def close(self) -> None:
        """Stop working on it here (it stays as it is) and close the home."""
        if not self._closed:
            self._closed = True
            _loop.call(self._close())

    async def _begin(self) -> None:
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._client.work(self.run_id))

    async def _join(self) -> RunStatus:
        if self._working is not None:
            # Shielded: who stops waiting does not stop the work.
            await asyncio.shield(self._working)
        return await self._client.status(self.run_id)

    async def _close(self) -> None:
        self._client.stop()
        if self._working is not None:
            await asyncio.gather(self._working, return_exceptions=True)
        await self._client.__aexit__(None, None, None)


def start(
    task: type[Task] | Task | str,
    source: Any,
    output: str | Path | None = None,
    *,
    home: str | Path | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    new: bool = False,
    as_started: bool = False,
    **options: Unpack[RunOptions],
) -> Run:
    """Start a run, or find the one that the same arguments started before, and return at once; its work
    goes on in the background. Options as `Client.start`."""

    async def begin() -> Run:
        client = await Client(home, base_url=base_url, api_key=api_key).__aenter__()
        try:
            status = await client.start(task, source, output, new=new, as_started=as_started, **options)
        except BaseException:
            await client.__aexit__(None, None, None)
            raise
        return Run(client, status.run_id)

    run = _loop.call(begin())
    run.begin()
    atexit.register(run.close)
    return run


def run(
    task: type[Task] | Task | str,
    source: Any,
    output: str | Path | None = None,
    *,
    home: str | Path | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    new: bool = False,
    as_started: bool = False,
    **options: Unpack[RunOptions],
) -> Run:
    """`start`, and wait for the end. The run that comes back is finished, cancelled or paused. An
    interrupt (Ctrl-C, the notebook's stop button) leaves it as it is; the same call goes on with it."""
    started = start(
        task,
        source,
        output,
        home=home,
        base_url=base_url,
        api_key=api_key,
        new=new,
        as_started=as_started,
        **options,
    )
    try:
        started.wait()
    except BaseException:
        started.close()
        raise
    return started
