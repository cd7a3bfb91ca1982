"""The signature of a webhook, made and checked: Standard Webhooks, symmetric (v1).

What is signed is `id.timestamp.body`, by HMAC-SHA256 under a secret that is shared beforehand
(https://www.standardwebhooks.com, read 2026-11; OpenAI signs the same way, facts A.10). Its Python package
reads the clock itself and raises whatever a malformed header makes it raise, so it is the tests' reference
and not what runs here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

# A message may be so old, or so far ahead of our clock (facts A.10). Older ones could be replayed.
TOLERANCE = timedelta(minutes=5)
PREFIX = "whsec_"
VERSION = "v1,"
MOST_SIGNATURES = 16  # in one header: secrets that overlap while they are changed


def key_of(secret: str) -> bytes:
    """The bytes of a secret: what follows `whsec_` is base64, any other text is taken as it is. Raises
    `ValueError`, without the secret in it."""
    text = secret.strip()
    if not text.startswith(PREFIX):
        key = text.encode()
    else:
        try:
            key = base64.b64decode(text.removeprefix(PREFIX) + "==")
        except (binascii.Error, ValueError):
            raise ValueError(f"what follows {PREFIX} is not base64") from None
    if not key:
        raise ValueError("the secret is empty")
    return key


def signature(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    """`v1,...` for these bytes."""
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    return VERSION + base64.b64encode(hmac.digest(key_of(secret), signed, hashlib.sha256)).decode()


def headers_of(secret: str, *, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers of a message that is sent at this time. A repetition has the same id and a new time."""
    timestamp = str(int(at.timestamp()))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": signature(secret, message_id, timestamp, body),
    }


def verified(headers: Mapping[str, str], body: bytes, *, secrets: Sequence[str], now: datetime) -> str:
    """The id of a message that one of the secrets has signed just now. Raises `ValueError` with why it is not
    to be believed; the time is told only to who knows a secret. `headers` has lower-case names."""
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not message_id or not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise ValueError("the headers webhook-id and webhook-timestamp are missing or malformed")
    given = [each.encode() for each in headers.get("webhook-signature", "").split()[:MOST_SIGNATURES]]
    wanted = [signature(secret, message_id, timestamp, body).encode() for secret in secrets]
    # Each is compared with each, so that the time it takes tells nothing.
    matches = [hmac.compare_digest(one, other) for one in given for other in wanted]
    if not any(matches):
        raise ValueError("no signature of it was made with a secret that is known here")
    sent_at = datetime.fromtimestamp(int(timestamp), UTC)
    if abs(now - sent_at) > TOLERANCE:
        raise ValueError(
            f"it was signed at {sent_at:%Y-%m-%d %H:%M:%S} UTC, more than "
            f"{TOLERANCE.total_seconds():.0f} seconds from the time here"
        )
    return message_id
