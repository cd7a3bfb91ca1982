"""`nightmail worker`: carry out the runs of a home, without a person watching."""

from __future__ import annotations

import asyncio
import os
from typing import Annotated

import typer

from nightmail.cli import options as o
from nightmail.cli.exits import Exit
from nightmail.cli.homes import existing
from nightmail.cli.terminal import Terminal


def worker(
    home: o.Home = None,
    run: Annotated[
        str | None, typer.Option("--run", metavar="RUN", help="Only this run, until it is over.")
    ] = None,
    until_idle: Annotated[
        bool, typer.Option("--until-idle", help="Stop when there is nothing left to do.")
    ] = False,
) -> int:
    """Carry out every run of a home until stopped (Ctrl-C or SIGTERM; exit code 3 if runs are left)."""
    from nightmail.cli.attend import carry_out, detaching
    from nightmail.cli.outcome import is_over
    from nightmail.client import Client

    terminal = Terminal(home=home)
    log_events()

    async def go() -> Exit:
        # A worker may be there before the first run is.
        async with existing(home) if run is not None else Client(home) as client:
            if run is not None:
                status = await client.status(run)
                return await carry_out(client, status.run_id, terminal)
            with detaching(client.stop, terminal) as detached:
                terminal.note(f"working on the runs in {client.settings.home}")
                await client.work_all(until_idle=until_idle)
            if detached.is_set() and not all(is_over(status) for status in await client.runs()):
                return Exit.NOT_AT_END
            return Exit.DONE

    return asyncio.run(go())


def log_events() -> None:
    """Everything that is told of a run, with its time: nobody watches a worker, somebody reads its log."""
    from nightmail.telemetry import log_lines

    log_lines(os.environ.get("NIGHTMAIL_LOG"))
