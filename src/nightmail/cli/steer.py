"""`retry`, `cancel`, `pause`, `resume`: write the wish down, then carry it out, here or in the background."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from nightmail.cli import options as o
from nightmail.cli.exits import Exit
from nightmail.cli.homes import opened
from nightmail.cli.terminal import Terminal
from nightmail.core.failure import Reason


def retry(
    run: o.RunArgument = None,
    reason: Annotated[
        list[Reason] | None,
        typer.Option("--reason", metavar="REASON", help="Only what failed for this reason; repeatable."),
    ] = None,
    revalidate: Annotated[
        bool,
        typer.Option(
            "--revalidate", help="Ask nobody: judge the stored answers again, with the task as it is now."
        ),
    ] = False,
    home: o.Home = None,
    server: o.Server = None,
    detach: o.Detach = False,
    json: o.Json = False,
) -> int:
    """Ask the failed records of a finished run again, and only those."""
    from nightmail.cli.attend import carry_on, exit_of_run
    from nightmail.core.progress import summary
    from nightmail.core.wording import plural

    terminal = Terminal(json=json, home=home, server=server)

    async def go() -> Exit:
        async with opened(terminal) as client:
            run_id = (await client.status(run)).run_id
            if revalidate:
                good = await client.revalidate(run_id)
                terminal.note(f"{run_id}: {plural(good, 'stored answer')} good now; nothing was sent")
                return await carry_on(client, run_id, terminal, detach=detach)
            reopened = await client.retry(run_id, reasons=reason or None)
            if reopened:
                terminal.note(f"{run_id}: {plural(reopened, 'record')} to be asked again")
                return await carry_on(client, run_id, terminal, detach=detach)
            status = await client.status(run_id)
            terminal.say(f"{run_id}: nothing that can be asked again has failed; nothing was sent")
            terminal.give(summary(status))
            return exit_of_run(status)

    return asyncio.run(go())


def cancel(
    run: o.RunArgument = None,
    home: o.Home = None,
    server: o.Server = None,
    detach: o.Detach = False,
    json: o.Json = False,
) -> int:
    """End a run: nothing new is sent, batches are asked to end, paid answers are kept and delivered."""
    from nightmail.cli.attend import carry_on
    from nightmail.cli.outcome import is_over
    from nightmail.core.progress import summary

    terminal = Terminal(json=json, home=home, server=server)

    async def go() -> Exit:
        async with opened(terminal) as client:
            status = await client.status(run)
            if is_over(status):
                terminal.say(f"{status.run_id}: {status.state} already; there is nothing to cancel")
                terminal.give(summary(status))
                return Exit.DONE
            await client.cancel(status.run_id)
            ended = await carry_on(client, status.run_id, terminal, detach=detach)
            # Records that were given up are what was asked for, not a failure of the command.
            return Exit.DONE if ended is Exit.FAILURES else ended

    return asyncio.run(go())


def pause(
    run: o.RunArgument = None, home: o.Home = None, server: o.Server = None, json: o.Json = False
) -> int:
    """Send nothing new; what the provider has is still taken in while a worker runs."""
    from nightmail.cli.outcome import is_over
    from nightmail.core.progress import summary
    from nightmail.core.run import RunState

    terminal = Terminal(json=json, home=home, server=server)

    async def go() -> Exit:
        async with opened(terminal) as client:
            before = await client.status(run)
            status = await client.pause(before.run_id)
            if before.state is RunState.PAUSED or is_over(before):
                terminal.say(f"{status.run_id}: {status.state} already; there is nothing to pause")
            else:
                terminal.say(
                    f"{status.run_id}: paused. Go on with: {terminal.command('resume', status.run_id)}"
                )
            terminal.give(summary(status))
            return Exit.DONE

    return asyncio.run(go())


def resume(
    run: o.RunArgument = None,
    budget: o.Budget = None,
    home: o.Home = None,
    server: o.Server = None,
    detach: o.Detach = False,
    json: o.Json = False,
) -> int:
    """Undo a pause and go on, with another budget if one is given."""
    from nightmail.cli.attend import carry_on

    terminal = Terminal(json=json, home=home, server=server)

    async def go() -> Exit:
        async with opened(terminal) as client:
            status = await client.resume((await client.status(run)).run_id, budget=budget)
            return await carry_on(client, status.run_id, terminal, detach=detach)

    return asyncio.run(go())
