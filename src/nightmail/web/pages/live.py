"""Pages that change while somebody looks: the parts of them that are new, as server-sent events.

A part is a template of its own, with one element that has an id. The page includes it, and the stream sends
it drawn anew, so that both are the same; the script only puts it in place.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from fastapi import Request
from fastapi.responses import StreamingResponse

from nightmail.web.changes import COMMENT, EVERY, changes
from nightmail.web.loops import Loops
from nightmail.web.pages.frame import HEADERS, TEMPLATES
from nightmail.web.pages.visit import Viewer, still_looks

T = TypeVar("T")
Parts = Mapping[str, str]


def drawn(templates: Sequence[str], viewer: Viewer, values: Mapping[str, Any]) -> dict[str, str]:
    """Each of the parts as HTML, by the id of its element: `run/money.html` is the part `money`."""
    return {
        name.rpartition("/")[2].removesuffix(".html"): TEMPLATES.get_template(name).render(
            values, viewer=viewer
        )
        for name in templates
    }


def stream(
    request: Request,
    viewer: Viewer,
    look: Callable[[], Awaitable[T]],
    shape: Callable[[T], Hashable],
    draw: Callable[[T], Awaitable[Parts]],
    *,
    is_over: Callable[[T], bool] = lambda _: False,
    every: float = EVERY,
) -> StreamingResponse:
    """Events `parts`, each a JSON object of the parts that are other than before, until one `end`, or
    until the viewer may look no more."""
    loops: Loops = request.app.state.loops

    async def may_look() -> bool:
        return await still_looks(request, viewer)

    async def told() -> AsyncIterator[str]:
        shown: dict[str, str] = {}
        async for found in changes(look, shape, loops, may_look=may_look, every=every):
            if found is None:
                yield COMMENT
                continue
            parts = await draw(found)
            new = {name: html for name, html in parts.items() if shown.get(name) != html}
            shown.update(new)
            yield f"event: parts\ndata: {msgspec.json.encode(new).decode()}\n\n" if new else COMMENT
            if is_over(found):
                yield "event: end\ndata: {}\n\n"
                return

    return StreamingResponse(told(), media_type="text/event-stream", headers=HEADERS)
