"""What was sent, and what was judged, is read once: the memory in which the system keeps it is given back.

Otherwise a run of a million records takes two gigabytes of it from other programs, and each page of the next
file is one that was not used before, which on a virtual machine costs several times as much as one that was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from nightmail.core.request import RequestState
from nightmail.stages.ports import Ports


async def let_go(ports: Ports, ranges: Iterable[tuple[str, int, int]]) -> None:
    """Give back what the system keeps of these ranges of spool files, unless records were found that share
    requests: more of them are compared with what was sent, and given what was answered."""
    tally = await ports.store.requests.count(ports.run_no)
    if not tally.states.get(RequestState.FOLLOWING):
        await asyncio.to_thread(ports.spool.let_go, ranges)
