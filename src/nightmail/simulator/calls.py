"""What every call has in common: the key, the faults that strike calls, errors as the API words them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from nightmail.simulator import breaking
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
                faults = await breaking.before(request, parts, route)
                response = await answering(request, parts)
                await breaking.after(request, faults)
            else:
                response = await answering(request, parts)
        except Refusal as refusal:
            # A client that is still sending would see a reset instead of the error.
            with contextlib.suppress(RuntimeError, ClientDisconnect):  # read already
                async for _ in request.stream():
                    pass
            body = parts.settings.dialect.error(refusal.body(), refusal.status)
            response = answer_json(body, refusal.status, refusal.headers)
        except breaking.HungUp:
            return Response(status_code=500)  # to nobody
        except ClientDisconnect:
            return Response(status_code=500)
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception:
            _log.exception("%s %s", request.method, request.url.path)
            response = answer_json(breaking.server_error(500).body(), 500)
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
