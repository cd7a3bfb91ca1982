"""How work has gone, over time: what a run's batches, and those of all runs, have sent and brought back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from nightmail.core.batch import Phase
from nightmail.core.failure import Reason
from nightmail.core.ids import BatchId, RunId

# Points of a run's course: as many as a plot can show.
MOST_POINTS = 200


class Slot(NamedTuple):
    """What happened from `start` on, until the next slot: requests that went into batches, requests of
    batches that were settled, and how many of these have succeeded."""

    start: datetime
    sent: int
    through: int
    succeeded: int


class Point(NamedTuple):
    """A run at one moment: records that have succeeded, and requests at the provider."""

    at: datetime
    succeeded: int
    in_flight: int


class Trip(NamedTuple):
    """A batch's way through the provider, from submission to end."""

    batch_id: BatchId
    run_id: RunId
    model: str
    requests: int
    phase: Phase | None
    submitted_at: datetime
    ended_at: datetime

    @property
    def took(self) -> timedelta:
        return self.ended_at - self.submitted_at


class Reserved(NamedTuple):
    """What batches were expected to cost when they were sent, in pico-USD: those that are settled, and
    those that are under way with how many requests. None where a price is unknown."""

    settled_pusd: int | None
    under_way_pusd: int | None
    under_way: int


class Example(NamedTuple):
    """A record that has failed, and what was said of it last."""

    reason: Reason
    record: int
    key: int | str
    message: str | None


def points(slots: Iterable[Slot], width: timedelta) -> list[Point]:
    """The course of a run: sums up to the end of each slot."""
    course: list[Point] = []
    sent = through = succeeded = 0
    for slot in slots:
        if not course or course[-1].at < slot.start:
            # Nothing has moved since the slot before.
            course.append(Point(slot.start, succeeded, sent - through))
        sent, through, succeeded = sent + slot.sent, through + slot.through, succeeded + slot.succeeded
        course.append(Point(slot.start + width, succeeded, sent - through))
    return course


def projected_pusd(cost: int | None, reserved: Reserved, *, through: int, records: int) -> int | None:
    """What a run will probably come to: what was paid, what is under way, and the same per record for those
    that are still to be sent. None where a price is unknown, or before anything was sent."""
    if cost is None or reserved.under_way_pusd is None or not through + reserved.under_way:
        return None
    known = cost + reserved.under_way_pusd
    left = max(0, records - through - reserved.under_way)
    return known + known * left // (through + reserved.under_way)
