"""What a service refused, in our own errors: the same mistake ends a command in the same way, wherever its
runs are."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec

from nightmail.errors import (
    ConfigError,
    DiskFull,
    InternalError,
    NightmailError,
    NotNow,
    ProviderError,
    RunChanged,
    ServiceUnreachable,
    SinkError,
    SourceError,
    StoreError,
    TaskError,
    UnknownRun,
)

PREFIX = "urn:nightmail:problem:"
# The last part of a problem's `type`; whatever else a service refuses is the asker's to mend.
_BY_NAME: dict[str, type[NightmailError]] = {
    "not-found": UnknownRun,
    "not-now": NotNow,
    "run-changed": RunChanged,
    "task": TaskError,
    "source": SourceError,
    "too-large": SourceError,
    "disk-full": DiskFull,
    "provider": ProviderError,
    "store": StoreError,
    "internal": InternalError,
    "rate": ServiceUnreachable,
}
# What a run that was put off says of itself is the name of one of these.
_THEIRS_TO_MEND: dict[str, type[NightmailError]] = {
    "ConfigError": ConfigError,
    "NotNow": NotNow,
    "SinkError": SinkError,
    "SourceError": SourceError,
    "TaskError": TaskError,
}


class Refusal(msgspec.Struct, frozen=True):
    """A problem (RFC 9457) as it came."""

    type: str = ""
    detail: str = ""

    @property
    def name(self) -> str:
        return self.type.removeprefix(PREFIX) if self.type.startswith(PREFIX) else ""


def read(body: bytes) -> Refusal:
    """The problem in an answer; an empty one if it has none: something between here and there has
    answered."""
    try:
        return msgspec.json.decode(body, type=Refusal)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Refusal()


def error_of(status: int, refusal: Refusal, url: str) -> NightmailError:
    """The error that the same mistake has on a home."""
    if not refusal.name:
        said = HTTPStatus(status).phrase if status in set(HTTPStatus) else "no known status"
        return ServiceUnreachable(f"{url} answers {status} ({said}), and not as a nightmail service does")
    if refusal.name == "key":
        return ConfigError(
            f"{url} wants a key that is good: set NIGHTMAIL_API_KEY, or NIGHTMAIL_API_KEY_FILE to a file "
            "that holds it"
        )
    kind = _BY_NAME.get(refusal.name)
    if kind is not None:
        return kind(f"{refusal.detail} ({url})")
    return ServiceUnreachable(f"{url}: {refusal.detail}") if status >= 500 else ConfigError(refusal.detail)


def put_off(detail: dict[str, Any]) -> NightmailError | None:
    """Why a run does not go on, if the asker has to mend it; None if a later try may do."""
    kind = _THEIRS_TO_MEND.get(str(detail.get("error")))
    return kind(str(detail.get("message"))) if kind is not None else None
