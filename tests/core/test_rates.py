"""Over any time nobody gets more than the rate and one burst, and who waits as told is served."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nightmail.core.rates import Bucket, Rate, take

RATES = st.builds(Rate, st.floats(0.1, 1000), st.floats(1, 1000))


@given(RATES, st.lists(st.floats(0, 10), max_size=60))
def test_never_more_than_the_rate_and_one_burst(rate: Rate, pauses: list[float]) -> None:
    bucket: Bucket | None = None
    now, served = 0.0, 0
    for pause in pauses:
        now += pause
        bucket, wait = take(bucket, rate, now)
        served += wait == 0
    assert served <= rate.burst + now * rate.per_second + 1e-6


@given(RATES, st.floats(0, 100))
def test_who_waits_as_told_is_served(rate: Rate, now: float) -> None:
    bucket, wait = take(Bucket(0.0, now), rate, now)
    assert wait > 0
    _, again = take(bucket, rate, now + wait * 1.000001 + 1e-9)
    assert again == 0
