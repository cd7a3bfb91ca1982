"""From what was asked for to a schedule as it is stored: checked where a person still looks at it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from nightmail import plugins
from nightmail.core.run import KeyKind
from nightmail.core.schedule import ScheduleSpec, check_cron, check_name, check_output, output_of
from nightmail.errors import ConfigError, SourceError
from nightmail.sinks.files import sink_format
from nightmail.sources.base import Position
from nightmail.sources.files import resolve
from nightmail.stages.keying import keying_for, no_key
from nightmail.tasks.base import Task
from nightmail.worker.begin import task_of
from nightmail.worker.options import amount_of, mode_named, refuse_unknown, seconds_of


def spec_of(
    name: str,
    task: type[Task] | str,
    output: str,
    *,
    source: str | Path | None,
    watch: str | Path | None,
    cron: str | None,
    time_zone: str,
    every_record: bool,
    options: Mapping[str, Any],
    now: datetime,
) -> ScheduleSpec:
    """See `Schedules.add`. Reads the task and, if it is there, the first records of the source. Raises
    `ConfigError`, `TaskError`, `SourceError`, `SinkError`."""
    prepared, reference = task_of(task, model=options.get("model"))
    if reference.startswith("__main__:"):
        raise ConfigError(f"{prepared.name} is a task that only this process has; put it into a file")
    if (source is None) == (watch is None) or (cron is None) != (source is None):
        raise ConfigError("a schedule has either a source and a cron expression, or a folder to watch")
    place = Path(str(source if watch is None else watch)).expanduser().absolute()
    if watch is not None and not place.is_dir():
        raise ConfigError(f"{place} is no folder, so it cannot be watched")
    pattern = str(Path(output).expanduser().absolute())
    zone = zone_of(time_zone)
    try:
        check_name(name)
        check_output(pattern)
        if cron is not None:
            check_cron(cron)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    first = Path(output_of(pattern, schedule=name, local=now.astimezone(zone)))
    if first.parent == place or fnmatch(str(first), str(place)):
        raise ConfigError(f"{first} would be read by the next run: write the outputs to another folder")
    plugins.load("sinks", sink_format(first)).check(first)
    if cron is not None and not every_record:
        _refuse_row_numbers(place, options.get("key"))
    return ScheduleSpec(
        task=reference,
        source=str(place),
        output=pattern,
        cron=cron,
        time_zone=time_zone,
        every_record=every_record,
        options=_plain(options),
    )


def _refuse_row_numbers(place: Path, key: str | None) -> None:
    """The run would be refused for it at night, when nobody looks."""
    try:
        kind, paths = resolve(place)
    except SourceError:
        # It need not be there yet.
        return
    source = plugins.load("sources", kind)(paths)
    piece = next(source.pieces(Position()))
    first = next((row for row in source.records(piece) if isinstance(row, dict)), None)
    if first is None:
        return
    try:
        keying = keying_for(first, key)
    except ValueError as error:
        raise ConfigError(f"{piece.path}:{piece.row}: {error}; see --key") from None
    if keying.kind is KeyKind.ROW:
        raise ConfigError(no_key(piece.path))


def zone_of(name: str) -> tzinfo:
    """Raises `ConfigError` if this machine knows no such zone."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            f"there is no time zone {name!r} here; write it like Europe/Berlin (pip install tzdata brings "
            "all of them)"
        ) from error


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of `Client.start` as JSON has them; `ConfigError` for one that there is not, or that is
    wrong."""
    refuse_unknown(options)
    plain = {key: value for key, value in options.items() if value is not None}
    if "mode" in plain:
        plain["mode"] = str(mode_named(plain["mode"]))
    if "budget" in plain:
        plain["budget"] = amount_of(plain["budget"])
    if "deadline" in plain:
        plain["deadline"] = f"{seconds_of(plain['deadline'])}s"
    return plain
