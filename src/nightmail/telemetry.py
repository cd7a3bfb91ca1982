"""The names of what is told: events in the store, and the same in the log.

Every event names its run and, where there is one, its batch. None holds prompt or answer text, a key
or a whole line of a file.
"""

from __future__ import annotations

import logging
from enum import StrEnum
from typing import Any

logger = logging.getLogger("nightmail")


class EventName(StrEnum):
    """What can be told of a run. Stored as text; add names, never change one."""

    BATCH_SUBMITTED = "batch_submitted"  # the provider has it: its id there
    BATCH_DOUBTFUL = "batch_doubtful"  # nobody can find out whether the provider has it
    BATCH_REFUSED = "batch_refused"  # the provider refused it whole: code, message, what follows
    BATCH_RECUT = "batch_recut"  # larger than the limit that the provider has named since it was planned
    EXTRA_BATCH = "extra_batch"  # a second one for the same requests was found and asked to end
    EXTRA_BOOKED = "extra_booked"  # it has ended: what it cost, and how much of that bought nothing
    RESULTS_ODD = "results_odd"  # unknown, doubled, missing or unreadable result lines
    RESULT_FILE_GONE = "result_file_gone"  # the provider no longer has a result file
    REMOTE_FILES_DELETED = "remote_files_deleted"  # which
    PROVIDER_TROUBLE = "provider_trouble"  # a call failed and is put off; told at 1, 10, 100 times
    RUN_HURRIED = "run_hurried"  # a deadline nears: what is left goes by calls
    RUN_PUT_OFF = "run_put_off"  # a worker cannot drive the run now, and why
    RUN_SCHEDULED = "run_scheduled"  # a schedule has started it: which, and for when
    SCHEDULE_PUT_OFF = "schedule_put_off"  # a schedule cannot start its run now, and why


QUIET = (
    EventName.BATCH_SUBMITTED,
    EventName.BATCH_RECUT,
    EventName.REMOTE_FILES_DELETED,
    EventName.RUN_SCHEDULED,
)


def log(name: EventName, *, run_id: str, batch_id: str | None, detail: dict[str, Any]) -> None:
    """Write an event to the log as one line of fields."""
    level = logging.INFO if name in QUIET else logging.WARNING
    if logger.isEnabledFor(level):
        fields = " ".join(f"{key}={value!r}" for key, value in detail.items())
        logger.log(level, "%s run=%s batch=%s %s", name, run_id, batch_id or "-", fields)
