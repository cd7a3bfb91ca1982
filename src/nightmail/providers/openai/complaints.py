"""What a server says is wrong, read out of every shape of error body that has been seen.

OpenAI answers `{"error": {message, type, param, code}}`; servers that imitate it answer with a bare
object, a string, FastAPI's `detail`, integer codes, an HTML page or nothing. Pure: bytes in, words out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

MAX_WORDS = 600

# Type and codes of the 429s, 400s and 403s that waiting does not cure (https://help.openai.com article
# 6614457 and the older `billing_hard_limit_reached`). Matched as parts, so that a new member of the
# family (`team_spend_limit_exceeded`) is still recognised as money.
_BILLING = ("insufficient_quota", "billing", "credit_balance", "spend_limit", "usage_limit_exceeded")
_QUEUE_LIMIT = re.compile(r"enqueued\s+(?:token|request)s?\s+limit", re.IGNORECASE)
_NO_MONEY = re.compile(
    r"exceeded your current quota|insufficient (?:credit|balance|fund)|billing (?:hard )?limit", re.IGNORECASE
)
_LIMIT = re.compile(r"limit:\s*(\d{1,3}(?:[,._' ]\d{3})+|\d+)", re.IGNORECASE)
_FILE_UNSEEN = re.compile(
    r"(?:cannot|can't|could not|couldn't)\s+find\s+(?:the\s+)?(?:input\s+)?file"
    r"|no such file"
    r"|file\b.{0,120}(?:not found|does(?:n't| not) exist)"
    r"|file\b.{0,160}does not have access",
    re.IGNORECASE | re.DOTALL,
)
# What web frameworks say when no route matches, before any code of the server saw the request.
_NO_ROUTE = re.compile(
    r"(?:404 )?(?:not found|page not found|resource not found|file not found)\.?"
    r"|no route matches.*|cannot (?:get|post|delete) /.*|invalid url.*|unknown (?:request )?url.*|",
    re.IGNORECASE | re.DOTALL,
)


class Complaint(msgspec.Struct, frozen=True, kw_only=True):
    """Why something failed, in the server's own words; a missing part is None."""

    message: str | None = None
    code: str | None = None
    type: str | None = None
    param: str | None = None

    def __str__(self) -> str:
        label = self.code or self.type
        if self.message is None:
            return label or "no reason given"
        return f"{self.message} ({label})" if label and label not in self.message else self.message


NOTHING = Complaint()


def read_complaint(body: bytes) -> Complaint:
    """The complaint in the body of an HTTP answer; a body that is no JSON is its own message."""
    try:
        return complaint_in(msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = re.sub(r"<[^>]*>", " ", body[:4000].decode(errors="replace"))
        return Complaint(message=_words(text))


def complaint_in(value: Any) -> Complaint:
    """The complaint in a decoded value: an error object, a body around one, a string, or FastAPI's list."""
    if isinstance(value, str):
        return Complaint(message=_words(value))
    if isinstance(value, list):
        return complaint_in(value[0]) if value else NOTHING
    if not isinstance(value, Mapping):
        return NOTHING
    for inner in ("error", "errors", "detail"):
        if value.get(inner):
            found = complaint_in(value[inner])
            if found != NOTHING:
                return found
    place = ".".join(str(part) for part in _sequence(value.get("loc")))
    message = _words(value.get("message") or value.get("msg") or value.get("error_description"))
    return Complaint(
        message=f"{place}: {message}" if place and message else message,
        code=name(value.get("code")),
        type=name(value.get("type")),
        param=name(value.get("param")) or place or None,
    )


def name(value: Any) -> str | None:
    """A code as text: servers send strings, integers, null or an empty string."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:g}" if isinstance(value, float) else str(value)
    return None


def is_billing(said: Complaint) -> bool:
    """Whether money stops the account, which only a person can change."""
    return any(part in label for label in _labels(said) for part in _BILLING) or bool(
        _NO_MONEY.search(said.message or "")
    )


def is_queue_limit(said: Complaint) -> bool:
    """Whether the model's queue of enqueued tokens or requests is full."""
    return "token_limit_exceeded" in _labels(said) or bool(_QUEUE_LIMIT.search(said.message or ""))


def queue_limit(message: str | None) -> int | None:
    """The number behind "Limit:" ("Limit: 1,000,000 enqueued tokens"), None if there is none, or if it
    counts requests."""
    if message and re.search(r"enqueued\s+requests?\b", message, re.IGNORECASE):
        return None
    found = _LIMIT.search(message or "")
    digits = re.sub(r"\D", "", found.group(1)) if found else ""
    return int(digits) if digits else None


def is_unseen_file(said: Complaint) -> bool:
    """Whether the server does not see the input file: it is gone, another project's, or not visible yet."""
    return bool(_FILE_UNSEEN.search(said.message or ""))


def is_about_model(said: Complaint) -> bool:
    """Whether a model is refused or unknown, as opposed to a key, a file or a route."""
    labels = _labels(said)
    return "model" in labels or any("model_" in label for label in labels) or " model " in f" {said.message} "


def is_about_key(said: Complaint) -> bool:
    """Whether a 403 blames the key; a 403 with no reason at all does."""
    text = " ".join((said.message or "", *_labels(said))).lower()
    return not text.strip() or any(
        word in text for word in ("api key", "api_key", "apikey", "credential", "scope", "token", "forbidden")
    )


def is_no_route(said: Complaint) -> bool:
    """Whether a 404 reads as "no such call here" rather than "no such thing"."""
    return bool(_NO_ROUTE.fullmatch((said.message or "").strip()))


def blames(said: Complaint, field: str) -> bool:
    """Whether the complaint is about the request field named."""
    return field in (said.param or "").lower() or field in (said.message or "").lower()


def _labels(said: Complaint) -> tuple[str, ...]:
    return tuple(label.lower() for label in (said.code, said.type, said.param) if label)


def _words(value: Any) -> str | None:
    text = " ".join(str(value).split()) if value is not None else ""
    return (text if len(text) <= MAX_WORDS else f"{text[:MAX_WORDS]}…") or None


def _sequence(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
