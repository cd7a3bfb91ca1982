"""Stop sending until somebody acts: open or draining -> paused, with the reason that the user is told."""

from __future__ import annotations

import contextlib

from nightmail.core.lifecycle import RunEvent
from nightmail.core.run import PauseReason
from nightmail.errors import IllegalMove
from nightmail.stages.ports import Ports


async def pause(ports: Ports, reason: PauseReason, message: str | None) -> None:
    """Pause the run. One that is paused already, or over, stays as it is: stages that run at the same
    time meet the same trouble, and the first to tell has told."""
    with contextlib.suppress(IllegalMove):
        await ports.store.runs.record_event(
            ports.run_no,
            RunEvent.PAUSED,
            now=ports.now(),
            reason=reason,
            message=message,
            lease=ports.lease,
        )
