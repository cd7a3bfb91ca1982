"""The Batches endpoints. Creation answers at once, what is wrong with a file is said later, by the batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from nightmail.core.request import Endpoint
from nightmail.simulator import files
from nightmail.simulator.breaking import hang_up, waiting
from nightmail.simulator.calls import answer_json, integer, json_body
from nightmail.simulator.faults import BATCH
from nightmail.simulator.inspection import queue_full
from nightmail.simulator.lifecycle import WINDOW
from nightmail.simulator.parts import Parts
from nightmail.simulator.records import Batch
from nightmail.simulator.refusal import Refusal, missing, wrong_type, wrong_value

_ENDPOINTS = [endpoint.value for endpoint in Endpoint]
_PARAMETERS = ("input_file_id", "endpoint", "completion_window", "metadata", "output_expires_after")
_MAX_PAIRS, _MAX_KEY, _MAX_VALUE = 16, 64, 512


async def create(request: Request, parts: Parts) -> Response:
    """POST /batches"""
    body = await json_body(request)
    _check(body)
    now = parts.clock.now()
    limit = parts.settings.max_creates_per_hour
    if parts.state.created_since(now - 3600) >= limit:
        raise Refusal(
            429,
            f"Rate limit reached for batch creation: {limit} batches per hour. Please try again later.",
            type="requests",
            code="rate_limit_exceeded",
            headers={"retry-after": "60"},
        )
    _check_file(body["input_file_id"], parts)
    model = _first_model(parts.state.path(body["input_file_id"]))
    where: dict[str, Any] = {"model": model, "endpoint": body["endpoint"], "now": now}
    lost = parts.struck.find("create_lost", batch=parts.state.next_batch_number(), **where)
    times = (lost.times or 1) if lost is not None else 1
    for _ in range(times):
        batch = _made(body, now, parts)
        for kind in BATCH:
            fault = parts.struck.find(kind, batch=parts.state.next_batch_number(), **where)
            if fault is not None:
                batch.faults[kind] = fault
        if lost is not None and times > 1:
            batch.faults["create_lost"] = lost
        _refuse_at_once(batch, model or "", parts)
        batch.foresee(now)
        parts.keep_counts()
        parts.state.add_batch(batch)
        parts.lifecycle.begin(batch)
    if lost is not None:
        await hang_up(request)
    return answer_json(batch.shown(parts.settings.dialect))


def _made(body: dict[str, Any], now: float, parts: Parts) -> Batch:
    metadata = None if "metadata" in parts.settings.dialect.without else body.get("metadata")
    expiry = body.get("output_expires_after")
    return Batch(
        id=parts.settings.dialect.new_id("batch_", 32),
        endpoint=body["endpoint"],
        input_file_id=body["input_file_id"],
        created_at=int(now),
        expires_at=int(now) + WINDOW,
        metadata=metadata,
        output_expires_seconds=expiry["seconds"] if expiry else None,
    )


def _refuse_at_once(batch: Batch, model: str, parts: Parts) -> None:
    """Some accounts are told of a full queue by the call itself (facts E.7): a tenant with a `status`."""
    tenant = batch.faults.get("other_tenant")
    if tenant is None or tenant.status is None:
        return
    parts.struck.strikes["other_tenant"] += 1
    parts.keep_counts()
    full = queue_full(parts.settings, model)
    raise Refusal(
        tenant.status,
        tenant.message or full["message"],
        type="invalid_request_error" if tenant.status == 400 else "requests",
        code=tenant.code or full["code"],
        headers=waiting(1.0) if tenant.status == 429 else None,
    )


def _check(body: dict[str, Any]) -> None:
    for name in _PARAMETERS[:3]:
        if body.get(name) is None:
            raise missing(name)
        if not isinstance(body[name], str):
            raise wrong_type(name, "a string", body[name])
    for name in body:
        if name not in _PARAMETERS:
            raise Refusal(400, f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    if body["endpoint"] not in _ENDPOINTS:
        raise wrong_value("endpoint", body["endpoint"], ", ".join(f"'{one}'" for one in _ENDPOINTS))
    if body["completion_window"] != "24h":
        raise wrong_value("completion_window", body["completion_window"], "'24h'")
    _check_metadata(body.get("metadata"))
    expiry = body.get("output_expires_after")
    if expiry is not None:
        if not isinstance(expiry, dict):
            raise wrong_type("output_expires_after", "an object", expiry)
        if expiry.get("anchor") != "created_at":
            raise wrong_value("output_expires_after.anchor", expiry.get("anchor"), "'created_at'")
        seconds = expiry.get("seconds")
        if not isinstance(seconds, int) or not 3_600 <= seconds <= 2_592_000:
            raise wrong_value("output_expires_after.seconds", seconds, "3600 to 2592000")


def _check_metadata(metadata: object) -> None:
    if metadata is None:
        return
    if not isinstance(metadata, dict):
        raise wrong_type("metadata", "an object", metadata)
    if len(metadata) > _MAX_PAIRS:
        raise Refusal(
            400,
            f"Invalid 'metadata': too many properties. Expected an object with at most {_MAX_PAIRS} "
            f"properties, but got an object with {len(metadata)} properties instead.",
            param="metadata",
            code="object_above_max_properties",
        )
    for key, value in metadata.items():
        if not isinstance(value, str):
            raise wrong_type(f"metadata.{key}", "a string", value)
        if len(key) > _MAX_KEY or len(value) > _MAX_VALUE:
            what, limit = ("key", _MAX_KEY) if len(key) > _MAX_KEY else ("value", _MAX_VALUE)
            raise Refusal(
                400,
                f"Invalid 'metadata.{key[:_MAX_KEY]}': {what} too long. Expected a string with maximum "
                f"length {limit}.",
                param=f"metadata.{key[:_MAX_KEY]}",
                code="string_above_max_length",
            )


def _check_file(file_id: str, parts: Parts) -> None:
    unseen = Refusal(
        400,
        f"Cannot find file '{file_id}', or project 'proj_simulated' does not have access to it.",
        param="input_file_id",
    )
    try:
        file = files.found(parts, file_id)
    except Refusal:
        raise unseen from None
    if file.purpose != "batch":
        raise Refusal(
            400, f"Invalid file purpose '{file.purpose}': the input file of a batch has the purpose 'batch'.",
            param="input_file_id", code="invalid_value",
        )  # fmt: skip
    hidden = parts.struck.find("file_not_visible", now=parts.clock.now())
    if hidden is not None:
        parts.keep_counts()
        if hidden.seconds is None or parts.clock.now() < file.created_at + hidden.seconds:
            raise unseen


def _first_model(path: Path) -> str | None:
    """The model that the first line names, for faults that select by it; validation has not happened yet."""
    with path.open("rb") as file:
        line = file.readline(1 << 20)
    try:
        model = orjson.loads(line)["body"]["model"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return model if isinstance(model, str) else None


def _found(request: Request, parts: Parts) -> Batch:
    batch_id = request.path_params["batch_id"]
    batch = parts.state.batch(batch_id)
    if batch is None or batch.vanished(parts.clock.now()):
        raise Refusal(404, f"No batch found with id '{batch_id}'.", param="batch_id")
    return batch


async def show(request: Request, parts: Parts) -> Response:
    """GET /batches/{id}"""
    batch = parts.lifecycle.progress(_found(request, parts))
    shown = batch.shown(parts.settings.dialect)
    if batch.hidden_polls > 0:
        batch.hidden_polls -= 1
        parts.state.save_batch(batch)
    return answer_json(shown)


async def list_all(request: Request, parts: Parts) -> Response:
    """GET /batches, newest first"""
    if "list" in parts.settings.dialect.without:
        raise Refusal(404, "Invalid URL (GET /v1/batches)")
    limit = integer(request, "limit", 20, 1, 100)
    after, more = request.query_params.get("after"), True
    shown: list[dict[str, Any]] = []
    while more and len(shown) < limit:  # a page is full although some batches cannot be seen
        page, more = parts.state.list_batches(limit=limit - len(shown), after=after)
        for batch in page:
            after = batch.id
            if not _unlisted(batch, parts):
                shown.append(parts.lifecycle.progress(batch).shown(parts.settings.dialect))
    ends = (shown[0]["id"], shown[-1]["id"]) if shown else (None, None)
    return answer_json(
        {"object": "list", "data": shown, "first_id": ends[0], "last_id": ends[1], "has_more": more}
    )


def _unlisted(batch: Batch, parts: Parts) -> bool:
    now = parts.clock.now()
    if batch.hidden_lists > 0:
        batch.hidden_lists -= 1
        parts.state.save_batch(batch)
        return True
    return batch.vanished(now) or now < batch.unlisted_until


async def cancel(request: Request, parts: Parts) -> Response:
    """POST /batches/{id}/cancel"""
    batch = _found(request, parts)
    if batch.ended:
        raise Refusal(409, f"Cannot cancel a batch with status '{batch.status}'.")
    if batch.status != "cancelling":
        parts.lifecycle.progress(batch)
        parts.lifecycle.cancel(batch)
    return answer_json(batch.shown(parts.settings.dialect))
