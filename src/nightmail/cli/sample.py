"""`nightmail sample`: a few records at once by synchronous calls, with what was sent and what came back."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nightmail.cli import options as o
from nightmail.cli.exits import Exit
from nightmail.cli.terminal import Terminal
from nightmail.core import wording as figures
from nightmail.core.failure import Reason
from nightmail.core.request import Mode
from nightmail.errors import NightmailError

if TYPE_CHECKING:
    from nightmail.cli.questions import Questions
    from nightmail.worker.pages import RecordResult

PAGE = 100


def sample(
    task: o.TaskArgument,
    input: o.Input,
    number: Annotated[int, typer.Option("-n", min=1, metavar="N", help="How many records.")] = 20,
    key: o.KeyField = None,
    model: o.Model = None,
    provider: o.Provider = None,
    base_url: o.BaseUrl = None,
    home: o.Home = None,
    server: o.Server = None,
    skip_bad_rows: o.SkipBadRows = False,
    json: o.Json = False,
) -> int:
    """Ask the first records at once, at the synchronous price, and show what was sent and what came back."""
    from nightmail.cli.attend import exit_of_run, quiet_work
    from nightmail.cli.homes import opened
    from nightmail.cli.outcome import counts
    from nightmail.core.progress import summary

    terminal = Terminal(json=json, home=home, server=server)

    async def go() -> Exit:
        async with opened(terminal, provider=provider, base_url=base_url, may_make=True) as client:
            started = await client.start(
                task,
                input,
                None,
                key=key,
                limit=number,
                model=model,
                mode=Mode.SYNC,
                skip_bad_rows=skip_bad_rows,
                new=True,
            )
            try:
                status = await quiet_work(client, started.run_id, terminal)
            except NightmailError:
                # Nobody comes back to a sample: left open, the next worker would pay for it.
                with contextlib.suppress(NightmailError):
                    await client.cancel(started.run_id)
                    await client.work(started.run_id)
                raise
            shown = await _records(client, status.run_id)
        for each in shown:
            terminal.say(*record_lines(each))
        terminal.say(
            f"{status.run_id}: {counts(status)}; cost {figures.money(status.cost_pusd)} (synchronous)"
        )
        terminal.give({**summary(status), "sample": shown})
        return exit_of_run(status)

    return asyncio.run(go())


async def _records(client: Questions, run_id: str) -> list[dict[str, Any]]:
    """Every record of the run, in the order of the source: its request, and its output or what was wrong."""
    found: list[dict[str, Any]] = []
    while page := await client.results(run_id, after=found[-1]["record"] if found else 0, limit=PAGE):
        found += [await _shown(client, run_id, each) for each in page]
    return found


async def _shown(client: Questions, run_id: str, result: RecordResult) -> dict[str, Any]:
    # A row that could not be read has no key of its own, and nothing is known of it but why.
    key = None if result.reason is Reason.BAD_ROW else result.key
    known = await client.record(key, run_id) if key is not None else {}
    shown = {
        "key": key,
        "record": result.record,
        "request": known.get("request"),
        "output": result.output,
    }
    if result.output is None:
        shown |= {"reason": result.reason, "message": result.message, "answer": known.get("answer")}
    return shown


def record_lines(shown: dict[str, Any]) -> list[str]:
    """One record for people: what each message said, then the output or the rejection."""
    lines = [f"--- {shown['key'] if shown['key'] is not None else 'record ' + str(shown['record'])}"]
    lines += [f"    {line}" for line in request_lines(shown["request"])]
    if shown["output"] is not None:
        lines.append(f" -> {compact(shown['output'])}")
    else:
        lines.append(f" -> {shown['reason']}: {shown['message']}")
        if shown.get("answer") is not None:
            lines.append(f"    {compact(shown['answer'])}")
    return lines


def request_lines(request: Any) -> list[str]:
    """A request as it was sent: the text of each message under its role, every other part on one line."""
    if request is None:
        return ["(no request could be made)"]
    body = request.get("body", request) if isinstance(request, dict) else request
    if not isinstance(body, dict):
        return [str(body)]
    lines = []
    for name, value in body.items():
        if (
            name in ("messages", "input")
            and isinstance(value, list)
            and all(isinstance(each, dict) for each in value)
        ):
            for message in value:
                text = message.get("content")
                said = text if isinstance(text, str) else compact(text)
                first, *rest = said.split("\n")
                lines.append(f"{message.get('role', name)}: {first}")
                lines += [f"    {line}" for line in rest]
        else:
            lines.append(f"{name}: {value if isinstance(value, str) else compact(value)}")
    return lines


def compact(value: Any) -> str:
    """A value on one line."""
    import msgspec

    return msgspec.json.encode(value).decode()
