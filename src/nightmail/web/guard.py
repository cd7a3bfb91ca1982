"""What stands before every route: sizes and times of bodies, headers that browsers obey.

A page that a person of this machine has open must not be able to ask the service in their name: nobody's
page may send it anything but from its own origin.
"""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nightmail.web.problems import Problem, answer
from nightmail.web.settings import Settings

SAFE = ("GET", "HEAD", "OPTIONS")
# What a browser says of a request that a page of ours, or its user, has made.
OWN = ("same-origin", "none")
# By the API, and by the form of a page.
UPLOADS = ("/api/v1/uploads", "/runs/plan")
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Guard:
    """ASGI middleware. A page or file that says its own policy keeps it."""

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refused: list[Problem] = []
        begun = False

        async def polite(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    said.setdefault(name, value)
            await send(message)

        async def guarded(message: Message) -> None:
            """What the application says; not if its body was refused, whatever it makes of that."""
            nonlocal begun
            if refused and not begun:
                return
            begun = True
            await polite(message)

        try:
            self._refuse(scope, headers)
            most = self._settings.max_upload if scope["path"] in UPLOADS else self._settings.max_body
            await self._app(scope, self._measured(headers, most, receive, refused), guarded)
        except Problem as problem:
            refused = refused or [problem]
        if refused and not begun:
            # What is left of the body is not read: the connection cannot be used again.
            refused[0].headers["Connection"] = "close"
            await answer(refused[0])(scope, receive, polite)

    def _refuse(self, scope: Scope, headers: Headers) -> None:
        if scope["method"] in SAFE:
            return
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "same-origin")
        if (origin is not None and urlsplit(origin).netloc != headers.get("host", "")) or site not in OWN:
            raise Problem(403, "origin", "requests of other sites' pages are not taken")

    def _measured(self, headers: Headers, most: int, receive: Receive, refused: list[Problem]) -> Receive:
        """The body, as long as it is neither too large nor too slow; else why not goes into `refused`."""
        told = headers.get("content-length", "0")
        if told.isdigit() and int(told) > most:
            raise _too_large(most)
        settings, seen, since = self._settings, 0, asyncio.get_running_loop().time()
        ended = False

        async def measured() -> Message:
            try:
                return await piece()
            except Problem as problem:
                refused.append(problem)
                raise

        async def piece() -> Message:
            nonlocal seen, ended
            if ended:
                # The body is in; from now on this waits for the client to go away, however long.
                return await receive()
            try:
                async with asyncio.timeout(settings.body_timeout):
                    message = await receive()
            except TimeoutError:
                raise _too_slow() from None
            if message["type"] != "http.request":
                return message
            seen += len(message.get("body", b""))
            ended = not message.get("more_body", False)
            if seen > most:
                raise _too_large(most)
            late = asyncio.get_running_loop().time() - since - settings.body_timeout
            if not ended and late * settings.min_body_rate > seen:
                raise _too_slow()
            return message

        return measured


def _too_large(most: int) -> Problem:
    return Problem(413, "too-large", f"the body may have {most:,} bytes here")


def _too_slow() -> Problem:
    return Problem(408, "too-slow", "the body came too slowly")
