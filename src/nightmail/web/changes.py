"""What has changed: the source of everything that is shown live, for programs and for pages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from typing import TypeVar

from nightmail.web.loops import Loops

EVERY = 1.0
# Proxies close what is silent for long.
SIGN_OF_LIFE = 15
COMMENT = ":\n\n"
T = TypeVar("T")


async def changes(
    look: Callable[[], Awaitable[T]],
    shape: Callable[[T], Hashable],
    loops: Loops,
    *,
    may_look: Callable[[], Awaitable[bool]],
    every: float = EVERY,
) -> AsyncIterator[T | None]:
    """What `look` finds, each time that its `shape` is another than before; None as a sign of life where
    nothing changes for long. Looks `every` so many seconds, as long as `may_look`: a stream outlives the
    question that began it, and a key may be revoked meanwhile. Ends when the service stops."""
    told: Hashable = object()
    silent = 0
    while not loops.stopping.is_set() and await may_look():
        found = await look()
        if (now := shape(found)) != told:
            told, silent = now, 0
            yield found
        silent += 1
        if silent % SIGN_OF_LIFE == 0:
            yield None
        try:
            async with asyncio.timeout(every):
                await loops.stopping.wait()
        except TimeoutError:
            continue
