"""`nightmail watch`: show a run until it is over, without working on it."""

from __future__ import annotations

import asyncio

from nightmail.cli import options as o
from nightmail.cli.exits import Exit
from nightmail.cli.homes import opened
from nightmail.cli.terminal import Terminal


def watch(
    run: o.RunArgument = None, home: o.Home = None, server: o.Server = None, json: o.Json = False
) -> int:
    """Show a run until it is over. Works on nothing: a worker, or the command that started it, does."""
    from nightmail.cli.attend import follow

    terminal = Terminal(json=json, home=home, server=server)

    async def go() -> Exit:
        async with opened(terminal) as client:
            status = await client.status(run)
            return await follow(client, status.run_id, terminal)

    return asyncio.run(go())
