"""Handing records in: the route that is asked hundreds of times a second.

It is a plain route, not one of FastAPI's, which would spend more on finding out what to call than taking the
records in costs; so it reads its request and describes itself by hand.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import msgspec
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from nightmail.client import Client
from nightmail.core.scope import Scope as KeyScope
from nightmail.stores.base import Taken
from nightmail.web.described import BY_HAND, READ_BY_HAND, TEMPLATE
from nightmail.web.keys import asker_of, insist
from nightmail.web.problems import Problem, documented, not_found
from nightmail.worker.intakes import MOST_KEY, MOST_RECORDS, Item

PATH = "/api/v1/intakes/{intake_id}/records"
# What waits is looked at twice a second; a client that comes back sooner finds the same.
LEAST_WAIT, MOST_WAIT = 1, 30


class NewRecord(BaseModel):
    """`key` names the record for this tenant and intake: handed in again with the same words it changes
    nothing, with others it is refused."""

    key: Annotated[str, Field(min_length=1, max_length=MOST_KEY)]
    record: dict[str, Any]


class NewRecords(BaseModel):
    """Records of higher `priority` leave first."""

    records: Annotated[list[NewRecord], Field(min_length=1, max_length=MOST_RECORDS)]
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0


class TakenIn(BaseModel):
    """The records are durable. `duplicates` had been handed in before; `waiting` is all that waits."""

    accepted: int
    duplicates: int
    waiting: int


READ_BY_HAND.extend((NewRecord, NewRecords, TakenIn))
BY_HAND[PATH] = {
    "post": {
        "tags": ["intakes"],
        "summary": "Hand In",
        "description": "Hand records in, all or none. The answer comes when they are durable: after it, no "
        "crash loses them.",
        "operationId": "hand_in",
        "security": [{"HTTPBearer": []}],
        "parameters": [{"name": "intake_id", "in": "path", "required": True, "schema": {"type": "string"}}],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": TEMPLATE.format(model=NewRecords.__name__)}}},
        },
        "responses": {
            "202": {
                "description": "Durable",
                "content": {
                    "application/json": {"schema": {"$ref": TEMPLATE.format(model=TakenIn.__name__)}}
                },
            },
            **{
                str(status): described
                for status, described in documented(
                    401, 403, 404, 408, 409, 413, 415, 422, 429, 503, 507
                ).items()
            },
        },
    }
}


class _Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    # Each record is only looked at, and kept as it is.
    records: Annotated[list[Item], msgspec.Meta(min_length=1, max_length=MOST_RECORDS)]
    priority: Annotated[int, msgspec.Meta(ge=-1000, le=1000)] = 0


_PAGES = msgspec.json.Decoder(_Page)


class HandIn:
    """An ASGI application for one page of records."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        client: Client = request.app.state.client
        asker = insist(await asker_of(request), KeyScope.SUBMIT)
        intake = await client.intakes.find(request.path_params["intake_id"])
        if intake is None or not (asker.only in (None, intake.tenant) or intake.spec.shared):
            raise not_found("such intake")
        page = await _page(request)
        taken = await client.intakes.hand_in(
            intake, page.records, tenant=asker.tenant, priority=page.priority
        )
        _refuse(taken, intake.spec.max_wait_seconds)
        said = {"accepted": taken.accepted, "duplicates": taken.duplicates, "waiting": taken.waiting}
        await Response(msgspec.json.encode(said), 202, media_type="application/json")(scope, receive, send)


ROUTE = Route(PATH, HandIn(), methods=["POST"])


async def _page(request: Request) -> _Page:
    """Raises `Problem` for what is no page of records."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Problem(415, "media-type", "records are sent as application/json")
    try:
        return _PAGES.decode(await request.body())
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(422, "invalid", str(error)) from error


def _refuse(taken: Taken, max_wait_seconds: float) -> None:
    """Raises `Problem` if the page was not taken."""
    if taken.conflicts:
        shown = ", ".join(taken.conflicts[:5])
        raise Problem(409, "other-record", f"keys that had been handed in with other words: {shown}")
    if taken.closed:
        raise Problem(409, "closed", "this intake is closed")
    if taken.full:
        wait = min(MOST_WAIT, max(LEAST_WAIT, math.ceil(max_wait_seconds)))
        raise Problem(
            429,
            "full",
            f"{taken.waiting} records wait in this intake, which is its bound; wait {wait} s",
            headers={"Retry-After": str(wait)},
        )
