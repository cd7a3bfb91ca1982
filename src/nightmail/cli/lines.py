"""A run as lines, for logs and pipes: one every half minute, and when something has changed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from nightmail.cli.stillness import Stillness
from nightmail.cli.terminal import Terminal
from nightmail.core import wording as figures
from nightmail.core.progress import BatchView, RunStatus

EVERY = 30.0
# Batches change in swarms; a log wants the swarm, not each of it.
CHANGES_EVERY = 5.0


class Lines:
    """Writes a line when there is something to tell. `clock` gives seconds that only grow."""

    def __init__(
        self, terminal: Terminal, *, watching: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._terminal = terminal
        self._clock = clock
        self._stillness = Stillness(terminal, clock) if watching else None
        self._told_at: float | None = None
        self._state: object = None
        self._batches: object = None

    def show(self, status: RunStatus) -> None:
        now = self._clock()
        batches = (status.batches_done, _by_status(status))
        waited = float("inf") if self._told_at is None else now - self._told_at
        if (
            status.state != self._state
            or (batches != self._batches and waited >= CHANGES_EVERY)
            or waited >= EVERY
        ):
            self._told_at, self._state, self._batches = now, status.state, batches
            self._terminal.note(line_of(status))
        if self._stillness is not None and (remark := self._stillness.remark(status)):
            self._terminal.note(remark)


def line_of(status: RunStatus) -> str:
    """One line: how far, where the batches are, the money, what is asked again, when it may be over."""
    if not status.sealed and not status.batches:
        read = figures.plural(status.records, "record")
        return f"{status.run_id} {status.state}: reading the input, {read} so far"
    through = figures.count(status.records - status.open)
    records = f"{figures.count(status.records)} records{'' if status.sealed else ' so far'}"
    parts = [
        f"{status.run_id} {status.state}: {through} of {records}",
        f"{figures.count(status.batches_done)} of {figures.plural(status.batches, 'batch')} done",
    ]
    if status.active:
        parts.append(f"at the provider {figures.reasons(_by_status(status))}")
    parts.append(f"{figures.money(status.cost_pusd)} spent")
    if again := sum(status.asked_again.values()):
        parts.append(f"{figures.count(again)} asked again ({figures.reasons(status.asked_again)})")
    if status.eta is not None:
        parts.append(f"ETA {figures.span(*status.eta)}")
    return ", ".join(parts)


def word_of(batch: BatchView) -> str:
    """The provider's own word for a batch that it has; ours for one that it hasn't, or no longer."""
    return batch.status if batch.status and batch.state == "in_progress" else batch.state.value


def _by_status(status: RunStatus) -> Counter[str]:
    return Counter(word_of(batch) for batch in status.active)
