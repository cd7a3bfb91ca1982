"""`nightmail run`: a task over an input, to the end; the same command again goes on with it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from nightmail.cli import options as o
from nightmail.cli.exits import Exit
from nightmail.cli.terminal import Terminal
from nightmail.core.request import Mode


def run(
    task: o.TaskArgument,
    input: o.Input,
    output: Annotated[
        Path,
        typer.Option(
            "--output", metavar="PATH", help="A .parquet, .jsonl or .csv file; failures go beside it."
        ),
    ],
    key: o.KeyField = None,
    mode: o.ModeOption = Mode.BATCH,
    model: o.Model = None,
    provider: o.Provider = None,
    base_url: o.BaseUrl = None,
    home: o.Home = None,
    server: o.Server = None,
    limit: o.Limit = None,
    max_attempts: o.MaxAttempts = 4,
    budget: o.Budget = None,
    deadline: o.Deadline = None,
    priority: o.Priority = 0,
    quota: o.Quotas = None,
    max_batch_requests: o.MaxBatchRequests = None,
    max_batch_bytes: o.MaxBatchBytes = None,
    max_active_batches: o.MaxActiveBatches = None,
    poll_interval: o.PollInterval = None,
    skip_bad_rows: o.SkipBadRows = False,
    keep_remote_files: o.KeepRemoteFiles = False,
    no_dedupe: o.NoDedupe = False,
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
) -> int:
    """Run a task over an input, to the end. The same command again goes on, or says that all is done."""
    from nightmail.cli.attend import carry_on, exit_of_run
    from nightmail.cli.homes import opened
    from nightmail.cli.outcome import already_line, is_output_gone, is_over
    from nightmail.core.progress import summary

    terminal = Terminal(json=json, home=home, server=server)
    asked: dict[str, Any] = {
        "key": key,
        "limit": limit,
        "model": model,
        "mode": mode,
        "skip_bad_rows": skip_bad_rows,
        "max_attempts": max_attempts,
        "budget": budget,
        "deadline": deadline,
        "priority": priority,
        "quotas": o.parse_quotas(quota),
        "max_batch_requests": max_batch_requests,
        "max_batch_bytes": max_batch_bytes,
        "max_active_batches": max_active_batches,
        "poll_interval": poll_interval,
        "keep_remote_files": keep_remote_files,
        "dedupe": not no_dedupe,
        "new": new,
        "as_started": as_started,
    }

    async def go() -> Exit:
        async with opened(terminal, provider=provider, base_url=base_url, may_make=True) as client:
            status = await client.start(task, input, output, **asked)
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
