"""`nightmail status`: every run of a home, or one of them in detail."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nightmail.cli import options as o
from nightmail.cli.exits import Exit
from nightmail.cli.homes import is_there, opened, place_of
from nightmail.cli.terminal import Terminal
from nightmail.core import wording as figures

if TYPE_CHECKING:
    from nightmail.cli.questions import Questions
    from nightmail.core.progress import RunStatus
    from nightmail.stores.base import Event

HEADINGS = ("RUN", "STATE", "RECORDS", "BATCHES", "COST", "SAVED", "ETA")
EVENTS = 10


def status(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="The run's id; without it, a table of all runs.")
    ] = None,
    home: o.Home = None,
    server: o.Server = None,
    json: o.Json = False,
) -> int:
    """Show every run of a home or a service, or one of them in detail. May be asked at any time."""
    terminal = Terminal(json=json, home=home, server=server)
    if run is None and not is_there(terminal):
        terminal.say(
            f"no runs: there is no home {place_of(terminal)} (--home or NIGHTMAIL_HOME names another)"
        )
        terminal.give({"runs": []})
        return Exit.DONE

    async def go() -> None:
        async with opened(terminal) as client:
            if run is None:
                await _show_all(client, terminal)
            else:
                await _show_one(client, run, terminal)

    asyncio.run(go())
    return Exit.DONE


async def _show_all(client: Questions, terminal: Terminal) -> None:
    from nightmail.core.progress import summary

    runs = await client.runs()
    if runs:
        terminal.say(*figures.columns([HEADINGS, *map(row_of, runs)]))
    else:
        terminal.say(f"no runs in {place_of(terminal)}")
    terminal.give({"runs": [summary(each) for each in runs]})


async def _show_one(client: Questions, run_id: str, terminal: Terminal) -> None:
    from nightmail.cli.outcome import outcome_lines
    from nightmail.core.progress import summary

    run = await client.status(run_id)
    events = await client.events(run.run_id, limit=EVENTS)
    terminal.say(*outcome_lines(run, terminal), *batch_lines(run), *event_lines(events))
    terminal.give(
        {**summary(run), "active": [_batch(each) for each in run.active], "events": _events(events)}
    )


def row_of(run: RunStatus) -> tuple[str, ...]:
    """A run as a row under `HEADINGS`."""
    through = run.records - run.open
    return (
        run.run_id,
        f"{run.state} ({run.pause_reason})" if run.pause_reason else run.state.value,
        f"{figures.count(through)} / {figures.count(run.records)}",
        f"{figures.count(run.batches_done)} of {figures.count(run.batches)}",
        figures.money(run.cost_pusd),
        figures.money(run.savings_pusd),
        figures.span(*run.eta) if run.eta is not None else "",
    )


def batch_lines(run: RunStatus) -> list[str]:
    """The batches that the provider has, each with its own word for them."""
    from nightmail.cli.lines import word_of
    from nightmail.cli.live import progress_of

    return figures.columns(
        [
            (
                f"batch {each.batch_id}",
                word_of(each),
                progress_of(each),
                figures.plural(each.requests, "request"),
                f"{figures.tokens(each.tokens)} tokens",
                f"since {each.submitted_at:%Y-%m-%d %H:%M} UTC" if each.submitted_at else "",
            )
            for each in run.active
        ]
    )


def event_lines(events: Sequence[Event]) -> list[str]:
    """What happened last, the newest at the end."""
    return figures.columns(
        [
            (
                f"{event.at:%Y-%m-%d %H:%M:%S}",
                event.name,
                event.batch_id.rpartition(".")[2] if event.batch_id else "",
                ", ".join(f"{name} {value}" for name, value in event.detail.items()),
            )
            for event in events
        ]
    )


def _batch(batch: Any) -> dict[str, Any]:
    return {
        "batch_id": batch.batch_id,
        "state": batch.state,
        "status": batch.status,
        "model": batch.model,
        "requests": batch.requests,
        "tokens": batch.tokens,
        "completed": batch.completed,
        "failed": batch.failed,
        "submitted_at": batch.submitted_at,
    }


def _events(events: Sequence[Event]) -> list[dict[str, Any]]:
    return [
        {"at": event.at, "name": event.name, "batch_id": event.batch_id, "detail": event.detail}
        for event in events
    ]
