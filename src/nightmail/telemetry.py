"""The names of what is told: events in the store, the same in the log, and metrics; and our own, to servers.

Every event names its run and, where there is one, its batch. None holds prompt or answer text, a key
or a whole line of a file.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from enum import Enum, StrEnum
from functools import cache
from typing import Any, NamedTuple

import msgspec

from nightmail.errors import ConfigError

logger = logging.getLogger("nightmail")


class EventName(StrEnum):
    """What can be told of a run. Stored as text; add names, never change one."""

    RUN_MOVED = "run_moved"  # its state changed: from what, to what, and why if it is paused
    BATCH_SUBMITTED = "batch_submitted"  # the provider has it: its id there
    BATCH_ENDED = "batch_ended"  # the provider is finished with it: how, and its counts
    BATCH_DOUBTFUL = "batch_doubtful"  # nobody can find out whether the provider has it
    BATCH_REFUSED = "batch_refused"  # the provider refused it whole: code, message, what follows
    BATCH_RECUT = "batch_recut"  # larger than the limit that the provider has named since it was planned
    QUOTA_LEARNED = "quota_learned"  # a refusal told how much a model's queue takes, or to wait
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
    EventName.RUN_MOVED,
    EventName.BATCH_SUBMITTED,
    EventName.BATCH_ENDED,
    EventName.BATCH_RECUT,
    EventName.REMOTE_FILES_DELETED,
    EventName.RUN_SCHEDULED,
)


@cache
def agent() -> str:
    """Who we are, to a server that is called: `nightmail/0.1.0`."""
    from importlib.metadata import version

    return f"nightmail/{version('nightmail')}"


class About(NamedTuple):
    """Whose work is being done: what a line of the log, or a span, is about."""

    run_id: str | None = None
    batch_id: str | None = None


NOTHING = About()
_about: ContextVar[About] = ContextVar("nightmail_about", default=NOTHING)


def about() -> About:
    """What this task is working on."""
    return _about.get()


@contextmanager
def telling_of(run_id: str, batch_id: str | None = None) -> Iterator[None]:
    """Everything that is logged inside is about this run and this batch."""
    token = _about.set(About(run_id, batch_id))
    try:
        yield
    finally:
        _about.reset(token)


def log(name: EventName, *, run_id: str, batch_id: str | None, detail: dict[str, Any]) -> None:
    """Write an event to the log as one line of fields."""
    level = logging.INFO if name in QUIET else logging.WARNING
    if logger.isEnabledFor(level):
        fields = " ".join(f"{key}={value!r}" for key, value in detail.items())
        told = {"event": name, "run": run_id, "batch": batch_id, "detail": detail}
        extra = {"nightmail": told}
        logger.log(level, "%s run=%s batch=%s %s", name, run_id, batch_id or "-", fields, extra=extra)


class JsonLines(logging.Formatter):
    """A line of JSON for each line of the log: `time`, `level`, `logger`, `message`, `run`, `batch`, and for
    an event its name and its `detail`."""

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, Any] = getattr(record, "nightmail", None) or about()._asdict()
        line = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "run": told.get("run", told.get("run_id")),
            "batch": told.get("batch", told.get("batch_id")),
        }
        if "event" in told:
            line |= {"event": told["event"], "detail": told["detail"]}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


def log_lines(form: str | None) -> None:
    """Write the log, from INFO on what is nightmail's own, to standard error: as `text` (also if nothing is
    said) or as `json`. Raises `ConfigError` for any other form."""
    if form not in (None, "", "text", "json"):
        raise ConfigError(f"NIGHTMAIL_LOG is {form!r}: it can be text or json")
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if form == "json" else logging.Formatter("%(asctime)s %(message)s"))
    logging.basicConfig(handlers=[handler])
    logger.setLevel(logging.INFO)


class Metric(Enum):
    """What is measured, with its kind, its labels and its words. Dashboards rely on the names: add some,
    never change one. A counter's name gets `_total` at its end."""

    RUNS = "nightmail_runs", "gauge", ("state",), "Runs by their state."
    RECORDS = "nightmail_records", "gauge", ("state",), "Records by their state, over all runs."
    FAILED_RECORDS = "nightmail_failed_records", "gauge", ("reason",), "Failed records by the reason."
    BATCHES = "nightmail_batches", "gauge", ("state",), "Batches by their state."
    UNSENT_REQUESTS = "nightmail_unsent_requests", "gauge", (), "Requests that wait to be put into a batch."
    OLDEST_UNSENT_BATCH = (
        "nightmail_oldest_unsent_batch_seconds", "gauge", (), "How long the oldest planned batch has waited.",
    )  # fmt: skip
    ENQUEUED_TOKENS = (
        "nightmail_enqueued_tokens", "gauge", ("account", "model"), "Tokens in a model's queue, we count.",
    )  # fmt: skip
    QUEUE_LIMIT = (
        "nightmail_queue_limit_tokens", "gauge", ("account", "model"), "How much it takes, if that is known.",
    )  # fmt: skip
    QUEUE_BLOCKED = (
        "nightmail_queue_blocked", "gauge", ("account", "model"), "1 while nothing is sent after a refusal.",
    )  # fmt: skip
    TURNAROUND = (
        "nightmail_batch_turnaround_seconds", "histogram", ("model",), "From submission to end of a batch.",
    )  # fmt: skip
    COST = "nightmail_cost_usd", "counter", ("model",), "What settled batches have cost."
    SYNC_COST = "nightmail_sync_cost_usd", "counter", ("model",), "What synchronous calls would have cost."
    WASTED = "nightmail_wasted_usd", "counter", ("model",), "What of the cost bought no accepted output."
    UNPRICED_BATCHES = (
        "nightmail_unpriced_batches", "gauge", ("model",), "Settled batches whose price is unknown.",
    )  # fmt: skip
    INPUT_TOKENS = "nightmail_input_tokens", "counter", ("model",), "Input tokens of settled batches."
    OUTPUT_TOKENS = "nightmail_output_tokens", "counter", ("model",), "Output tokens of settled batches."
    SPENT_TODAY = "nightmail_spent_today_usd", "gauge", (), "Cost of batches submitted since midnight UTC."
    RESERVED_TODAY = "nightmail_reserved_today_usd", "gauge", (), "What those under way will probably cost."
    DAILY_BUDGET = "nightmail_daily_budget_usd", "gauge", (), "The day's budget, if there is one."
    POLLS = "nightmail_polls", "counter", (), "Looks at batches under way."
    EVENTS = (
        "nightmail_events", "counter", ("name",),
        "Events by name; provider_trouble counts a call's 1st, 10th and 100th failure in a row.",
    )  # fmt: skip
    INTAKE_WAITING = (
        "nightmail_intake_waiting_records", "gauge", ("intake",), "Records that wait in an intake.",
    )  # fmt: skip
    INTAKE_BOUND = (
        "nightmail_intake_max_waiting_records", "gauge", ("intake",), "How many may wait in an intake.",
    )  # fmt: skip
    INTAKE_OLDEST = (
        "nightmail_intake_oldest_seconds", "gauge", ("intake",), "How long the oldest in it has waited.",
    )  # fmt: skip
    INTAKE_MAX_WAIT = (
        "nightmail_intake_max_wait_seconds", "gauge", ("intake",), "After how long a record of it leaves.",
    )  # fmt: skip
    DELIVERIES = "nightmail_deliveries", "gauge", ("state",), "Notices to channels by what became of them."
    OLDEST_DELIVERY = (
        "nightmail_oldest_pending_delivery_seconds", "gauge", (), "How old the oldest untold notice is.",
    )  # fmt: skip

    def __new__(cls, name: str, kind: str, labels: tuple[str, ...], words: str) -> Metric:
        made = object.__new__(cls)
        made._value_ = name
        return made

    def __init__(self, name: str, kind: str, labels: tuple[str, ...], words: str) -> None:
        self.kind = kind
        self.labels = labels
        self.help = words

    @property
    def series(self) -> tuple[str, ...]:
        """The names under which Prometheus keeps it."""
        if self.kind == "counter":
            return (f"{self.value}_total",)
        if self.kind == "histogram":
            return tuple(f"{self.value}_{part}" for part in ("bucket", "count", "sum"))
        return (self.value,)
