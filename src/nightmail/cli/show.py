"""Which way a run is shown while it goes on: redrawn on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Protocol

from nightmail.cli.terminal import Terminal
from nightmail.core.progress import RunStatus


class View(Protocol):
    """Something that shows a run as it is now."""

    def show(self, status: RunStatus) -> None: ...


@contextlib.contextmanager
def view_on(terminal: Terminal, *, watching: bool = False) -> Iterator[View]:
    """A view for the time of a `with`. `watching`: nobody in this process works on the run."""
    if terminal.is_live:
        from nightmail.cli.live import live_view

        with live_view(terminal, watching=watching) as live:
            yield live
    else:
        from nightmail.cli.lines import Lines

        yield Lines(terminal, watching=watching)
