"""`nightmail record`: everything known of one record: what was sent, each attempt, what came back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from nightmail.cli import options as o
from nightmail.cli.exits import Exit
from nightmail.cli.homes import opened
from nightmail.cli.terminal import Terminal
from nightmail.core import wording as figures


def record(
    key: Annotated[str, typer.Argument(metavar="KEY", help="The record's key, or its row number.")],
    run: o.RunArgument = None,
    home: o.Home = None,
    server: o.Server = None,
    json: o.Json = False,
) -> int:
    """Show one record of a run: its request, each attempt, the raw answer, the output."""
    terminal = Terminal(json=json, home=home, server=server)

    async def go() -> Exit:
        async with opened(terminal) as client:
            run_id = (await client.status(run)).run_id
            found = await client.record(key, run_id)
            terminal.say(*whole_lines(found))
            terminal.give(found)
            return Exit.DONE

    return asyncio.run(go())


def whole_lines(record: Mapping[str, Any]) -> list[str]:
    """The record for people: where it is, the request, the attempts, the output or the last answer."""
    from nightmail.cli.sample import compact, request_lines

    reason = f" ({record['reason']})" if record["reason"] else ""
    copied = f", as record {record['copy_of']}, which asks the same" if record.get("copy_of") else ""
    lines = [
        f"{record['run_id']}, record {record['record']} ({record['key']}): {record['state']}{reason}{copied}"
    ]
    lines += [f"    {line}" for line in request_lines(record["request"])]
    lines += figures.columns([_attempt(each) for each in record["attempts"]])
    if record["output"] is not None:
        lines.append(f" -> {compact(record['output'])}")
    elif record["answer"] is not None:
        lines.append(f"last answer  {compact(record['answer'])}")
    return lines


def _attempt(attempt: Mapping[str, Any]) -> tuple[str, ...]:
    came = attempt["outcome"] or "under way"
    said = ": ".join(str(attempt[name]) for name in ("reason", "message") if attempt[name])
    return (
        f"attempt {attempt['number']}",
        str(attempt["batch_id"] or "").rpartition(".")[2],
        str(attempt["model"] or ""),
        f"{came} ({said})" if said else str(came),
        f"{attempt['input_tokens']} tokens in, {attempt['output_tokens']} out",
    )
