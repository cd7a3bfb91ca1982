"""When a schedule is due, and what each of its runs is to write. Pure: now and the time zone are arguments.

An occurrence is a time of the cron expression in the schedule's zone. Where clocks are put forward, a fixed
time that does not exist comes right after the gap; where they are put back, a fixed time comes once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import msgspec

from nightmail.core.ids import RunId

# Clocks are moved by an hour at most, so nothing before this decides which occurrence is the newest.
LOOK_BACK = timedelta(hours=3)
PLACEHOLDERS = ("date", "time", "schedule")
_PLACEHOLDER = re.compile(r"\{(\w*)\}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_ENDING = re.compile(r"\.[a-z]+(?:\.gz|\.zst)?$", re.IGNORECASE)


class ScheduleSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a schedule starts, as it is stored: no key, no prompt. Paths are absolute.

    `cron` is None where `source` is a folder that is watched. `every_record` asks records again that an
    earlier run has delivered unchanged. `options` are those of `Client.start`.
    """

    task: str
    source: str
    output: str
    cron: str | None = None
    time_zone: str = "UTC"
    every_record: bool = False
    provider: str | None = None
    base_url: str | None = None
    options: dict[str, Any] = {}


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule as the store has it. Occurrences are counted from after `since`."""

    schedule_no: int
    name: str
    spec: ScheduleSpec
    paused: bool
    since: datetime
    created_at: datetime


class Occurrence(msgspec.Struct, frozen=True, kw_only=True):
    """One time that a schedule was due: `run_id` once its run is written down, `message` while that does not
    work, `abandoned` if there will be none. `is_open` until its run is over."""

    schedule_no: int
    due_at: datetime
    output: str
    run_id: RunId | None
    message: str | None
    abandoned: bool
    is_open: bool


class ScheduleStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule as it is now. `next_due_at` is None for a watched folder and for a paused one;
    `occurrences` are the newest first."""

    name: str
    spec: ScheduleSpec
    paused: bool
    created_at: datetime
    next_due_at: datetime | None
    occurrences: tuple[Occurrence, ...]


class FileMark(msgspec.Struct, frozen=True, gc=False):
    """A file of a watched folder as it was at a look. Other bytes or another time: another file."""

    path: str
    size: int
    mtime_ns: int


def check_name(name: str) -> None:
    """Raises `ValueError` for what could not be a part of a file name, or be typed."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name for a schedule: up to 40 letters, digits and . _ -")


def check_cron(cron: str) -> None:
    """Raises `ValueError` unless the expression has five fields and comes true some day."""
    from cronsim import CronSim, CronSimError

    fields = cron.split()
    if len(fields) != 5:
        raise ValueError(f"the cron expression {cron!r} has {len(fields)} fields, not 5: "
                         "minute hour day-of-month month day-of-week")  # fmt: skip
    try:
        next(CronSim(cron, datetime(2026, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        raise ValueError(f"the cron expression {cron!r}: {error}") from None
    except StopIteration:
        raise ValueError(f"the cron expression {cron!r} names no day that ever comes") from None


def next_after(cron: str, zone: tzinfo, after: datetime) -> datetime | None:
    """The first occurrence later than `after`, in UTC; None if there is none in the next 50 years."""
    return next(_occurrences(cron, zone, after), None)


def newest(cron: str, zone: tzinfo, *, since: datetime, now: datetime) -> datetime | None:
    """The last occurrence later than `since` and not later than `now`, in UTC: however many were missed,
    this one stands for all of them."""
    from cronsim import CronSim

    first = next_after(cron, zone, since)
    if first is None or first > now:
        return None
    # Backwards it is found at once, however long ago `since` is; that way round the expression may mean
    # other instants on days on which clocks are moved, so the forward way has the last word.
    backwards = CronSim(
        cron, (now + timedelta(seconds=1)).astimezone(zone).replace(microsecond=0), reverse=True
    )
    near = next(backwards).astimezone(UTC) - LOOK_BACK
    found = first
    for each in _occurrences(cron, zone, max(since, near)):
        if each > now:
            break
        found = max(found, each)
    return found


def _occurrences(cron: str, zone: tzinfo, after: datetime) -> Iterator[datetime]:
    from cronsim import CronSim

    for each in CronSim(cron, after.astimezone(zone)):
        at = each.astimezone(UTC)
        # On the day on which clocks are put back, a wall time stands for two instants.
        if at > after:
            yield at


def check_output(pattern: str) -> None:
    """Raises `ValueError` unless the pattern gives each occurrence an output of its own."""
    names = _PLACEHOLDER.findall(pattern)
    for name in names:
        if name not in PLACEHOLDERS:
            raise ValueError(
                f"{pattern}: there is no {{{name}}}; there is {{date}}, {{time}} and {{schedule}}"
            )
    if "date" not in names:
        raise ValueError(f"{pattern}: each run writes a file of its own; put {{date}} into its name, and "
                         "{time} if there are several a day")  # fmt: skip


def output_of(pattern: str, *, schedule: str, local: datetime, number: int = 1) -> str:
    """`out/{date}.jsonl` -> `out/2026-11-21.jsonl`, by the wall clock of the schedule's zone; the second of
    that name is `out/2026-11-21-2.jsonl`."""
    values = {"date": f"{local:%Y-%m-%d}", "time": f"{local:%H%M}", "schedule": schedule}
    path = _PLACEHOLDER.sub(lambda found: values[found[1]], pattern)
    if number == 1:
        return path
    ending = _ENDING.search(path)
    cut = ending.start() if ending else len(path)
    return f"{path[:cut]}-{number}{path[cut:]}"


def seen_since(
    known: dict[FileMark, datetime], present: list[FileMark], now: datetime
) -> dict[FileMark, datetime]:
    """Since when each file that is present has been as it is, as far as it was looked at."""
    # A clock that was set back must not keep a file waiting until it has caught up.
    return {mark: min(known.get(mark, now), now) for mark in present}


def complete(seen: dict[FileMark, datetime], now: datetime, *, settle: timedelta) -> list[FileMark]:
    """Files that have not changed for so long that whoever writes them is done; an empty one never is."""
    return sorted(
        (mark for mark, since in seen.items() if mark.size and now - since >= settle),
        key=lambda mark: mark.path,
    )
