"""A watched run in which nothing moves: say so, once, and say what helps."""

from __future__ import annotations

from collections.abc import Callable

from nightmail.cli.outcome import is_over
from nightmail.cli.terminal import Terminal
from nightmail.core.progress import RunStatus
from nightmail.core.run import RunState

PATIENCE = 20.0


class Stillness:
    """Compares what it is shown with what it was shown before. `clock` gives seconds that only grow."""

    def __init__(self, terminal: Terminal, clock: Callable[[], float]) -> None:
        self._terminal = terminal
        self._clock = clock
        self._last: RunStatus | None = None
        self._since = clock()
        self._told = False

    def remark(self, status: RunStatus) -> str | None:
        """A sentence, the first time that nothing has changed for a while."""
        now = self._clock()
        if self._last is None or _moving(status) != _moving(self._last):
            self._last, self._since, self._told = status, now, False
            return None
        if self._told or now - self._since < PATIENCE or is_over(status) or status.state is RunState.PAUSED:
            return None
        self._told = True
        return (
            f"nothing has changed for {PATIENCE:.0f} s. Batches may take hours; if nobody is working on this "
            f"run, {self._remedy()}"
        )

    def _remedy(self) -> str:
        if self._terminal.server is not None:
            return "a worker has to be started on the service's machine"
        return f"start a worker (or the same command again): {self._terminal.command('worker')}"


def _moving(status: RunStatus) -> tuple[object, ...]:
    return (status.state, status.records, status.open, status.batches, status.batches_done, status.active)
