"""Search: records by their key, or by a text in their output, over all runs that the viewer may see."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from nightmail.web.asked import Asked
from nightmail.web.keys import refuse_others
from nightmail.web.pages.frame import page
from nightmail.web.pages.visit import Looking
from nightmail.web.problems import Problem
from nightmail.web.settings import Settings
from nightmail.worker.search import Found

router = APIRouter(include_in_schema=False)
Where = Literal["key", "beginning", "outputs"]


@router.get("/search")
async def search(
    request: Request,
    client: Asked,
    viewer: Looking,
    q: Annotated[str, Query(max_length=500)] = "",
    where: Where = "key",
    run: Annotated[str, Query(max_length=200)] = "",
    start: Annotated[str, Query(max_length=1000, description="The `next` of the page before.")] = "",
) -> HTMLResponse:
    """A page of what was found, and a link that goes on where it stopped."""
    settings: Settings = request.app.state.settings
    text, run_id = q.strip(), run.strip()
    if where == "outputs" and settings.hide_texts:
        # That a text is found tells that it is there.
        raise Problem(403, "hidden", "outputs are not searched where texts are hidden")
    if run_id:
        await refuse_others(run_id, viewer.asker, client)
    found: Found | None = None
    if text:
        bound: dict[str, Any] = {"run_id": run_id or None, "tenant": viewer.only, "start": start or None}
        if where == "outputs":
            found = await client.inquiries.search_outputs(text, **bound)
        else:
            found = await client.inquiries.search_keys(text, beginning=where == "beginning", **bound)
    values = {
        "q": text,
        "where": where,
        "run": run_id,
        "start": start,
        "found": found,
        "hide_texts": settings.hide_texts,
    }
    return page(request, "search.html", viewer, values)
