"""What each answer of a server, or its silence, is turned into."""

from __future__ import annotations

import json
import ssl
from typing import Any

import httpx2
import pytest

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
from nightmail.providers.openai.complaints import Complaint, queue_limit, read_complaint
from nightmail.providers.openai.failures import Call, Reply, refusal, unanswered, unreadable

KEY = "sk-proj-abcdefghijklmnop"
POLL = Call("api.example", "look at batch", "GET /batches/{id}", "batch_1")
CREATE = Call("api.example", "create a batch of file", "POST /batches", "file-1")
LIST = Call("api.example", "list batches", "GET /batches")


def refused(call: Call, status: int, body: Any, **headers: str) -> ProviderError:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return refusal(call, Reply(status, {k.replace("_", "-"): v for k, v in headers.items()}, content), KEY)


def said(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "param": None, **more}}


QUOTA = "Enqueued token limit reached for gpt-4o in organization org-x. Limit: 90,000 enqueued tokens. Please"


@pytest.mark.parametrize(
    ("call", "status", "body", "kind"),
    [
        (POLL, 401, said("Incorrect API key provided", code="invalid_api_key"), AuthenticationFailed),
        (
            POLL,
            403,
            said("Missing scopes: api.batch.read", type="invalid_request_error"),
            AuthenticationFailed,
        ),
        (POLL, 403, b"", AuthenticationFailed),
        (CREATE, 403, said("Project has no access to model `o9`", code="model_not_found"), RequestRefused),
        (CREATE, 403, said("Country not supported", code="unsupported_country"), RequestRefused),
        (POLL, 402, b"Payment Required", BillingBlocked),
        (POLL, 429, said("You exceeded your current quota", type="insufficient_quota"), BillingBlocked),
        (POLL, 429, said("x", type="insufficient_quota", code="credit_balance_exhausted"), BillingBlocked),
        (POLL, 429, said("x", code="project_spend_limit_exceeded"), BillingBlocked),
        (
            CREATE,
            400,
            said("Billing hard limit has been reached", code="billing_hard_limit_reached"),
            BillingBlocked,
        ),
        (POLL, 429, {"error": "You exceeded your current quota, please check"}, BillingBlocked),
        (POLL, 429, said("Rate limit reached", code="rate_limit_exceeded"), RateLimited),
        (POLL, 429, said("Slow down", code="slow_down"), RateLimited),
        (POLL, 429, b"", RateLimited),
        (CREATE, 429, said(QUOTA), QuotaReached),
        (CREATE, 400, said("x", code="token_limit_exceeded"), QuotaReached),
        (
            CREATE,
            400,
            said("Enqueued request limit reached. Limit: 1,000,000 enqueued requests"),
            QuotaReached,
        ),
        (POLL, 404, said("No batch found with id 'batch_1'"), NotFound),
        (POLL, 404, {"detail": "Not Found"}, NotFound),
        (CREATE, 404, said("No such File object: file-1"), NotFound),
        (CREATE, 404, said("File file-1 not found", code=404), NotFound),
        (
            CREATE,
            400,
            said("Cannot find file file-1, or project proj_1 does not have access to it"),
            NotFound,
        ),
        (CREATE, 400, said("The file file-1 could not be read: line 3 is not JSON"), RequestRefused),
        (CREATE, 404, said("The model `x` does not exist", code="model_not_found"), RequestRefused),
        (CREATE, 404, {"detail": "Not Found"}, Unsupported),
        (CREATE, 404, b"404 page not found", Unsupported),
        (LIST, 404, {"detail": "Not Found"}, Unsupported),
        (LIST, 404, said("File Not Found", type="not_found_error", code=404), Unsupported),
        (LIST, 405, {"detail": "Method Not Allowed"}, Unsupported),
        (LIST, 501, b"<html>Not Implemented</html>", Unsupported),
        (CREATE, 408, b"", ProviderUnavailable),
        (CREATE, 409, said("conflict"), ProviderUnavailable),
        (CREATE, 500, said("server error", type="server_error"), ProviderUnavailable),
        (CREATE, 503, b"<html><h1>Service Unavailable</h1></html>", ProviderUnavailable),
        (CREATE, 413, b"Request Entity Too Large", RequestRefused),
        (CREATE, 422, {"detail": [{"loc": ["body", "endpoint"], "msg": "bad"}]}, RequestRefused),
    ],
)
def test_a_refusal_is_the_error_of_who_must_act(
    call: Call, status: int, body: Any, kind: type[ProviderError]
) -> None:
    error = refused(call, status, body)
    assert type(error) is kind
    assert call.host in str(error)
    assert str(status) in str(error)
    assert call.about is None or call.about in str(error)
    if isinstance(error, ProviderUnavailable):
        assert error.ambiguous
    if isinstance(error, RequestRefused):
        assert error.status == status


