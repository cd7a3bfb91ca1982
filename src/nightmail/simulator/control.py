"""What no customer of a provider can do: read its books, move its clock, break it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from nightmail.errors import ConfigError
from nightmail.simulator.books import billed, books, levels
from nightmail.simulator.calls import answer_json, integer, json_body
from nightmail.simulator.faults import plan_from
from nightmail.simulator.parts import Parts
from nightmail.simulator.refusal import Refusal, wrong_type


async def show_books(request: Request, parts: Parts) -> Response:
    """GET /_simulator/books"""
    return answer_json(books(parts.state, parts.settings.quotas))


async def show_billed(request: Request, parts: Parts) -> Response:
    """GET /_simulator/books/requests?above=n: `custom_id`s billed more than n times, with how often"""
    return answer_json(billed(parts.state, integer(request, "above", 0, 0, 1_000_000)))


async def show_levels(request: Request, parts: Parts) -> Response:
    """GET /_simulator/books/levels?model=m: [time, tokens enqueued from then on], oldest first"""
    return answer_json(levels(parts.state, request.query_params.get("model", "")))


async def replace_faults(request: Request, parts: Parts) -> Response:
    """POST /_simulator/faults: a plan as in a faults file; holds from now on, until the process ends"""
    try:
        plan = plan_from(await json_body(request))
    except ConfigError as error:
        raise Refusal(400, str(error), code="invalid_plan") from error
    parts.replace_plan(plan)
    return answer_json({"faults": len(plan.faults), "answers": len(plan.answers)})


async def advance_clock(request: Request, parts: Parts) -> Response:
    """POST /_simulator/clock {"advance": seconds}"""
    seconds = (await json_body(request)).get("advance")
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or seconds < 0:
        raise wrong_type("advance", "a number of seconds, not below 0", seconds)
    parts.clock.advance(float(seconds))
    parts.state.note("clock offset", parts.clock.offset)
    return answer_json({"now": parts.clock.now(), "offset": parts.clock.offset})


async def show_state(request: Request, parts: Parts) -> Response:
    """GET /_simulator/state"""
    counted = dict(parts.state.rows("SELECT status, count(*) FROM batches GROUP BY status"))
    (files,) = parts.state.rows("SELECT count(*) FROM files")[0]
    return answer_json(
        {
            "simulated": True,
            "now": parts.clock.now(),
            "timing": parts.settings.timing,
            "speed": parts.settings.speed,
            "seed": parts.settings.seed,
            "upstream": parts.settings.upstream,
            "batches": counted,
            "files": files,
            "quotas": parts.settings.quotas,
            "enqueued": {queue: tokens for queue, (tokens, _) in parts.state.enqueued().items()},
            "faults": [fault.kind for fault in parts.struck.plan.faults],
            "opportunities": parts.struck.counts,
        }
    )
