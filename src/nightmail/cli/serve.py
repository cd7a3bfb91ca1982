"""`nightmail serve`: the dashboard, the HTTP API and a worker on one home, in one process."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from nightmail.cli import options as o
from nightmail.cli.exits import Exit
from nightmail.cli.terminal import Terminal
from nightmail.errors import ConfigError

PORT = 8686


def serve(
    home: o.Home = None,
    host: Annotated[
        str, typer.Option("--host", metavar="HOST", help="The address to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, metavar="PORT", help="The port; 0 is any free one.")
    ] = PORT,
    work: Annotated[
        bool, typer.Option("--work/--no-work", help="Carry runs out here too, or leave that to workers.")
    ] = True,
    hide_texts: Annotated[
        bool, typer.Option("--hide-texts", help="Show neither prompts nor answers on any page.")
    ] = False,
) -> int:
    """Serve the dashboard and the HTTP API of a home and carry its runs out, until stopped (Ctrl-C or
    SIGTERM; exit code 0)."""
    from nightmail.cli.attend import detaching
    from nightmail.cli.worker import log_events
    from nightmail.client import Client

    try:
        from nightmail.web.serving import Service, fast_loop
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("nightmail"):
            raise
        raise ConfigError(
            f"nightmail serve needs more than the library does ({error.name} is missing): "
            "pip install 'nightmail[serve]'"
        ) from error
    terminal = Terminal(home=home)
    log_events()

    async def go() -> Exit:
        async with Client(home) as client:
            service = Service(client, host=host, port=port, work=work, hide_texts=hide_texts)
            with detaching(service.stop, terminal):
                await service.serve(on_start=lambda: terminal.say(f"nightmail listening on {service.url}"))
        return Exit.DONE

    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        return runner.run(go())
