"""Die, or fail, at the nth side of the nth call through a port (as SQLite's test6.c wraps its OS layer).

All I/O goes through ports, so wrapping them reaches every place at which a process can die, and the
product needs no hooks for it.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from nightmail.testing.clock import ManualClock

END = object()


class Crash(BaseException):
    """The process died here. A BaseException, so that no `except Exception` survives it."""


class Plan(Protocol):
    """Asked before and after each call; what it raises is what happens there."""

    def before(self, call: str) -> None: ...
    def after(self, call: str) -> None: ...


class NoTrouble:
    """The plan by which nothing happens."""

    def before(self, call: str) -> None: ...
    def after(self, call: str) -> None: ...


@dataclass
class CrashPlan:
    """Dies at the boundary number `at`, counted from 1, and at every one after it: the dead stay dead."""

    at: int
    seen: int = 0
    calls: list[str] = field(default_factory=list)

    def before(self, call: str) -> None:
        self._boundary(f"before {call}")

    def after(self, call: str) -> None:
        self._boundary(f"after {call}")

    def _boundary(self, where: str) -> None:
        self.seen += 1
        self.calls.append(where)
        if self.seen >= self.at:
            raise Crash(where)


@dataclass
class TroublePlan:
    """Raises `error()` instead of making call number `at` of those that `matches`, and so `times` in a
    row; None: from there on always. With `late`, the call is made first and its answer lost."""

    at: int
    error: Callable[[], Exception]
    matches: Callable[[str], bool] = lambda call: True
    times: int | None = 1
    late: bool = False
    seen: int = 0
    struck: int = 0

    def before(self, call: str) -> None:
        if self.matches(call):
            self.seen += 1
            if not self.late:
                self._strike()

    def after(self, call: str) -> None:
        if self.late and self.matches(call):
            self._strike()

    def _strike(self) -> None:
        if self.seen >= self.at and (self.times is None or self.struck < self.times):
            self.struck += 1
            raise self.error()


class Faulty:
    """A port whose calls pass a plan on their way in and out, and are work that the clock waits for.
    Attributes that are no calls, and calls named in `pure`, pass as they are; a port's groups
    (`store.batches`) are wrapped too."""

    def __init__(
        self,
        port: Any,
        plan: Plan,
        clock: ManualClock,
        *,
        name: str,
        groups: tuple[str, ...] = (),
        pure: tuple[str, ...] = (),
    ) -> None:
        self._port, self._plan, self._clock, self._name = port, plan, clock, name
        self._groups, self._pure = groups, pure

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._port, attribute)
        name = f"{self._name}.{attribute}"
        if attribute in self._groups:
            return type(self)(found, self._plan, self._clock, name=name, pure=self._pure)
        if not callable(found) or attribute in self._pure:
            return found
        if inspect.isasyncgenfunction(found):
            return self._paged(found, name)
        if inspect.iscoroutinefunction(found):
            return self._called(found, name)
        return self._plain(found, name)

    def _called(self, call: Callable[..., Any], name: str) -> Callable[..., Any]:
        async def guarded(*arguments: Any, **named: Any) -> Any:
            self._plan.before(name)
            with self._clock.at_work():
                answer = await call(*arguments, **named)
            self._plan.after(name)
            return answer

        return guarded

    def _paged(self, call: Callable[..., Any], name: str) -> Callable[..., Any]:
        async def guarded(*arguments: Any, **named: Any) -> AsyncIterator[Any]:
            self._plan.before(name)
            pages = call(*arguments, **named)
            while True:
                # Whoever reads the pages may wait between two of them; the port may not.
                with self._clock.at_work():
                    each = await anext(pages, END)
                if each is END:
                    break
                yield each
            self._plan.after(name)

        return guarded

    def _plain(self, call: Callable[..., Any], name: str) -> Callable[..., Any]:
        def guarded(*arguments: Any, **named: Any) -> Any:
            self._plan.before(name)
            with self._clock.at_work():
                answer = call(*arguments, **named)
            try:
                self._plan.after(name)
            except Crash:
                # A process that dies closes its files.
                if hasattr(answer, "close"):
                    answer.close()
                raise
            return answer

        return guarded
