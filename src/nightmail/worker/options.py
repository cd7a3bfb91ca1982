"""How a run is to travel, as programs say it, and as it is stored.

One list for everything that starts runs: `Client.start` and `plan`, the synchronous twin, schedules and the
command line. A default is where the stored form is, `RunSpec`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypedDict

from nightmail.config import Settings
from nightmail.core.pricing import parse_usd
from nightmail.core.request import Mode
from nightmail.core.travel import parse_duration
from nightmail.errors import ConfigError


class RunOptions(TypedDict, total=False):
    """Options of a run; what is not given is as in the settings, or as `RunSpec` says.

    `budget` is in USD: what would go over it waits, and the run pauses. A `deadline` ("6h", from the
    run's start) is kept by leaving the batch API in time: what is left then goes by calls, which may cost
    the full price. Runs of higher `priority` go first where they share a model's quota. The same work of
    another `tenant` is another run. With `dedupe`, which is the default, records whose requests are the
    same share one answer.
    """

    key: str | None
    limit: int | None
    model: str | None
    mode: Mode | str
    skip_bad_rows: bool
    max_attempts: int
    budget: Decimal | float | str | None
    deadline: timedelta | str | None
    priority: int
    quotas: dict[str, int] | None
    max_batch_requests: int | None
    max_batch_bytes: int | None
    max_active_batches: int | None
    poll_interval: float | None
    keep_remote_files: bool
    dedupe: bool
    tenant: str | None


def travel_of(settings: Settings, given: Mapping[str, Any]) -> dict[str, Any]:
    """`RunOptions`, all or some, as `RunSpec` has them: checked, and laid over the settings. Raises
    `ConfigError`."""
    refuse_unknown(given)
    rest = dict(given)
    return {
        "provider": settings.provider,
        "base_url": settings.base_url,
        "daily_budget_usd": settings.daily_budget,
        "mode": mode_named(rest.pop("mode", Mode.BATCH)),
        "budget_usd": amount_of(rest.pop("budget", None)),
        "deadline_seconds": seconds_of(rest.pop("deadline", None)),
        "quotas": {**settings.quotas, **(rest.pop("quotas", None) or {})},
        **rest,
    }


def refuse_unknown(given: Mapping[str, Any]) -> None:
    """Raises `ConfigError` for an option that there is not."""
    if unknown := given.keys() - RunOptions.__annotations__.keys():
        known = ", ".join(RunOptions.__annotations__)
        raise ConfigError(f"there is no option {', '.join(sorted(unknown))}; there is: {known}")


def mode_named(mode: Mode | str) -> Mode:
    """Raises `ConfigError` if there is no such mode."""
    try:
        return Mode(mode)
    except ValueError:
        raise ConfigError(f"there is no mode {mode!r}; there is: {', '.join(Mode)}") from None


def seconds_of(deadline: timedelta | str | None) -> float | None:
    """A deadline as it is stored; `ConfigError` if it is no length of time."""
    if deadline is None:
        return None
    try:
        return (parse_duration(deadline) if isinstance(deadline, str) else deadline).total_seconds()
    except ValueError as error:
        raise ConfigError(f"a deadline: {error}") from error


def amount_of(amount: Decimal | float | str | None) -> str | None:
    """A budget as it is stored; `ConfigError` if it is no amount of money."""
    if amount is None:
        return None
    try:
        parse_usd(str(amount))
    except ValueError as error:
        raise ConfigError(f"a budget is an amount of USD such as 5 or 0.25, not {amount!r}") from error
    return str(amount)
