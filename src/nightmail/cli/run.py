"""`nightmail run`: a task over an input, to the end; the same command again goes on with it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from nightmail.cli import options as o
from nightmail.cli.exits import Exit
from nightmail.cli.run_options import RUN, taking
from nightmail.cli.terminal import Terminal
from nightmail.processes import drop_ahead, tell_ahead


@taking(RUN)
def run(
    task: o.TaskArgument,
    input: o.Input,
    output: Annotated[
        Path,
        typer.Option(
            "--output", metavar="PATH", help="A .parquet, .jsonl or .csv file; failures go beside it."
        ),
    ],
    provider: o.Provider = None,
    base_url: o.BaseUrl = None,
    home: o.Home = None,
    server: o.Server = None,
    new: Annotated[
        bool, typer.Option("--new", help="Start anew, even if this command was run before.")
    ] = False,
    as_started: Annotated[
        bool,
        typer.Option(
            "--as-started", help="Go on with the run although the task or the input has changed since."
        ),
    ] = False,
    detach: o.Detach = False,
    json: o.Json = False,
    **asked: Any,
) -> int:
    """Run a task over an input, to the end. The same command again goes on, or says that all is done."""
    from nightmail.cli.attend import carry_on, exit_of_run
    from nightmail.cli.homes import opened
    from nightmail.cli.outcome import already_line, is_output_gone, is_over
    from nightmail.core.progress import summary

    terminal = Terminal(json=json, home=home, server=server)
    if terminal.server is not None or detach:
        # The work is done elsewhere.
        drop_ahead()
    else:
        tell_ahead(task, asked["model"])

    async def go() -> Exit:
        async with opened(terminal, provider=provider, base_url=base_url, may_make=True) as client:
            status = await client.start(task, input, output, new=new, as_started=as_started, **asked)
            if is_over(status):
                missing = is_output_gone(status)
                status = await client.work(status.run_id)
                terminal.say(already_line(status))
                if missing:
                    terminal.say(f"the output was gone and has been written again: {status.output}")
                terminal.give(summary(status))
                return exit_of_run(status)
            return await carry_on(client, status.run_id, terminal, detach=detach)

    return asyncio.run(go())
