"""What a service says, as our nouns. Pure: the inverse of what the service makes of the same nouns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from nightmail.core.pricing import parse_usd
from nightmail.core.progress import RunStatus
from nightmail.core.schedule import ScheduleSpec, ScheduleStatus
from nightmail.core.tenancy import ApiKey
from nightmail.errors import ConfigError, ServiceUnreachable
from nightmail.stages.deliver import failures_path
from nightmail.stages.estimate import Plan
from nightmail.stores.base import Event
from nightmail.worker.audit import Audit
from nightmail.worker.pages import RecordResult

T = TypeVar("T")


def status_of(row: Mapping[str, Any], output: Path | None = None) -> RunStatus:
    """A run; `output` is where this machine has, or will have, what came of it."""

    def made() -> RunStatus:
        eta = row["eta_seconds"]
        return msgspec.convert(
            {
                **row,
                "task_name": row["task"],
                "cost_pusd": _pusd(row["cost_usd"]),
                "sync_cost_pusd": _pusd(row["sync_cost_usd"]),
                "wasted_pusd": _pusd(row["wasted_usd"]),
                "copies_saved_pusd": _pusd(row["copies_saved_usd"]),
                "eta": None if eta is None else tuple(timedelta(seconds=each) for each in eta),
                "output": None if output is None else str(output),
                "failures": str(failures_path(output)) if output is not None and row["failed"] else None,
            },
            RunStatus,
        )

    return _understood("run", made)


def event_of(row: Mapping[str, Any]) -> Event:
    """An event."""
    return _understood("event", lambda: Event(**{**row, "at": msgspec.convert(row["at"], datetime)}))


def result_of(row: Mapping[str, Any]) -> RecordResult:
    return _understood("result", lambda: msgspec.convert(row, RecordResult))


def plan_of(row: Mapping[str, Any]) -> Plan:
    """A plan, with its money in pico-USD."""

    def costs(said: Mapping[str, str | None]) -> dict[str, int | None]:
        return {name: _pusd(amount) for name, amount in said.items()}

    return _understood(
        "plan",
        lambda: msgspec.convert(
            {**row, "cost": costs(row["cost_usd"]), "sync_cost": costs(row["sync_cost_usd"])}, Plan
        ),
    )


def schedule_of(row: Mapping[str, Any]) -> ScheduleStatus:
    spec = {name: row[name] for name in ScheduleSpec.__struct_fields__ if name in row}
    return _understood("schedule", lambda: msgspec.convert({**row, "spec": spec}, ScheduleStatus))


def key_of(row: Mapping[str, Any]) -> ApiKey:
    """A key by its id; a service tells nobody its digest."""
    return _understood("key", lambda: msgspec.convert({**row, "digest": ""}, ApiKey))


def audit_of(row: Mapping[str, Any]) -> Audit:
    return _understood("audit", lambda: msgspec.convert(row, Audit))


def _pusd(amount: str | None) -> int | None:
    return None if amount is None else parse_usd(amount)


def _understood(what: str, make: Callable[[], T]) -> T:
    try:
        return make()
    except (msgspec.ValidationError, ConfigError, LookupError, TypeError) as error:
        raise ServiceUnreachable(
            f"the service's {what} cannot be read ({error}): is it of another version than this nightmail?"
        ) from error
