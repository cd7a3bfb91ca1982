"""What went wrong, as problem details (RFC 9457): one shape for every error of the API.

`type` is a name that programs may rely on, `status` the HTTP status, `title` says what kind of thing
went wrong, `detail` what exactly and what to do. A fault of ours tells nothing of its inside; it is in
the log.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.routing import Match

from nightmail.errors import (
    AuthenticationFailed,
    BillingBlocked,
    ConfigError,
    DiskFull,
    NightmailError,
    NotNow,
    ProviderError,
    RunChanged,
    SinkError,
    SourceError,
    StoreError,
    TaskError,
    UnknownBatch,
    UnknownRecord,
    UnknownRun,
)

logger = logging.getLogger("nightmail")
MEDIA_TYPE = "application/problem+json"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# The framework's words, with status 400, for a body that is not even text.
UNREADABLE = "There was an error parsing the body"
PREFIX = "urn:nightmail:problem:"


class ProblemDetails(BaseModel):
    """An error of the API (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, Any]] | None = None


class Problem(Exception):
    """Raised by a route: the status, the last part of the problem's type, and what to tell."""

    def __init__(
        self, status: int, name: str, detail: str, *, headers: dict[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.name = name
        self.detail = detail
        self.headers = headers or {}
        self.more = more


def not_found(what: str) -> Problem:
    """For what is not there, and for what is somebody else's: nobody can tell one from the other."""
    return Problem(404, "not-found", f"there is no {what}")


def answer(problem: Problem) -> Response:
    """The problem as an HTTP answer."""
    body = ProblemDetails(
        type=f"{PREFIX}{problem.name}",
        title=HTTPStatus(problem.status).phrase,
        status=problem.status,
        detail=problem.detail,
        **problem.more,
    )
    return Response(
        body.model_dump_json(exclude_none=True),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers=problem.headers,
    )


def problem_of(error: NightmailError) -> Problem:
    """An error of nightmail in HTTP's words, by who must act."""
    text = str(error)
    match error:
        case UnknownRun():
            # Its own text names the runs that there are.
            return not_found("such run")
        case UnknownBatch():
            return not_found("such batch")
        case UnknownRecord():
            return not_found("such record")
        case NotNow():
            return Problem(409, "not-now", text)
        case RunChanged():
            return Problem(409, "run-changed", text)
        case TaskError():
            return Problem(422, "task", text)
        case SourceError():
            return Problem(422, "source", text)
        case SinkError() | ConfigError():
            return Problem(422, "invalid", text)
        case DiskFull():
            return Problem(507, "disk-full", "the service has no room to keep this; nothing was taken in")
        case AuthenticationFailed() | BillingBlocked() | ProviderError():
            return Problem(502, "provider", text)
        case StoreError():
            return Problem(
                503, "store", "the service's database cannot be used now", headers={"Retry-After": "5"}
            )
        case _:
            return _ours()


def install(app: FastAPI, told: Callable[[Request, Problem], Response]) -> None:
    """Every error of the application becomes a problem, which is `told` in its asker's form."""

    @app.exception_handler(Problem)
    async def _(request: Request, error: Problem) -> Response:
        return told(request, error)

    @app.exception_handler(NightmailError)
    async def _(request: Request, error: NightmailError) -> Response:
        problem = problem_of(error)
        if problem.status >= 500:
            logger.error("%s %s: %s: %s", request.method, request.url.path, type(error).__name__, error)
        return told(request, problem)

    @app.exception_handler(HTTPException)
    async def _(request: Request, error: HTTPException) -> Response:
        if error.detail == UNREADABLE:
            return told(request, Problem(422, "invalid", str(error.detail)))
        name = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
        headers = dict(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            # The framework names the methods of one route; a path may have several.
            headers["Allow"] = ", ".join(_methods(request))
        return told(request, Problem(error.status_code, name, str(error.detail), headers=headers))

    @app.exception_handler(RequestValidationError)
    async def _(request: Request, error: RequestValidationError) -> Response:
        # Without what was sent: it may be a prompt, or a key in the wrong place.
        errors = [{"at": ".".join(map(str, each["loc"])), "message": each["msg"]} for each in error.errors()]
        said = "; ".join(f"{each['at']}: {each['message']}" for each in errors[:3])
        return told(request, Problem(422, "invalid", said, errors=errors))

    @app.exception_handler(Exception)
    async def _(request: Request, error: Exception) -> Response:
        return told(request, _ours())


def _methods(request: Request) -> list[str]:
    """The methods that the request's path knows."""
    routes = request.app.router.routes
    return [
        method
        for method in METHODS
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    ]


def _ours() -> Problem:
    return Problem(500, "internal", "this is a fault of nightmail; its log has the details")


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a route may answer with, for its description."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
        }
        for status in statuses
    }
