"""A run on a terminal, redrawn in place: records, tokens against the quota, money, each batch."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from nightmail.cli.lines import word_of
from nightmail.cli.stillness import Stillness
from nightmail.cli.terminal import Terminal
from nightmail.core import wording as figures
from nightmail.core.progress import BatchView, RunStatus
from nightmail.core.request import Mode

BAR_WIDTH = 32
SHOWN_BATCHES = 8


class LiveView:
    """Redraws the run each time that it is shown one."""

    def __init__(self, live: Live, stillness: Stillness | None) -> None:
        self._live = live
        self._stillness = stillness
        self._remark: str | None = None

    def show(self, status: RunStatus) -> None:
        if self._stillness is not None:
            self._remark = self._stillness.remark(status) or self._remark
        self._live.update(drawn(status, remark=self._remark), refresh=True)


@contextlib.contextmanager
def live_view(terminal: Terminal, *, watching: bool) -> Iterator[LiveView]:
    """The view for the time of a `with`; the last picture is taken away, the outcome is said after it."""
    console = Console(stderr=True, highlight=False)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield LiveView(live, Stillness(terminal, time.monotonic) if watching else None)


def drawn(status: RunStatus, *, remark: str | None = None) -> RenderableType:
    """One picture of the run."""
    parts: list[RenderableType] = [_headline(status), Text("  " + "    ".join(_figures(status)))]
    parts += [Text(f"  {line}") for line in _troubles(status)]
    if status.active:
        parts.append(_batches(status))
    if remark is not None:
        parts.append(Text(remark, style="yellow"))
    return Group(*parts)


def _headline(status: RunStatus) -> Table:
    through = status.records - status.open
    cells: list[RenderableType] = [
        Text(status.run_id, style="bold"),
        ProgressBar(total=max(status.records, 1), completed=through, width=BAR_WIDTH),
        Text(f"{figures.count(through)}/{figures.count(status.records)}"),
        Text(f"batches {figures.count(status.batches_done)}/{figures.count(status.batches)}"),
        Text(_state(status)),
    ]
    grid = Table.grid(padding=(0, 2))
    grid.add_row(*cells)
    return grid


def _state(status: RunStatus) -> str:
    if not status.sealed:
        return "reading the input"
    if status.hurried and status.open:
        return "for the deadline, the rest goes by calls"
    if status.eta is not None:
        return f"ETA {figures.span(*status.eta)}"
    return status.state.value if not status.open else ""


def _figures(status: RunStatus) -> list[str]:
    shown = []
    if status.enqueued_tokens:
        shown.append(f"tokens {_enqueued(status)} enqueued")
    money = f"{figures.money(status.cost_pusd)} spent"
    if status.mode is not Mode.SYNC:
        money += f", {figures.money(status.savings_pusd)} saved"
    return [*shown, money]


def _troubles(status: RunStatus) -> list[str]:
    shown = []
    if again := sum(status.asked_again.values()):
        shown.append(f"{figures.count(again)} asked again ({figures.reasons(status.asked_again)})")
    if status.failed:
        shown.append(f"{figures.count(status.failed)} failed ({figures.reasons(status.failures_by_reason)})")
    return shown


def _enqueued(status: RunStatus) -> str:
    if len(status.quotas) == 1:
        (quota,) = status.quotas.values()
        return f"{figures.tokens(status.enqueued_tokens)} of {figures.tokens(quota)}"
    return figures.tokens(status.enqueued_tokens)


def _batches(status: RunStatus) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column()
    grid.add_column()
    grid.add_column(justify="right")
    grid.add_column(justify="right")
    for batch in status.active[:SHOWN_BATCHES]:
        grid.add_row(
            f"  {batch.batch_id.rpartition('.')[2]}",
            word_of(batch),
            progress_of(batch),
            figures.plural(batch.requests, "request"),
            f"{figures.tokens(batch.tokens)} tokens",
        )
    more = len(status.active) - SHOWN_BATCHES
    return Group(grid, Text(f"  and {figures.plural(more, 'batch')} more")) if more > 0 else grid


def progress_of(batch: BatchView) -> str:
    """The provider's own count of what it has done, as a share; counts may lie, so it is only shown."""
    done = (batch.completed or 0) + (batch.failed or 0)
    return figures.percent(min(1.0, done / batch.requests)) if batch.requests and done else ""
