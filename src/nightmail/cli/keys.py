"""`nightmail keys add|list|revoke`: who may ask the service on a home."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from nightmail.cli import options as o
from nightmail.cli.exits import Exit
from nightmail.cli.homes import opened
from nightmail.cli.terminal import Terminal
from nightmail.core import wording as figures
from nightmail.core.scope import Scope

keys = typer.Typer(help="Keys of the service: who may ask it, and what for.", no_args_is_help=True)


@keys.command("add")
def add(
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="Whose key: its runs are its own.")],
    scope: Annotated[
        Scope,
        typer.Option(
            "--scope",
            metavar="SCOPE",
            help="read: see its runs; submit: start and steer them too; admin: everybody's.",
        ),
    ] = Scope.SUBMIT,
    budget: Annotated[
        str | None,
        typer.Option("--budget", metavar="USD", help="What the tenant's runs may cost in a UTC month."),
    ] = None,
    share: Annotated[
        float | None,
        typer.Option("--share", metavar="PART", help="The part of each model's queue for it, such as 0.25."),
    ] = None,
    home: o.Home = None,
    server: o.Server = None,
    json: o.Json = False,
) -> int:
    """Make a key. It is shown once, here, and kept nowhere."""
    terminal = Terminal(json=json, home=home, server=server)

    async def go() -> str:
        async with opened(terminal, may_make=True) as client:
            return await client.keys.add(tenant, scope=scope, budget=budget, share=share)

    key = asyncio.run(go())
    terminal.note(f"a key of {tenant} that may {scope}; it is not shown again")
    terminal.say(key)
    terminal.give({"key": key, "tenant": tenant, "scope": scope})
    return Exit.DONE


@keys.command("list")
def list_keys(home: o.Home = None, server: o.Server = None, json: o.Json = False) -> int:
    """Show the keys by their ids, never the keys themselves."""
    terminal = Terminal(json=json, home=home, server=server)

    async def go() -> list[dict[str, str | None]]:
        async with opened(terminal) as client:
            return [
                {
                    "key_id": each.key_id,
                    "tenant": each.tenant,
                    "scope": each.scope.value,
                    "created_at": each.created_at.isoformat(timespec="seconds"),
                    "revoked_at": each.revoked_at.isoformat(timespec="seconds") if each.revoked_at else None,
                }
                for each in await client.keys.list()
            ]

    found = asyncio.run(go())
    rows = [tuple(str(value or "") for value in each.values()) for each in found]
    heading = ("KEY", "TENANT", "SCOPE", "MADE", "REVOKED")
    terminal.say(*(figures.columns([heading, *rows]) if rows else ["there are no keys"]))
    terminal.give({"keys": found})
    return Exit.DONE


@keys.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="KEY", help="The key's id, as `list` has it.")],
    home: o.Home = None,
    server: o.Server = None,
    json: o.Json = False,
) -> int:
    """Make a key good for nothing; a running service knows within seconds."""
    terminal = Terminal(json=json, home=home, server=server)

    async def go() -> None:
        async with opened(terminal) as client:
            await client.keys.revoke(key_id)

    asyncio.run(go())
    terminal.say(f"{key_id} is revoked")
    terminal.give({"revoked": key_id})
    return Exit.DONE
