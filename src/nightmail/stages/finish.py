"""The last arrow: every request has its final state; deliver, and close the run."""

from __future__ import annotations

from pathlib import Path

from nightmail.core.lifecycle import RunEvent
from nightmail.core.run import Run, RunState, Wish
from nightmail.stages.deliver import deliver
from nightmail.stages.ports import Ports


async def finish(ports: Ports, run: Run) -> Run:
    """Deliver what has succeeded, then move the run to its end. A crash between the two delivers again,
    which gives the same files."""
    await deliver(ports, run, Path(run.spec.output) if run.spec.output else None)
    await ports.store.runs.record_delivered(ports.lease, now=ports.now())
    if run.state is RunState.FINISHED:
        return run
    event = RunEvent.GIVEN_UP if run.wish is Wish.CANCEL else RunEvent.COMPLETED
    return await ports.store.runs.record_event(run.run_no, event, now=ports.now(), lease=ports.lease)
