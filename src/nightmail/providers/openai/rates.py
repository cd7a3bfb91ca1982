"""Rate-limit headers -> `Rates`. Pure.

`x-ratelimit-{limit,remaining,reset}-{requests,tokens}`, the `-project-tokens` variants when a project has
a cap of its own (then the tighter of the two counts), `retry-after` in seconds or as a date, and
`retry-after-ms`. Source: https://platform.openai.com/docs/guides/rate-limits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from nightmail.providers.base import Rates

_UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[dhms])")
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[dhms]))+")


def seconds_of(text: str | None) -> float | None:
    """`1s`, `6m0s`, `20ms`, `1h2m3.5s` or a bare number of seconds; None for anything else."""
    text = (text or "").strip().lower()
    if re.fullmatch(r"\d+(?:\.\d+)?", text):
        return float(text)
    if not _DURATION.fullmatch(text):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait before the next try, None if the answer did not say."""
    milliseconds = seconds_of(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    said = headers.get("retry-after")
    seconds = seconds_of(said)
    if seconds is not None or said is None:
        return seconds
    # A date counts from the server's own clock, which it sends along; ours is not asked.
    try:
        wait = parsedate_to_datetime(said) - parsedate_to_datetime(headers.get("date") or "")
    except (TypeError, ValueError):
        return None
    return max(0.0, wait.total_seconds())


def read_rates(headers: Mapping[str, str]) -> Rates:
    """What the headers of one answer say; `headers` ignores case or has lower-case names."""
    return Rates(
        limit_requests=_least(headers, "limit-requests", "limit-project-requests"),
        remaining_requests=_least(headers, "remaining-requests", "remaining-project-requests"),
        reset_requests=_longest(headers, "reset-requests", "reset-project-requests"),
        limit_tokens=_least(headers, "limit-tokens", "limit-project-tokens"),
        remaining_tokens=_least(headers, "remaining-tokens", "remaining-project-tokens"),
        reset_tokens=_longest(headers, "reset-tokens", "reset-project-tokens"),
        retry_after=retry_after(headers),
    )


def _least(headers: Mapping[str, str], *names: str) -> int | None:
    texts = (headers.get(f"x-ratelimit-{name}", "").strip() for name in names)
    return min((int(text) for text in texts if text.isascii() and text.isdigit()), default=None)


def _longest(headers: Mapping[str, str], *names: str) -> float | None:
    waits = (seconds_of(headers.get(f"x-ratelimit-{name}")) for name in names)
    return max((wait for wait in waits if wait is not None), default=None)
