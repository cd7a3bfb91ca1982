"""Signing in: a key is shown once, and a cookie stands for it; signing out ends that."""

from __future__ import annotations

import hmac
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from nightmail.core.tenancy import SESSION
from nightmail.web.asked import Asked
from nightmail.web.keys import ANYBODY, Keyring
from nightmail.web.pages.frame import HEADERS, page
from nightmail.web.pages.visit import COOKIE, Looking
from nightmail.web.problems import Problem

router = APIRouter(include_in_schema=False)


@router.get("/sign-in")
async def ask_for_key(request: Request, back: str = "/") -> HTMLResponse:
    return page(request, "sign_in.html", None, {"back": _ours(back), "wrong": None})


@router.post("/sign-in")
async def sign_in(
    request: Request,
    client: Asked,
    key: Annotated[str, Form(max_length=200)] = "",
    back: Annotated[str, Form(max_length=2000)] = "/",
) -> Response:
    """Set the cookie. The key is in no address, and in no page that is sent back."""
    keyring: Keyring = request.app.state.keyring
    address = request.client.host if request.client else "unknown"
    try:
        asker = await keyring.asker(key.strip(), address, request.headers.get("host", ""))
    except Problem as problem:
        wrong = "This key is not good here." if problem.status == 401 else problem.detail
        values = {"back": _ours(back), "wrong": wrong}
        return page(request, "sign_in.html", None, values, status=problem.status)
    answer = RedirectResponse(_ours(back), status_code=303, headers=HEADERS)
    if asker is not ANYBODY:
        answer.set_cookie(
            COOKIE,
            await client.keys.sign_in(asker.name),
            max_age=int(SESSION.total_seconds()),
            httponly=True,
            samesite="lax",  # strict would ask who follows a link in a notice to sign in again
            secure=request.url.scheme == "https",
            path="/",
        )
    return answer


@router.post("/sign-out")
async def sign_out(
    client: Asked, viewer: Looking, form_token: Annotated[str, Form()] = ""
) -> RedirectResponse:
    """Whoever may look may leave; the cookie is worth nothing from now on, wherever there is a copy of it."""
    if viewer.session is not None and hmac.compare_digest(form_token.encode(), viewer.form_token.encode()):
        await client.keys.sign_out(viewer.session)
    answer = RedirectResponse("/sign-in", status_code=303, headers=HEADERS)
    answer.delete_cookie(COOKIE, path="/")
    return answer


def _ours(path: str) -> str:
    """The path, if it can lead to nothing but a page of ours."""
    plain = path.isascii() and path.isprintable() and "\\" not in path
    return path if plain and path.startswith("/") and not path.startswith("//") else "/"
