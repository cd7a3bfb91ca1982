"""What every call has in common: the key, the faults that strike calls, errors as the API words them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from nightmail.simulator.faults import Fault
from nightmail.simulator.parts import Parts, parts_of
from nightmail.simulator.refusal import Refusal

_log = logging.getLogger("nightmail.simulator")

Answering = Callable[[Request, Parts], Awaitable[Response]]


def answer_json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), status, headers, media_type="application/json")


def call(route: str, answering: Answering) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint of one named route; the name is what a fault's `route` selects."""

    async def endpoint(request: Request) -> Response:
        parts = parts_of(request)
        try:
            if route != "control":
                _check_key(request, parts)
                await _strike(request, parts, route)
            response = await answering(request, parts)
        except Refusal as refusal:
            # A client that is still sending would see a reset instead of the error.
            with contextlib.suppress(RuntimeError):  # read already
                async for _ in request.stream():
                    pass
            body = parts.settings.dialect.error(refusal.body(), refusal.status)
            response = answer_json(body, refusal.status, refusal.headers)
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception:
            _log.exception("%s %s", request.method, request.url.path)
            response = answer_json(server_error(500).body(), 500)
        response.headers["x-request-id"] = f"req_{secrets.token_hex(16)}"
        response.headers["openai-version"] = "2020-10-01"
        return response

    return endpoint


def _check_key(request: Request, parts: Parts) -> None:
    wanted = parts.settings.api_key
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    if wanted is not None and not secrets.compare_digest(given.encode(), wanted.encode()):
        shown = f"{given[:3]}***" if given else "(none)"
        raise Refusal(401, f"Incorrect API key provided: {shown}.", code="invalid_api_key")


async def _strike(request: Request, parts: Parts, route: str) -> None:
    struck = parts.struck
    if not struck.plan.faults:
        return
    slow = struck.find("slow", route=route)
    limited = struck.find("rate_limited", route=route)
    broken = None
    if route == "create":
        fault = struck.find("create_5xx", route=route)
        if fault is not None and fault.accepted:
            request.state.accepted_5xx = fault
        else:
            broken = fault
    elif route == "upload":
        broken = struck.find("upload_5xx", route=route)
    parts.keep_counts()
    if slow is not None:
        await asyncio.sleep(1.0 if slow.seconds is None else slow.seconds)
    if limited is not None:
        raise _rate_limited(limited)
    if broken is not None:
        raise server_error(broken.status or 500, broken.message)


def _rate_limited(fault: Fault) -> Refusal:
    code = fault.code or "rate_limit_exceeded"
    used_up = code != "rate_limit_exceeded" and code != "slow_down"
    message = fault.message or (
        "You exceeded your current quota, please check your plan and billing details."
        if used_up
        else "Rate limit reached for requests. Please try again later."
    )
    headers = {}
    if not used_up or fault.seconds is not None:
        seconds = 1.0 if fault.seconds is None else fault.seconds
        headers = {
            "retry-after": str(max(int(-(-seconds // 1)), 0)),
            "retry-after-ms": str(int(seconds * 1000)),
        }
    kind = "insufficient_quota" if used_up else "requests"
    return Refusal(fault.status or 429, message, type=kind, code=code, headers=headers)


def server_error(status: int, message: str | None = None) -> Refusal:
    """The provider's 5xx."""
    text = message or "The server had an error while processing your request. Sorry about that!"
    return Refusal(status, text, type="server_error")


async def hang_up(request: Request) -> None:
    """Close the connection without an answer, as if it had been lost on the way.

    Whatever the route answers after this is not sent. Under a server other than ours, which keeps its
    connections to itself, the call ends in an error instead.
    """
    transport = request.scope.get("extensions", {}).get("nightmail.transport", {}).get("transport")
    if transport is None:
        raise ConnectionResetError("the simulator hangs up, as its plan of faults says")
    transport.abort()
    for _ in range(5):  # until the server has noticed that nobody is there to answer
        await asyncio.sleep(0)


async def json_body(request: Request) -> dict[str, Any]:
    """The request's body as an object. Raises `Refusal`."""
    try:
        value = orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        raise Refusal(400, "We could not parse the JSON body of your request.") from error
    if not isinstance(value, dict):
        raise Refusal(400, "The body of the request has to be a JSON object.")
    return value


def integer(request: Request, name: str, default: int, low: int, high: int) -> int:
    """A query parameter within bounds. Raises `Refusal`."""
    given = request.query_params.get(name)
    if given is None:
        return default
    if not given.isdigit() or not low <= int(given) <= high:
        raise Refusal(
            400,
            f"Invalid '{name}': expected an integer between {low} and {high}, but got '{given}' instead.",
            param=name,
            code="invalid_value",
        )
    return int(given)
