"""A whole input file looked through: may this batch run, and what will it take?"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import orjson

from nightmail.core.request import Endpoint
from nightmail.simulator.catalogue import queue_of
from nightmail.simulator.execution import Answered, Job, inspect_and_execute
from nightmail.simulator.pool import Pool
from nightmail.simulator.settings import Settings
from nightmail.simulator.validation import MAX_ERRORS, Inspected, LineFault, Piece, inspect, pieces_of

PIECE_BYTES = 4 << 20
LARGE_BYTES = 1 << 20
# Batch FAQ (help.openai.com 9197833): requests, not tokens, are what an embedding model's queue holds.
MAX_ENQUEUED_EMBEDDINGS = 1_000_000
# Said where no quota is set: gpt-4o-mini's in the lowest tier (facts A.7).
LOWEST_TIER_LIMIT = 2_000_000


class Inspection(msgspec.Struct, kw_only=True):
    """`errors` as the batch object shows them; empty if the batch may run. `pieces` in the file's order.

    `answered` has what came of each piece if it was answered in the same reading.
    """

    pieces: list[tuple[Piece, Inspected]]
    answered: list[Answered] | None
    lines: int
    tokens: int
    model: str
    errors: list[dict[str, Any]]
    large: bool


JobOf = Callable[[Piece, int], Job]


async def look_through(
    path: Path, endpoint: Endpoint, settings: Settings, pool: Pool, job_of: JobOf | None = None
) -> Inspection:
    """Read every line of a file and judge it as a batch for `endpoint`; with `job_of`, answer it too."""
    pieces = pieces_of(path, endpoint, PIECE_BYTES)
    large = sum(piece.length for piece in pieces) > LARGE_BYTES
    answered: list[Answered] | None = None
    if job_of is None:
        found = await asyncio.gather(*(pool.run(inspect, piece, large=large) for piece in pieces))
    else:
        jobs = [job_of(piece, number) for number, piece in enumerate(pieces)]
        both = await asyncio.gather(*(pool.run(inspect_and_execute, job, large=large) for job in jobs))
        found = [one for one, _ in both]
        answered = [one for _, one in both]
    models = [name for one in found for name, _ in one.models]
    lines = sum(one.line_count for one in found)
    return Inspection(
        pieces=list(zip(pieces, found, strict=True)),
        answered=answered,
        lines=lines,
        tokens=sum(one.token_total for one in found),
        model=models[0] if models else "",
        errors=_errors(found, endpoint, settings, lines),
        large=large,
    )


def _errors(
    found: list[Inspected], endpoint: Endpoint, settings: Settings, lines: int
) -> list[dict[str, Any]]:
    if lines == 0:
        return [error("empty_file", "The input file is empty.")]
    if lines > settings.max_batch_requests:
        limit = settings.max_batch_requests
        return [
            error(
                "too_many_tasks",
                f"The input file contains {lines:,} requests, more than the limit of {limit:,}.",
            )
        ]
    inputs = sum(one.inputs for one in found)
    if endpoint is Endpoint.EMBEDDINGS and inputs > settings.max_batch_inputs:
        limit = settings.max_batch_inputs
        return [
            error(
                "invalid_request",
                f"The batch contains {inputs:,} embedding inputs, more than the limit of {limit:,}.",
            )
        ]
    faults: list[LineFault] = []
    seen: set[str] = set()
    model: str | None = None
    before = 0
    each_once = len(set().union(*(one.custom_ids for one in found))) == lines
    for one in found:
        faults += [msgspec.structs.replace(fault, line=fault.line + before) for fault in one.faults]
        if not each_once:
            faults += _duplicates(one.custom_ids, seen, before)
        for name, first in one.models:
            model = name if model is None else model
            if name in settings.unknown_models:
                message = f"The provided model '{name}' does not exist or is not supported by the Batch API."
                faults.append(LineFault(first + before, "model_not_found", message, "body.model"))
            elif queue_of(name) != queue_of(model):
                message = f"All requests of a batch must have the same model: '{name}' is not '{model}'."
                faults.append(LineFault(first + before, "model_mismatch", message, "body.model"))
        before += one.line_count
    faults.sort(key=lambda fault: fault.line)
    return [error(fault.code, fault.message, fault.line, fault.param) for fault in faults[:MAX_ERRORS]]


def _duplicates(custom_ids: list[str], seen: set[str], before: int) -> list[LineFault]:
    faults = []
    for number, custom_id in enumerate(custom_ids, before + 1):
        if custom_id and custom_id in seen:
            message = f"The custom_id '{custom_id}' is used more than once."
            faults.append(LineFault(number, "duplicate_custom_id", message, "custom_id"))
        seen.add(custom_id)
    return faults[:MAX_ERRORS]


def error(code: str, message: str, line: int | None = None, param: str | None = None) -> dict[str, Any]:
    """One entry of a batch's `errors.data`."""
    return {"code": code, "message": message, "param": param, "line": line}


def over_quota(
    settings: Settings,
    model: str,
    endpoint: Endpoint,
    *,
    tokens: int,
    requests: int,
    enqueued: tuple[int, int],
) -> dict[str, Any] | None:
    """The error of a batch that does not fit into its model's queue beside what is `enqueued`, or None."""
    limit = _limit(settings, model)
    if limit is not None and enqueued[0] + tokens > limit:
        return queue_full(settings, model)
    if endpoint is Endpoint.EMBEDDINGS and enqueued[1] + requests > MAX_ENQUEUED_EMBEDDINGS:
        return error(
            "token_limit_exceeded",
            f"Enqueued request limit reached for {model} in organization org-simulated. Limit: "
            f"{MAX_ENQUEUED_EMBEDDINGS:,} enqueued requests.",
        )
    return None


def queue_full(settings: Settings, model: str) -> dict[str, Any]:
    """The error that says that no more tokens can be enqueued for a model."""
    limit = _limit(settings, model) or LOWEST_TIER_LIMIT
    return error(
        "token_limit_exceeded",
        f"Enqueued token limit reached for {model} in organization org-simulated. Limit: {limit:,} "
        "enqueued tokens. Please try again once some in_progress batches have been completed.",
    )


def _limit(settings: Settings, model: str) -> int | None:
    return settings.quotas.get(queue_of(model), settings.quotas.get(model))


def poisoned_line(path: Path, marker: str) -> int | None:
    """The number of the first line that holds the text, as it is or as JSON escapes it."""
    quoted = orjson.dumps(marker)[1:-1]
    escaped = json.dumps(marker).encode()[1:-1]
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if quoted in line or escaped in line:
                return number
    return None
