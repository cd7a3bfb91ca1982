"""The last arrow: every request has its final state; deliver, and close the run."""

from __future__ import annotations

import asyncio
from pathlib import Path

from nightmail.core.lifecycle import RunEvent
from nightmail.core.run import Run, RunState, Wish
from nightmail.stages.deliver import deliver
from nightmail.stages.delivered import remember
from nightmail.stages.ports import Ports


async def finish(ports: Ports, run: Run, stop: asyncio.Event) -> Run:
    """Deliver what has succeeded, then move the run to its end. A crash between the two delivers again,
    which gives the same files; `stop` set before the end leaves the run as it is."""
    if not await deliver(ports, run, Path(run.spec.output) if run.spec.output else None, stop=stop):
        return run
    # Before the run counts as delivered: nobody would come back to it afterwards.
    await remember(ports, run)
    await ports.store.runs.record_delivered(ports.lease, now=ports.now())
    if run.state is RunState.FINISHED:
        return run
    event = RunEvent.GIVEN_UP if run.wish is Wish.CANCEL else RunEvent.COMPLETED
    return await ports.store.runs.record_event(run.run_no, event, now=ports.now(), lease=ports.lease)
