"""`nightmail backup` and `nightmail restore`: a copy of a home while it is worked on, and a home of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from nightmail.cli import options as o
from nightmail.cli.exits import Exit
from nightmail.cli.homes import existing
from nightmail.cli.terminal import Terminal


def backup(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A new folder.")],
    home: o.Home = None,
    json: o.Json = False,
) -> int:
    """Copy the whole home as it is at one moment; workers may go on meanwhile."""
    from nightmail.core.wording import count, plural

    terminal = Terminal(json=json, home=home)

    async def go() -> Exit:
        async with existing(home) as client:
            made = await client.backup(path)
            terminal.say(
                f"{made.path}: {plural(made.runs, 'run')}, {plural(made.files, 'file')} "
                f"({count(made.bytes)} bytes) as of {made.made_at:%Y-%m-%d %H:%M:%S} UTC"
            )
            for name in made.missing:
                terminal.note(f"missing in the home, and so in the back-up: {name}")
            terminal.give(
                {
                    "path": str(made.path),
                    "made_at": made.made_at.isoformat(),
                    "runs": made.runs,
                    "files": made.files,
                    "bytes": made.bytes,
                    "missing": list(made.missing),
                }
            )
            return Exit.FAILURES if made.missing else Exit.DONE

    return asyncio.run(go())


def restore(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A folder that `backup` has made.")],
    home: o.Home = None,
    json: o.Json = False,
) -> int:
    """Make a home of a back-up, where none is. Its unfinished runs and its schedules are paused."""
    from nightmail.client import Client

    terminal = Terminal(json=json, home=home)

    async def go() -> Exit:
        made = await Client.restore(path, home)
        terminal.say(f"{made.home} is as it was at {made.made_at:%Y-%m-%d %H:%M:%S} UTC")
        if made.paused_runs:
            terminal.say(
                f"paused: {', '.join(made.paused_runs)}",
                "What was sent since then is not known here and would be paid for again. Look with: "
                + terminal.command("doctor"),
            )
        if made.paused_schedules:
            terminal.say(f"paused schedules: {', '.join(made.paused_schedules)}")
        terminal.give(
            {
                "home": str(made.home),
                "made_at": made.made_at.isoformat(),
                "paused_runs": list(made.paused_runs),
                "paused_schedules": list(made.paused_schedules),
            }
        )
        return Exit.DONE

    return asyncio.run(go())
