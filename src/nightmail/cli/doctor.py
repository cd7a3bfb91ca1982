"""`nightmail doctor`: hold the store against itself, the spool and the provider; mend what can be mended,
decide what is in doubt."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from nightmail.cli import options as o
from nightmail.cli.exits import Exit
from nightmail.cli.homes import opened
from nightmail.cli.terminal import Terminal
from nightmail.errors import ConfigError


def doctor(
    fix: Annotated[
        bool, typer.Option("--fix", help="Mend what needs no person; what is left is told, with advice.")
    ] = False,
    resend: Annotated[
        str | None,
        typer.Option(
            "--resend", metavar="BATCH", help="A batch in doubt is not at the provider: send it again."
        ),
    ] = None,
    adopt: Annotated[
        str | None,
        typer.Option(
            "--adopt", metavar="BATCH=PROVIDER_BATCH_ID", help="A batch in doubt is this one at the provider."
        ),
    ] = None,
    provider: o.Provider = None,
    base_url: o.BaseUrl = None,
    home: o.Home = None,
    server: o.Server = None,
    json: o.Json = False,
) -> int:
    """Look for anything that is not as it should be, and without --fix change nothing; exit code 1 if
    something is not, or is still not; 4 if the provider could not be asked."""
    from nightmail.core.wording import plural

    terminal = Terminal(json=json, home=home, server=server)
    decided = _decision(resend, adopt)

    async def go() -> Exit:
        async with opened(terminal, provider=provider, base_url=base_url) as client:
            if decided is not None:
                await client.resolve_doubt(decided[0], adopt=decided[1])
                terminal.note(
                    f"{decided[0]}: "
                    + (
                        f"is {decided[1]} at the provider"
                        if decided[1]
                        else "will be sent again by the next worker"
                    )
                )
            audit = await client.doctor(fix=fix)
        terminal.say(f"looked at {plural(audit.runs, 'run')} and {plural(audit.batches, 'batch')}")
        terminal.say(f"provider  {audit.provider}")
        for finding in audit.findings:
            then = finding.advice if finding.done is None else f"done: {finding.done}"
            terminal.say(f"{finding.where}: {finding.what}", f"    {then}")
        # A home that has sent nothing has nothing there.
        unasked = audit.batches > 0 and not audit.asked
        terminal.say(
            ("nothing found" + (", but the provider was not asked for all that it has" if unasked else ""))
            if not audit.findings
            else f"{plural(len(audit.findings), 'finding')}" + (f", {audit.left} left" if fix else "")
        )
        terminal.give(
            {
                "runs": audit.runs,
                "batches": audit.batches,
                "provider": audit.provider,
                "asked": audit.asked,
                "findings": [
                    {
                        "kind": each.kind,
                        "where": each.where,
                        "what": each.what,
                        "advice": each.advice,
                        "done": each.done,
                    }
                    for each in audit.findings
                ],
                "left": audit.left,
            }
        )
        if audit.left:
            return Exit.FAILURES
        return Exit.UNREACHABLE if unasked else Exit.DONE

    return asyncio.run(go())


def _decision(resend: str | None, adopt: str | None) -> tuple[str, str | None] | None:
    """The batch to decide on and the provider's id for it; None if nothing is to be decided."""
    if resend and adopt:
        raise ConfigError("--resend and --adopt exclude each other")
    if resend:
        return resend, None
    if adopt:
        batch, _, provider_batch_id = adopt.partition("=")
        if not batch or not provider_batch_id:
            raise ConfigError(f"--adopt {adopt}: give BATCH=PROVIDER_BATCH_ID")
        return batch, provider_batch_id
    return None
