"""What the simulator remembers of a file and of a batch, and how the API shows them."""

from __future__ import annotations

from typing import Any

import msgspec

from nightmail.simulator.dialect import Dialect
from nightmail.simulator.faults import Fault

TERMINAL = ("failed", "completed", "expired", "cancelled")


class File(msgspec.Struct, kw_only=True):
    """A stored file; its bytes are in the folder `files/` under its id."""

    id: str
    purpose: str
    filename: str
    bytes: int
    created_at: int
    expires_at: int | None = None
    batch: str | None = None  # whose output or errors it holds

    def shown(self) -> dict[str, Any]:
        """The File object of the API."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": self.bytes,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "filename": self.filename,
            "purpose": self.purpose,
            "status": "processed",
            "status_details": None,
        }


class Batch(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A batch. `number` counts from 1; `faults` are those decided at its creation, by kind."""

    number: int = 0
    id: str
    endpoint: str
    input_file_id: str
    created_at: int
    status: str = "validating"
    completion_window: str = "24h"
    metadata: dict[str, str] | None = None
    model: str | None = None
    queue: str | None = None
    enqueued_tokens: int = 0
    enqueued_requests: int = 0
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: list[dict[str, Any]] | None = None
    expires_at: int = 0
    in_progress_at: int | None = None
    finalizing_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    expired_at: int | None = None
    cancelling_at: int | None = None
    cancelled_at: int | None = None
    total: int = 0
    completed: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    executions: int = 0
    began: float | None = None  # when processing began and when it was stopped, to the fraction
    stopped: float | None = None
    output_expires_seconds: int | None = None
    hidden_polls: int = 0  # ... at which file ids are not there yet
    hidden_lists: int = 0  # ... in which the batch is not there yet
    hidden_reads: int = 0  # ... of its files, which are not there yet
    unlisted_until: float = 0.0
    files_hidden_until: float = 0.0
    vanishes_at: float | None = None
    faults: dict[str, Fault] = {}

    @property
    def ended(self) -> bool:
        return self.status in TERMINAL

    def foresee(self, now: float) -> None:
        """Set what faults decide about a batch that is created now."""
        if (lag := self.faults.get("list_lags")) is not None:
            self.hidden_lists = lag.times or (2 if lag.seconds is None else 0)
            self.unlisted_until = now + (lag.seconds or 0.0)
        if (vanishing := self.faults.get("batch_vanishes")) is not None:
            self.vanishes_at = now + (vanishing.seconds or 0.0)

    def vanished(self, now: float) -> bool:
        """Whether the API no longer knows it."""
        return self.vanishes_at is not None and now >= self.vanishes_at

    def reach(self, lines: int) -> int:
        """How many of its lines are answered before a fault ends it or lets it stand still."""
        vanishing = self.faults.get("batch_vanishes")
        if vanishing is not None and not vanishing.accepted:
            return 0
        for kind, share in (("stuck", 0.0), ("expire", 0.5), ("cancelled_unasked", 0.5)):
            if (fault := self.faults.get(kind)) is not None:
                return int(lines * (share if fault.share is None else fault.share))
        return lines

    def shown(self, dialect: Dialect) -> dict[str, Any]:
        """The Batch object of the API, with the lies that were decided for it."""
        counts = self._counts()
        late = self.hidden_polls > 0 and self.ended
        absent = "" if "empty_string_ids" in self.faults and self.ended else None
        usage = None
        if self.ended and self.status != "failed":
            usage = {
                "input_tokens": self.input_tokens,
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": self.output_tokens,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": self.input_tokens + self.output_tokens,
            }
        return dialect.batch(
            {
                "id": self.id,
                "object": "batch",
                "endpoint": self.endpoint,
                "model": self.model,
                "errors": {"object": "list", "data": self.errors} if self.errors else None,
                "input_file_id": self.input_file_id,
                "completion_window": self.completion_window,
                "status": self.status,
                "output_file_id": absent if late or self.output_file_id is None else self.output_file_id,
                "error_file_id": absent if late or self.error_file_id is None else self.error_file_id,
                "created_at": self.created_at,
                "in_progress_at": self.in_progress_at,
                "expires_at": self.expires_at,
                "finalizing_at": self.finalizing_at,
                "completed_at": self.completed_at,
                "failed_at": self.failed_at,
                "expired_at": self.expired_at,
                "cancelling_at": self.cancelling_at,
                "cancelled_at": self.cancelled_at,
                "request_counts": counts,
                "usage": usage,
                "metadata": self.metadata,
            }
        )

    def _counts(self) -> dict[str, int] | None:
        total, completed, failed = self.total, self.completed, self.failed
        lie = self.faults.get("lying_counts")
        if lie is not None and self.ended:
            if lie.code == "null":
                return None
            if lie.code == "zero":
                total = completed = failed = 0
            else:
                completed, failed = (total, 0) if failed or completed < total else (total // 2, 0)
        return {"total": total, "completed": completed, "failed": failed}
