"""`nightmail simulate`: a local provider over real HTTP. Its options are the simulator's own."""

from __future__ import annotations

import typer


def simulate(context: typer.Context) -> int:
    """Serve a local, simulated provider: the OpenAI batch API over real HTTP, no key, no cost."""
    from nightmail.simulator.__main__ import main

    return main(context.args)
