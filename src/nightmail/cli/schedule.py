"""`nightmail schedule`: runs that start by themselves while `nightmail serve` runs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nightmail.cli import options as o
from nightmail.cli.exits import Exit
from nightmail.cli.homes import opened, place_of
from nightmail.cli.run_options import RUN, taking
from nightmail.cli.terminal import Terminal

if TYPE_CHECKING:
    from nightmail.core.schedule import ScheduleStatus

Name = Annotated[str, typer.Argument(metavar="NAME", help="The schedule's name.")]

schedule = typer.Typer(
    name="schedule",
    help="Runs that start by themselves while `nightmail serve` runs.",
    add_completion=False,
    rich_markup_mode=None,
)


@schedule.command()
@taking(RUN)
def add(
    name: Name,
    task: o.TaskArgument,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            metavar="PATTERN",
            help="A file for each run: {date} as 2026-11-21, {time} as 0200, {schedule}; by --time-zone.",
        ),
    ],
    cron: Annotated[
        str | None,
        typer.Option("--cron", metavar="EXPR", help="minute hour day month weekday, such as '0 2 * * *'."),
    ] = None,
    input: Annotated[
        str | None,
        typer.Option("--input", metavar="PATH", help="As for `run`; looked up anew each time. With --cron."),
    ] = None,
    watch: Annotated[
        Path | None,
        typer.Option(
            "--watch", metavar="FOLDER", help="Instead of both: files that come into it start a run."
        ),
    ] = None,
    time_zone: Annotated[
        str, typer.Option("--time-zone", metavar="ZONE", help="Of --cron and --output: Europe/Berlin.")
    ] = "UTC",
    every_record: Annotated[
        bool,
        typer.Option(
            "--every-record", help="Ask every record each time, not only the new and the changed ones."
        ),
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Change the schedule that has this name already.")
    ] = False,
    provider: o.Provider = None,
    base_url: o.BaseUrl = None,
    home: o.Home = None,
    server: o.Server = None,
    json: o.Json = False,
    **asked: Any,
) -> int:
    """Start a run of a task at the times of a cron expression, or whenever files come into a folder."""
    terminal = Terminal(json=json, home=home, server=server)

    async def go() -> Exit:
        async with opened(terminal, may_make=True) as client:
            made = await client.schedules.add(
                name,
                task,
                output,
                source=input,
                watch=watch,
                cron=cron,
                time_zone=time_zone,
                every_record=every_record,
                replace=replace,
                provider=provider,
                base_url=base_url,
                **asked,
            )
            terminal.say(_line(made), f"It starts runs while `nightmail serve` runs on {place_of(terminal)}.")
            terminal.give(_row(made))
            return Exit.DONE

    return asyncio.run(go())


@schedule.command("list")
def list_(home: o.Home = None, server: o.Server = None, json: o.Json = False) -> int:
    """Every schedule: when it is due next, and what came of it last."""
    terminal = Terminal(json=json, home=home, server=server)

    async def go() -> Exit:
        async with opened(terminal) as client:
            found = await client.schedules.list()
            terminal.say(*[_line(each) for each in found] or ["there is no schedule"])
            terminal.give({"schedules": [_row(each) for each in found]})
            return Exit.DONE

    return asyncio.run(go())


@schedule.command()
def remove(name: Name, home: o.Home = None, server: o.Server = None, json: o.Json = False) -> int:
    """Start no more runs. Those that it has started stay; what it knew to be delivered is forgotten."""
    terminal = Terminal(json=json, home=home, server=server)

    async def go() -> Exit:
        async with opened(terminal) as client:
            await client.schedules.remove(name)
            terminal.say(f"{name} is removed; its runs stay")
            terminal.give({"name": name, "removed": True})
            return Exit.DONE

    return asyncio.run(go())


@schedule.command()
def pause(name: Name, home: o.Home = None, server: o.Server = None, json: o.Json = False) -> int:
    """Start nothing until it is resumed; a run that it has started goes on."""
    return _changed(name, Terminal(json=json, home=home, server=server), paused=True)


@schedule.command()
def resume(name: Name, home: o.Home = None, server: o.Server = None, json: o.Json = False) -> int:
    """Start again what is due from now on; what was due meanwhile is not caught up."""
    return _changed(name, Terminal(json=json, home=home, server=server), paused=False)


@schedule.command()
def run(
    name: Name, home: o.Home = None, server: o.Server = None, detach: o.Detach = False, json: o.Json = False
) -> int:
    """Start its run now, and carry it out; if its last one is not over, go on with that."""
    from nightmail.cli.attend import carry_on

    terminal = Terminal(json=json, home=home, server=server)

    async def go() -> Exit:
        async with opened(terminal) as client:
            started = await client.schedules.start(name)
            return await carry_on(client, started.run_id, terminal, detach=detach)

    return asyncio.run(go())


def _changed(name: str, terminal: Terminal, *, paused: bool) -> int:
    async def go() -> Exit:
        async with opened(terminal) as client:
            change = client.schedules.pause if paused else client.schedules.resume
            status = await change(name)
            terminal.say(_line(status))
            terminal.give(_row(status))
            return Exit.DONE

    return asyncio.run(go())


def _line(status: ScheduleStatus) -> str:
    spec = status.spec
    what = f"watches {spec.source}" if spec.cron is None else f"{spec.cron} ({spec.time_zone})"
    if status.paused:
        when = "paused"
    elif status.next_due_at is not None:
        when = f"next at {status.next_due_at:%Y-%m-%d %H:%M} UTC"
    else:
        when = "as soon as files are there"
    last = "nothing started yet"
    if status.occurrences:
        newest = status.occurrences[0]
        last = f"last: {newest.run_id or newest.message or 'about to start'}"
        if newest.is_open:
            last += ", not over yet"
    return f"{status.name}: {what}, {when}; {last}"


def _row(status: ScheduleStatus) -> dict[str, Any]:
    """The schedule as data."""
    import msgspec

    row: dict[str, Any] = msgspec.to_builtins(status)
    return {**row.pop("spec"), **row}
