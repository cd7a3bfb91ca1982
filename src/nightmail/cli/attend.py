"""Carry a run out in this process and show it, until it ends, pauses, or somebody presses Ctrl-C.

The first Ctrl-C (or SIGTERM) detaches: stages that are running come to their end, what is at the
provider stays there. The second leaves at once; the store is consistent at every moment, so nothing is
lost by it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING

from nightmail.cli.exits import Exit
from nightmail.cli.homes import place_of
from nightmail.cli.outcome import is_over, outcome_lines
from nightmail.cli.show import View, view_on
from nightmail.cli.terminal import Terminal
from nightmail.core.progress import RunStatus, summary
from nightmail.core.run import RunState
from nightmail.errors import NightmailError

if TYPE_CHECKING:
    from nightmail.cli.questions import Questions
    from nightmail.client import Client

LOOK_EVERY = 0.5
# Looking must not cost more than this share of the time, however large the run.
LOOKING_SHARE = 0.05
# A view that is redrawn in place has hidden it.
SHOW_CURSOR = "\x1b[?25h"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


async def carry_on(client: Questions, run_id: str, terminal: Terminal, *, detach: bool = False) -> Exit:
    """Have the run carried out to its end, tell how it came out, and give the exit code: here, or by a
    process in the background; where a service does it, by watching that."""
    from nightmail.cli.background import start_worker
    from nightmail.client import Client

    if isinstance(client, Client):
        return await (start_worker if detach else carry_out)(client, run_id, terminal)
    if not detach:
        return await follow(client, run_id, terminal, to_the_end=True)
    status = await client.status(run_id)
    terminal.say(
        f"{run_id} is left to {place_of(terminal)}", f"look at it with: {terminal.command('watch', run_id)}"
    )
    terminal.give(summary(status))
    return Exit.NOT_AT_END


async def carry_out(client: Client, run_id: str, terminal: Terminal) -> Exit:
    """Work on the run, tell how it came out, and give the exit code."""
    try:
        with detaching(client.stop, terminal) as detached:
            status = await watched_work(client, run_id, terminal)
    except NightmailError:
        with contextlib.suppress(NightmailError):
            # One of which nothing was sent, because its input was wrong, is not there any more.
            await client.status(run_id)
            terminal.note(
                f"{run_id} is kept. Go on with it: {terminal.command('resume', run_id)}; "
                f"or give it up: {terminal.command('cancel', run_id)}"
            )
        raise
    return report(status, terminal, detached=detached.is_set())


async def watched_work(client: Client, run_id: str, terminal: Terminal) -> RunStatus:
    """Work on the run and show it meanwhile; the status that it is left in."""
    with view_on(terminal) as view:
        return await _shown(client, run_id, terminal, view)


async def quiet_work(client: Questions, run_id: str, terminal: Terminal) -> RunStatus:
    """The run carried out, here or by the service, with nothing shown meanwhile."""
    from nightmail.client import Client

    if not isinstance(client, Client):
        return await client.work(run_id)
    with detaching(client.stop, terminal):
        return await client.work(run_id)


async def follow(client: Questions, run_id: str, terminal: Terminal, *, to_the_end: bool = False) -> Exit:
    """Show the run without working on it, until it is over; `to_the_end`: and its output where it belongs."""
    leaving = asyncio.Event()
    status = None
    with detaching(leaving.set, terminal), view_on(terminal, watching=True) as view:
        async for status in _until(client.watch(run_id), leaving):
            view.show(status)
    if status is None:
        status = await client.status(run_id)
    if to_the_end and not leaving.is_set():
        status = await client.work(run_id)
    return report(status, terminal, detached=leaving.is_set())


def report(status: RunStatus, terminal: Terminal, *, detached: bool) -> Exit:
    """Say how the run stands, in words or as the one JSON object, and give the exit code."""
    if detached and not is_over(status):
        at_provider = len(status.active)
        terminal.say(
            f"detached from run {status.run_id}; it {_goes_on(terminal)} ({at_provider} "
            f"{'batch' if at_provider == 1 else 'batches'} at the provider). "
            f"Come back with the same command, or: {terminal.command('watch', status.run_id)}"
        )
    else:
        terminal.say(*outcome_lines(status, terminal))
    terminal.give(summary(status))
    return exit_of_run(status)


def _goes_on(terminal: Terminal) -> str:
    return "stays as it is" if terminal.server is None else f"goes on at {terminal.server.url}"


def exit_of_run(status: RunStatus) -> Exit:
    """A paused run is not at its end even if everything it had sent came back well."""
    return Exit.NOT_AT_END if status.state is RunState.PAUSED else Exit(status.exit_code)


@contextlib.contextmanager
def detaching(stop: Callable[[], None], terminal: Terminal) -> Iterator[asyncio.Event]:
    """While the block runs, the first signal calls `stop` and sets the event, the second ends the process."""
    loop = asyncio.get_running_loop()
    detached = asyncio.Event()

    def on_signal() -> None:
        if detached.is_set():
            if terminal.is_live:
                sys.stderr.write(SHOW_CURSOR)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(Exit.NOT_AT_END)
        detached.set()
        terminal.note("stopping; Ctrl-C again leaves at once")
        stop()

    # Not every platform's loop takes signals; there Ctrl-C raises KeyboardInterrupt as everywhere.
    with contextlib.suppress(NotImplementedError):
        for number in _SIGNALS:
            loop.add_signal_handler(number, on_signal)
    try:
        yield detached
    finally:
        with contextlib.suppress(NotImplementedError):
            for number in _SIGNALS:
                loop.remove_signal_handler(number)


async def _shown(client: Client, run_id: str, terminal: Terminal, view: View) -> RunStatus:
    working = asyncio.ensure_future(
        client.work(
            run_id, on_wait=lambda who: terminal.note(f"{run_id} is worked on by {who}; waiting for its end")
        )
    )
    pace = LOOK_EVERY
    try:
        while not (await asyncio.wait({working}, timeout=pace))[0]:
            started = time.monotonic()
            try:
                view.show(await client.status(run_id))
            except NightmailError:
                # A run of which nothing was sent vanishes when its input turns out to be wrong; the
                # work itself says what was the matter.
                return await working
            pace = max(LOOK_EVERY, (time.monotonic() - started) / LOOKING_SHARE)
        return working.result()
    finally:
        if not working.done():
            client.stop()
            await asyncio.wait({working})


async def _until(statuses: AsyncIterator[RunStatus], leaving: asyncio.Event) -> AsyncIterator[RunStatus]:
    """What the iterator gives, until the event is set."""
    left = asyncio.create_task(leaving.wait())
    following: asyncio.Task[RunStatus | None] | None = None
    try:
        while True:
            following = asyncio.create_task(_next(statuses))
            await asyncio.wait({left, following}, return_when=asyncio.FIRST_COMPLETED)
            if not following.done() or (status := following.result()) is None:
                return
            yield status
    finally:
        for waiting in (left, following):
            if waiting is not None and not waiting.done():
                waiting.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await waiting


async def _next(statuses: AsyncIterator[RunStatus]) -> RunStatus | None:
    return await anext(statuses, None)
