"""Rate-limit headers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightmail.providers.base import Rates
from nightmail.providers.openai.rates import read_rates, retry_after, seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("20ms", 0.02),
        ("1h2m3.5s", 3723.5),
        ("1d", 86_400.0),
        ("7.66s", 7.66),
        ("12", 12.0),
        ("0", 0.0),
        ("", None),
        (None, None),
        ("soon", None),
        ("1s later", None),
        ("-1s", None),
    ],
)
def test_a_duration_is_seconds(text: str | None, seconds: float | None) -> None:
    assert seconds_of(text) == (pytest.approx(seconds) if seconds is not None else None)


@given(st.text(alphabet="0123456789.hmsd -"))
def test_no_text_is_too_odd_for_a_duration(text: str) -> None:
    seconds = seconds_of(text)
    assert seconds is None or seconds >= 0


def test_the_tighter_of_account_and_project_counts() -> None:
    headers = {
        "x-ratelimit-limit-requests": "500",
        "x-ratelimit-remaining-requests": "499",
        "x-ratelimit-reset-requests": "120ms",
        "x-ratelimit-limit-tokens": "200000",
        "x-ratelimit-remaining-tokens": "199000",
        "x-ratelimit-reset-tokens": "1s",
        "x-ratelimit-limit-project-tokens": "10000",
        "x-ratelimit-remaining-project-tokens": "40",
        "x-ratelimit-reset-project-tokens": "6m0s",
        "retry-after": "3",
    }
    assert read_rates(headers) == Rates(
        limit_requests=500,
        remaining_requests=499,
        reset_requests=0.12,
        limit_tokens=10_000,
        remaining_tokens=40,
        reset_tokens=360.0,
        retry_after=3.0,
    )


def test_no_headers_say_nothing() -> None:
    assert read_rates({"x-ratelimit-limit-requests": "many"}) == Rates()


def test_a_date_to_wait_for_is_counted_from_the_servers_own_clock() -> None:
    date, later = "Fri, 21 Nov 2025 10:00:00 GMT", "Fri, 21 Nov 2025 10:01:30 GMT"
    assert retry_after({"date": date, "retry-after": later}) == 90.0
    assert retry_after({"date": later, "retry-after": date}) == 0.0
    assert retry_after({"retry-after": later}) is None
    assert retry_after({"retry-after": "whenever", "date": date}) is None
