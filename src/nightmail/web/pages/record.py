"""One record: every attempt, with what was sent, what came, and why it did not do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import msgspec
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from nightmail.web.asked import Asked
from nightmail.web.pages.frame import HEADERS, page
from nightmail.web.pages.sent import Said, Sent, sent
from nightmail.web.pages.visit import Looking, OwnRun
from nightmail.web.settings import Settings
from nightmail.worker.record import AttemptWhole

router = APIRouter(prefix="/runs/{run_id}", include_in_schema=False)
Number = Annotated[int, Path(ge=1, le=2**62)]
# Images travel in requests, and a page that no browser can show helps nobody.
LONGEST = 50_000


class Shown(NamedTuple):
    """An attempt, taken apart for people. `same` is the earlier attempt whose request this one repeats."""

    attempt: AttemptWhole
    sent: Sent | None
    same: int | None
    said: list[Said]
    raw: str | None


@router.get("/records")
async def find_record(
    run_id: OwnRun, client: Asked, viewer: Looking, key: Annotated[str, Query(max_length=2000)]
) -> RedirectResponse:
    """To the record with the key. The page of the record has its number in its address."""
    number = await client.inquiries.number_of(run_id, key)
    return RedirectResponse(f"/runs/{run_id}/records/{number}", status_code=303, headers=HEADERS)


@router.get("/records/{number}")
async def read_record(
    request: Request, run_id: OwnRun, number: Number, client: Asked, viewer: Looking
) -> HTMLResponse:
    settings: Settings = request.app.state.settings
    whole = await client.inquiries.record(run_id, number, texts=not settings.hide_texts)
    values = {
        "record": whole,
        "attempts": shown(whole.attempts),
        "output": short(written(whole.output)) if whole.output is not None else None,
        "hide_texts": settings.hide_texts,
    }
    return page(request, "record.html", viewer, values)


def shown(attempts: Any) -> list[Shown]:
    """The attempts; a request that was sent before is shown once."""
    found: list[Shown] = []
    seen: list[tuple[int, Any]] = []
    for each in attempts:
        same = next((number for number, request in seen if request == each.request), None)
        if each.request is not None and same is None:
            seen.append((each.number, each.request))
        whole = isinstance(each.request, Mapping) and same is None
        found.append(
            Shown(
                attempt=each,
                sent=shortened(sent(each.request)) if whole else None,
                same=same if each.request is not None else None,
                said=[Said(role, short(text)) for role, text in said_in(each.answer)],
                raw=short(written(each.answer)) if each.answer is not None else None,
            )
        )
    return found


def said_in(answer: Any) -> list[Said]:
    """What the model said in a result line of any endpoint, or why the provider said nothing."""
    body = _at(answer, "response", "body")
    error = _at(answer, "error") or _at(body, "error")
    if error:
        message = _at(error, "message")
        return [Said("error", message if isinstance(message, str) else written(error))]
    heard = []
    for choice in _list(_at(body, "choices")):
        heard += [
            ("refusal", _at(choice, "message", "refusal")),
            ("answer", _at(choice, "message", "content")),
        ]
        heard += [("answer", _at(choice, "text"))]
    for item in _list(_at(body, "output")):
        for part in _list(_at(item, "content")):
            heard += [("refusal", _at(part, "refusal")), ("answer", _at(part, "text"))]
    return [Said(role, text) for role, text in heard if isinstance(text, str)]


def shortened(whole: Sent) -> Sent:
    """The same with no text of it too long for a page."""
    return whole._replace(
        messages=[Said(role, short(text)) for role, text in whole.messages],
        schema=short(whole.schema) if whole.schema is not None else None,
        rest=short(whole.rest),
    )


def short(text: str) -> str:
    """The text, or its beginning and how much more there is."""
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}\n... and {len(text) - LONGEST:,} characters more"


def written(value: Any) -> str:
    """A text as it is, anything else as JSON."""
    if isinstance(value, str):
        return value
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _at(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
