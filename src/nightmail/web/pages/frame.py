"""What every page has: the layout, the words for numbers, the headers, and its form of an error.

A page is a template of `templates/` that extends `frame.html`. What is in it is escaped. Styles and scripts
come from `static/` alone: the policy below forbids the browser everything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from nightmail.core import wording
from nightmail.core.progress import RunStatus
from nightmail.web.keys import SIGNED_OUT
from nightmail.web.pages.assets import asset
from nightmail.web.pages.visit import Viewer
from nightmail.web.problems import Problem, answer

# Title and path of what every page leads to.
PLACES = (
    ("Overview", "/"),
    ("Runs", "/runs"),
    ("Search", "/search"),
    ("Errors", "/errors"),
    ("Quotas", "/quotas"),
    ("Schedules", "/schedules"),
    ("Notices", "/notices"),
)
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    # With no-referrer, browsers would not say where a form comes from, and the guard would refuse it.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
# Where programs ask: they are answered in problem details whatever they accept.
FOR_PROGRAMS = ("/api/", "/healthz", "/readyz", "/metrics", "/webhooks")


def time_of(moment: datetime | None, *, seconds: bool = False) -> Markup:
    """UTC, to the minute: `2026-11-21 08:05`; a dash for None."""
    if moment is None:
        return Markup('<span class="none">–</span>')
    written = f"{moment:%Y-%m-%d %H:%M:%S}" if seconds else f"{moment:%Y-%m-%d %H:%M}"
    return Markup('<time datetime="{}">{}</time>').format(f"{moment:%Y-%m-%dT%H:%M:%SZ}", written)


def at_provider(run: RunStatus) -> int:
    """Records that are in batches under way; those in batches that are only planned wait here."""
    return min(run.open, sum(batch.requests for batch in run.active))


TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parents[1] / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
TEMPLATES.globals.update(asset=asset, at_provider=at_provider, places=PLACES)
TEMPLATES.filters.update(
    count=wording.count,
    duration=wording.duration,
    money=wording.money,
    percent=wording.percent,
    plural=wording.plural,
    reasons=wording.reasons,
    span=wording.span,
    time=time_of,
    tokens=wording.tokens,
)


def load() -> None:
    """Compile every template, so that who looks first need not wait for that."""
    for name in TEMPLATES.list_templates():
        TEMPLATES.get_template(name)


def page(
    request: Request, template: str, viewer: Viewer | None, values: Mapping[str, Any], *, status: int = 200
) -> HTMLResponse:
    """The template as an answer. `viewer` None: nobody is known to look."""
    return HTMLResponse(
        TEMPLATES.get_template(template).render(values, viewer=viewer, path=request.url.path),
        status_code=status,
        headers=HEADERS,
    )


def told(request: Request, problem: Problem) -> Response:
    """An error in its asker's form: a page for who reads pages, problem details for everybody else."""
    path = request.url.path
    if path.startswith(FOR_PROGRAMS) or "text/html" not in request.headers.get("accept", ""):
        return answer(problem)
    if problem.name == SIGNED_OUT:
        back = path if request.method == "GET" else "/"
        return RedirectResponse(f"/sign-in?back={quote(back)}", status_code=303, headers=HEADERS)
    title = HTTPStatus(problem.status).phrase
    shown = page(request, "problem.html", None, {"title": title, "problem": problem}, status=problem.status)
    shown.headers.update(problem.headers)
    return shown
