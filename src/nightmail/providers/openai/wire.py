"""Batch and file objects as the server writes them -> nouns. Pure.

Only `id` is needed; everything else may be missing, null, an empty string or of another type, because
each of these has been seen at some OpenAI-compatible server. Statuses are an open set.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from nightmail.core.batch import Phase
from nightmail.core.request import Endpoint
from nightmail.core.usage import Usage
from nightmail.providers.base import BatchError, RemoteBatch, RemoteFile
from nightmail.providers.openai.complaints import name, queue_limit

COMPLETION_WINDOW = "24h"  # the only value that the API takes

# OpenAI's eight words, then those of servers that imitate it. What is not here is `in_progress`.
_PHASES = {
    **{phase.value: phase for phase in Phase},
    "scheduling": Phase.VALIDATING,
    "queued": Phase.VALIDATING,
    "pending": Phase.VALIDATING,
    "canceling": Phase.CANCELLING,
    "cancellation_requested": Phase.CANCELLING,
    "succeeded": Phase.COMPLETED,
    "success": Phase.COMPLETED,
    "error": Phase.FAILED,
    "timeout_exceeded": Phase.EXPIRED,
    "canceled": Phase.CANCELLED,
}
_MILLISECONDS_FROM = 100_000_000_000  # as seconds this is the year 5138


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a list. `has_more` is None where the server does not say."""

    items: tuple[msgspec.Raw, ...]
    last_id: str | None
    has_more: bool | None


class _Envelope(msgspec.Struct):
    data: list[msgspec.Raw] | None = None
    last_id: Any = None
    has_more: Any = None


def create_body(input_file_id: str, endpoint: Endpoint, metadata: Mapping[str, str]) -> dict[str, Any]:
    """What `POST /batches` takes; no `metadata` field at all if there is none to send."""
    body: dict[str, Any] = {
        "input_file_id": input_file_id,
        "endpoint": endpoint.value,
        "completion_window": COMPLETION_WINDOW,
    }
    return {**body, "metadata": dict(metadata)} if metadata else body


def phase_of(status: str) -> Phase:
    """What a status word means to us; a word nobody knows is work in progress."""
    return _PHASES.get(status.lower(), Phase.IN_PROGRESS)


def read_batch(raw: bytes) -> RemoteBatch:
    """A batch object, also inside `{"job": ...}`. Raises `ValueError` if it is none."""
    value = _object(raw, "batch")
    job = value.get("job")
    if "id" not in value and isinstance(job, dict):
        value, raw = job, msgspec.json.encode(job)
    counts = _mapping(value.get("request_counts"))
    status = name(value.get("status")) or ""
    return RemoteBatch(
        id=_id(value, "batch"),
        status=status,
        phase=phase_of(status),
        endpoint=name(value.get("endpoint")),
        model=name(value.get("model")),
        input_file_id=name(value.get("input_file_id")),
        output_file_id=name(value.get("output_file_id")),
        error_file_id=name(value.get("error_file_id")),
        total=_count(counts.get("total")),
        completed=_count(counts.get("completed")),
        failed=_count(counts.get("failed")),
        errors=_errors(value.get("errors") or value.get("error")),
        metadata={str(key): str(text) for key, text in _mapping(value.get("metadata")).items()},
        usage=_usage(_mapping(value.get("usage"))),
        created_at=time_of(value.get("created_at")),
        raw=msgspec.Raw(raw),
    )


def _usage(told: Mapping[str, Any]) -> Usage | None:
    """The batch's own sum of tokens; batches of servers that do not sum have none (facts A.2)."""
    read, made = _count(told.get("input_tokens")), _count(told.get("output_tokens"))
    if read is None or made is None:
        return None
    cached = _count(_mapping(told.get("input_tokens_details")).get("cached_tokens"))
    return Usage(read, made, cached or 0)


def read_file(raw: bytes) -> RemoteFile:
    """A file object. Raises `ValueError` if it is none."""
    value = _object(raw, "file")
    return RemoteFile(
        id=_id(value, "file"),
        bytes=_count(value.get("bytes")),
        filename=name(value.get("filename")),
        purpose=name(value.get("purpose")),
        created_at=time_of(value.get("created_at")),
    )


def read_deleted(raw: bytes) -> bool:
    """Whether a delete call did it; a server that answers with nothing, but 2xx, did."""
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return True
    return not (isinstance(value, dict) and value.get("deleted") is False)


def read_page(raw: bytes) -> Page:
    """A page of a list, or a bare array. Raises `ValueError` if it is neither."""
    try:
        if raw.lstrip()[:1] == b"[":
            items = msgspec.json.decode(raw, type=list[msgspec.Raw])
            return Page(items=tuple(items), last_id=None, has_more=None)
        page = msgspec.json.decode(raw, type=_Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"not a list: {error}") from error
    if page.data is None:
        raise ValueError("not a list: it has no data")
    return Page(
        items=tuple(page.data),
        last_id=name(page.last_id),
        has_more=page.has_more if isinstance(page.has_more, bool) else None,
    )


def time_of(value: Any) -> datetime | None:
    """Unix seconds (whole or not), milliseconds, or ISO text -> an aware time; else None."""
    if isinstance(value, bool):
        return None
    try:
        if isinstance(value, str):
            if not _is_number(value):
                time = datetime.fromisoformat(value)
                return time if time.tzinfo else time.replace(tzinfo=UTC)
            value = float(value)
        if isinstance(value, int | float) and value > 0:
            return datetime.fromtimestamp(value / 1000 if value >= _MILLISECONDS_FROM else value, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None


def _errors(value: Any) -> tuple[BatchError, ...]:
    if isinstance(value, Mapping) and "data" in value:
        value = value["data"]
    if not value:
        return ()
    if not isinstance(value, list):
        value = [value]
    return tuple(_error(item) for item in value if item)


def _error(item: Any) -> BatchError:
    if not isinstance(item, Mapping):
        return BatchError(message=str(item))
    return BatchError(
        code=name(item.get("code")) or name(item.get("type")),
        message=name(item.get("message")),
        line=_count(item.get("line")),
        param=name(item.get("param")),
        limit=queue_limit(name(item.get("message"))),
    )


def _object(raw: bytes, what: str) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"not a {what}: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"not a {what}: {type(value).__name__}")
    return value


def _id(value: Mapping[str, Any], what: str) -> str:
    found = name(value.get("id"))
    if found is None:
        raise ValueError(f"not a {what}: it has no id")
    return found


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def _count(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and not _is_number(value):
        return None
    try:
        return max(0, int(float(value)))
    except OverflowError:
        return None


def _is_number(text: str) -> bool:
    return text.isascii() and text.replace(".", "", 1).isdigit()
