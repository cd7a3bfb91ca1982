"""Calls of a service's HTTP API: what is asked again when no answer comes, and for how long.

A call that changes nothing the second time is repeated; one that would (a second retry, a second key) is not,
unless it certainly never arrived. The key goes into one header, and to no other address: redirects are not
followed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import httpx2
import msgspec

from nightmail.config import Server
from nightmail.errors import NightmailError, ServiceUnreachable
from nightmail.network import may_be_proxied
from nightmail.remote.problems import Refusal, error_of, read
from nightmail.stages.ports import Clock

API = "/api/v1"
TRIES = 4
FIRST_WAIT, LONGEST_WAIT = 0.5, 60.0
CONNECT, ANSWER = 10.0, 60.0
# A service that reads a whole source, or lists a whole account, takes its time.
PATIENCE = 3600.0
# Answers of whoever stands before a service that is away for a moment.
AWAY = (502, 503, 504)
NEVER_ARRIVED = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
Body = Callable[[], AsyncIterator[bytes]]


class Calls:
    """One service."""

    def __init__(self, server: Server, clock: Clock) -> None:
        self.url = server.url
        self._clock = clock
        headers = {"Authorization": f"Bearer {server.api_key}"} if server.api_key else {}
        self._http = httpx2.AsyncClient(
            base_url=server.url + API,
            headers=headers,
            timeout=httpx2.Timeout(ANSWER, connect=CONNECT),
            trust_env=may_be_proxied(server.url),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def get(self, path: str, *, patient: bool = False, **params: Any) -> Any:
        """The answer, read. Raises the error that the question has on a home, and `ServiceUnreachable`."""
        asked = {name: value for name, value in params.items() if value is not None}
        return _read(await self._ask("GET", path, params=asked, patient=patient), self.url)

    async def post(
        self,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        again: bool = True,
        patient: bool = False,
        sent: Body | None = None,
        **params: Any,
    ) -> Any:
        """As `get`. `again`: doing it twice does it once; `sent` gives the bytes of a body, anew for each
        try."""
        answer = await self._ask(
            "POST", path, params=params, body=body, sent=sent, again=again, patient=patient
        )
        return _read(answer, self.url)

    async def delete(self, path: str) -> None:
        """As `get`; what is not there any more at a second try was deleted by the first."""
        await self._ask("DELETE", path)

    async def download(self, path: str, **params: Any) -> AsyncIterator[bytes]:
        """The pieces of a file. An error in the middle leaves it to the caller to begin again."""
        async with self.stream(path, read_timeout=PATIENCE, **params) as answer:
            async for piece in answer.aiter_raw():
                yield piece

    @asynccontextmanager
    async def stream(
        self, path: str, *, read_timeout: float, **params: Any
    ) -> AsyncIterator[httpx2.Response]:
        """An answer as it comes; asked for once. Raises httpx2's own errors for what the network does."""
        timeout = httpx2.Timeout(ANSWER, connect=CONNECT, read=read_timeout)
        async with self._http.stream("GET", path, params=params, timeout=timeout) as answer:
            if not answer.is_success:
                raise error_of(answer.status_code, read(await answer.aread()), self.url)
            yield answer

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        sent: Body | None = None,
        again: bool = True,
        patient: bool = False,
    ) -> httpx2.Response:
        timeout = httpx2.Timeout(PATIENCE if patient else ANSWER, connect=CONNECT)
        wait = 0.0
        failure: NightmailError | None = None
        for number in range(TRIES):
            if number:
                await self._clock.wait(wait)
            wait = min(FIRST_WAIT * 2**number, LONGEST_WAIT) * (0.5 + self._clock.chance())
            content = sent() if sent is not None else None
            try:
                answer = await self._http.request(
                    method, path, params=params, json=body, content=content, timeout=timeout
                )
            except NEVER_ARRIVED as error:
                failure = ServiceUnreachable(f"{self.url} cannot be reached ({_why(error)}). Does it run?")
                continue
            except httpx2.TransportError as error:
                failure = ServiceUnreachable(f"{self.url} does not answer ({_why(error)})")
                if not again:
                    raise ServiceUnreachable(
                        f"{failure}. What was asked for may have been done: look first, by nightmail status"
                    ) from error
                continue
            if answer.is_success or (number and method == "DELETE" and answer.status_code == 404):
                return answer
            refusal, told = read(answer.content), _retry_after(answer)
            refused = error_of(answer.status_code, refusal, self.url)
            if not _is_for_a_moment(answer.status_code, refusal, again=again) or told > LONGEST_WAIT:
                raise refused
            failure, wait = refused, max(wait, told)
        assert failure is not None
        raise failure


def _is_for_a_moment(status: int, refusal: Refusal, *, again: bool) -> bool:
    """May the same call be answered otherwise soon? One that was refused for being too many was not done."""
    if status == 429:
        return True
    return again and status in AWAY and refusal.name in ("", "store", "not-ready")


def _retry_after(answer: httpx2.Response) -> float:
    told = answer.headers.get("retry-after", "")
    return float(told) if told.isdigit() else 0.0


def _why(error: Exception) -> str:
    return str(error) or type(error).__name__


def _read(answer: httpx2.Response, url: str) -> Any:
    try:
        return msgspec.json.decode(answer.content) if answer.content else None
    except msgspec.MsgspecError as error:
        raise ServiceUnreachable(f"{url} does not answer as a nightmail service does: no JSON") from error
