"""`nightmail export`: write what a run has, whatever its state."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from nightmail.cli import options as o
from nightmail.cli.exits import Exit
from nightmail.cli.homes import opened
from nightmail.cli.terminal import Terminal


def export(
    output: Annotated[
        Path,
        typer.Option(
            "--output", metavar="PATH", help="A .parquet, .jsonl or .csv file; failures go beside it."
        ),
    ],
    run: o.RunArgument = None,
    home: o.Home = None,
    server: o.Server = None,
    json: o.Json = False,
) -> int:
    """Write what has succeeded so far to a file, and what has failed beside it. Costs nothing."""
    from nightmail.cli.outcome import counts
    from nightmail.core.progress import summary

    terminal = Terminal(json=json, home=home, server=server)

    async def go() -> Exit:
        async with opened(terminal) as client:
            status = await client.export(output, (await client.status(run)).run_id)
            written = str(output.expanduser().absolute())
            terminal.say(f"{status.run_id}: {counts(status)}", f"outputs   {written}")
            terminal.give({**summary(status), "exported_to": written})
            return Exit.DONE

    return asyncio.run(go())