def test_the_quota_is_the_providers_own_number() -> None:
    error = refused(CREATE, 429, said(QUOTA))
    assert isinstance(error, QuotaReached)
    assert error.limit == 90_000


@pytest.mark.parametrize(
    ("message", "limit"),
    [
        ("Limit: 2,000,000 enqueued tokens. Please try 5 times", 2_000_000),
        ("Limit: 90,000. 12 batches are queued", 90_000),
        ("limit:100000 tokens", 100_000),
        ("Limit: 1.000.000 tokens", 1_000_000),
        ("Enqueued request limit reached. Limit: 1,000,000 enqueued requests", None),
        ("no number here", None),
        (None, None),
    ],
)
def test_a_limit_is_read_out_of_the_message(message: str | None, limit: int | None) -> None:
    assert queue_limit(message) == limit


def test_how_long_to_wait_is_kept() -> None:
    error = refused(POLL, 429, said("slow"), retry_after="1", retry_after_ms="1500")
    assert isinstance(error, RateLimited)
    assert error.retry_after == 1.5


def test_the_key_is_in_no_message() -> None:
    for body in (
        said(f"Incorrect API key provided: {KEY}"),
        f"<p>{KEY}</p>".encode(),
        said("sk-live-0123456789ab"),
    ):
        text = str(refused(POLL, 401, body))
        assert KEY not in text
        assert "sk-live" not in text
        assert "[key]" in text


def test_a_message_names_the_request_and_is_not_a_page_long() -> None:
    text = str(refused(POLL, 500, b"x" * 10_000, x_request_id="req_7"))
    assert "[request req_7]" in text
    assert len(text) < 1_000


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (said("m", type="t", code="c"), Complaint(message="m", type="t", code="c")),
        (
            {"object": "error", "message": "m", "type": "T", "code": 400},
            Complaint(message="m", type="T", code="400"),
        ),
        ({"error": "words"}, Complaint(message="words")),
        ({"detail": "words"}, Complaint(message="words")),
        ({"detail": [{"loc": ["body", "x"], "msg": "m"}]}, Complaint(message="body.x: m", param="body.x")),
        ({"errors": [{"message": "m", "code": "c"}]}, Complaint(message="m", code="c")),
        ([], Complaint()),
        (7, Complaint()),
    ],
)
def test_a_complaint_is_read_from_every_shape(body: Any, complaint: Complaint) -> None:
    assert read_complaint(json.dumps(body).encode()) == complaint


@pytest.mark.parametrize(
    ("cause", "ambiguous", "words"),
    [
        (httpx2.ConnectError("[Errno 111] Connection refused"), False, "Connection refused"),
        (httpx2.ConnectTimeout(""), False, "no connection in time"),
        (httpx2.PoolTimeout(""), False, "no connection in time"),
        (httpx2.ProxyError("403 Forbidden"), False, "403 Forbidden"),
        (httpx2.InvalidURL("odd"), False, "odd"),
        (httpx2.ReadTimeout(""), True, "no answer in time"),
        (httpx2.WriteError(""), True, "WriteError"),
        (httpx2.RemoteProtocolError("Server disconnected"), True, "Server disconnected"),
        (ssl.SSLError(1, "bad record"), True, "the connection broke (bad record)"),
        (TimeoutError(), True, "no answer in time"),
    ],
)
def test_silence_is_ambiguous_unless_nothing_was_sent(cause: Exception, ambiguous: bool, words: str) -> None:
    unavailable = unanswered(CREATE, cause, KEY)
    assert unavailable.ambiguous is ambiguous
    assert words in str(unavailable)


def test_a_2xx_without_its_content_is_ambiguous() -> None:
    error = unreadable(CREATE, Reply(200, {}, b"<html>"), "not a batch", KEY)
    assert error.ambiguous
    assert "HTTP 200, but not a batch" in str(error)
