"""Every way in which a call can fail -> one of `nightmail.errors`. The only place that decides it.

Two questions: what did the server say (`refusal`), or, if it said nothing, can the call have been carried
out all the same (`unanswered`)? Texts name the host, the call, the id, the status and the server's words,
and never hold the key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from nightmail.errors import (
    AuthenticationFailed,
    BillingBlocked,
    NotFound,
    ProviderError,
    ProviderUnavailable,
    QuotaReached,
    RateLimited,
    RequestRefused,
    Unsupported,
)
from nightmail.providers.openai.complaints import (
    Complaint,
    is_about_key,
    is_about_model,
    is_billing,
    is_no_route,
    is_queue_limit,
    is_unseen_file,
    queue_limit,
    read_complaint,
)
from nightmail.providers.openai.rates import retry_after

_SECRET = re.compile(r"\b(?:sk|gsk|key|whsec)[-_][A-Za-z0-9_\-*.]{8,}")
_MONEY = 402
_REPEATABLE = (408, 409, 425)
_NO_SUCH_CALL = (405, 501)


class Call(NamedTuple):
    """One call, as error texts and the rules below know it.

    `route` is `GET /batches/{id}`: with an id in it, a 404 is about that id; without, about the route.
    `about` is the id that the call concerns, in the route or in its body.
    """

    host: str
    what: str
    route: str
    about: str | None = None


class Reply(NamedTuple):
    """An HTTP answer, whatever its status; header names ignore case or are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


def refusal(call: Call, reply: Reply, key: str) -> ProviderError:
    """The error that an answer with a status other than 2xx stands for."""
    said = read_complaint(reply.body)
    status, code = reply.status, said.code or said.type
    text = _text(call, f"HTTP {status}: {said}", key, reply.headers.get("x-request-id"))
    if status == _MONEY or (400 <= status < 500 and is_billing(said)):
        return BillingBlocked(text)
    if status == 401:
        return AuthenticationFailed(text)
    if is_queue_limit(said) and 400 <= status < 500:
        return QuotaReached(text, limit=queue_limit(said.message))
    if status == 429:
        return RateLimited(text, retry_after=retry_after(reply.headers))
    if status in _NO_SUCH_CALL:
        return Unsupported(text)
    if status in _REPEATABLE or status >= 500:
        return ProviderUnavailable(text, ambiguous=True)
    if status == 404:
        return _absent(call, said, text, code)
    # Where a fresh file is not visible yet, OpenAI says so with 400 or 403.
    if status in (400, 403, 422) and call.about and is_unseen_file(said):
        return NotFound(text, status=status, code=code)
    if status == 403 and not is_about_model(said) and is_about_key(said):
        return AuthenticationFailed(text)
    return RequestRefused(text, status=status, code=code)


def _absent(call: Call, said: Complaint, text: str, code: str | None) -> ProviderError:
    if "{id}" in call.route:
        return NotFound(text, status=404, code=code)
    if call.about is not None:
        if call.about in (said.message or "") or is_unseen_file(said):
            return NotFound(text, status=404, code=code)
        if is_about_model(said):
            return RequestRefused(text, status=404, code=code)
        if not is_no_route(said):
            return NotFound(text, status=404, code=code)
    return Unsupported(f"{text}; the server has no such call, or the base URL is not right")


def unanswered(call: Call, cause: Exception, key: str) -> ProviderUnavailable:
    """The error for a call that got no whole answer. Ambiguous unless no byte of it can have been read."""
    import httpx2

    never_sent = (
        httpx2.ConnectError,
        httpx2.ConnectTimeout,
        httpx2.PoolTimeout,
        httpx2.ProxyError,
        httpx2.UnsupportedProtocol,
        httpx2.InvalidURL,
        httpx2.LocalProtocolError,
    )
    sent = not isinstance(cause, never_sent)
    if isinstance(cause, httpx2.ConnectTimeout | httpx2.PoolTimeout):
        reason = "no connection in time"
    elif isinstance(cause, httpx2.TimeoutException | TimeoutError):
        reason = "no answer in time"
    elif sent:
        reason = f"the connection broke ({_words(cause)})"
    else:
        reason = f"no connection ({_words(cause)})"
    return ProviderUnavailable(_text(call, reason, key), ambiguous=sent)


def unreadable(call: Call, reply: Reply, reason: str, key: str) -> ProviderUnavailable:
    """The error for a 2xx that does not hold what it should: a captive portal's page, a cut-off body."""
    return ProviderUnavailable(_text(call, f"HTTP {reply.status}, but {reason}", key), ambiguous=True)


def _text(call: Call, reason: str, key: str, request_id: str | None = None) -> str:
    about = f" {call.about!r}" if call.about else ""
    support = f" [request {request_id}]" if request_id else ""
    text = f"{call.host}: cannot {call.what}{about}: {reason}{support}"
    if len(key) >= 8:
        text = text.replace(key, "[key]")
    return _SECRET.sub("[key]", text)


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
