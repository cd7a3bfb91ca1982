"""Quiet hours: when a person may be told something."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta, tzinfo

import msgspec

_HOURS = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)-([01]?\d|2[0-3]):([0-5]\d)")


class QuietHours(msgspec.Struct, frozen=True, kw_only=True):
    """From `begin` to `end` by the clock on the wall in `zone`, each day; over midnight if `end` is the
    earlier one."""

    begin: time
    end: time
    zone: tzinfo


def parse_quiet(text: str, zone: tzinfo) -> QuietHours:
    """`22:00-07:00`. Raises `ValueError`."""
    found = _HOURS.fullmatch(text.replace(" ", ""))
    if found is None:
        raise ValueError(f"{text!r} are no hours; write them like 22:00-07:00")
    hour, minute, end_hour, end_minute = map(int, found.groups())
    begin, end = time(hour, minute), time(end_hour, end_minute)
    if begin == end:
        raise ValueError(f"{text!r} begins when it ends; write hours like 22:00-07:00")
    return QuietHours(begin=begin, end=end, zone=zone)


def loud_at(quiet: QuietHours | None, now: datetime) -> datetime:
    """`now` if it is not quiet, else when the quiet hours end."""
    if quiet is None:
        return now
    local = now.astimezone(quiet.zone)
    clock = local.time()
    over_midnight = quiet.end < quiet.begin
    if over_midnight:
        is_quiet = clock >= quiet.begin or clock < quiet.end
    else:
        is_quiet = quiet.begin <= clock < quiet.end
    if not is_quiet:
        return now
    day = local.date() + timedelta(days=1 if over_midnight and clock >= quiet.begin else 0)
    ends = [
        datetime.combine(day, quiet.end, tzinfo=quiet.zone).replace(fold=fold).astimezone(UTC)
        for fold in (0, 1)
    ]
    # In the night in which the clock is put back the hour may come twice, the first time before now.
    return next((end for end in ends if end > now), ends[-1])
