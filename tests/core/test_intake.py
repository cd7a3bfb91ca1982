"""When records leave an intake, and how many together."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightmail.core.intake import Intake, IntakeSpec, is_due, leaving

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def intake(waiting: int, age: float = 0.0, *, closed: bool = False, tokens: int = 0) -> Intake:
    return Intake(
        intake_no=1,
        intake_id="i",
        tenant=None,
        spec=IntakeSpec(task="t:T", max_records=100, max_tokens=1000, max_wait_seconds=60),
        closed=closed,
        waiting=waiting,
        waiting_tokens=tokens,
        created_at=NOW,
        oldest_at=NOW - timedelta(seconds=age) if waiting else None,
    )


@pytest.mark.parametrize(
    ("queue", "due"),
    [
        (intake(0), False),
        (intake(99, 59), False),
        (intake(100), True),
        (intake(1, 60), True),
        (intake(1, tokens=1000), True),
        (intake(1, closed=True), True),
        (intake(0, closed=True), False),
        (intake(1, -3600), True),
    ],
    ids=[
        "empty",
        "few and young",
        "enough",
        "old",
        "enough tokens",
        "closed",
        "closed and empty",
        "clock set back",
    ],
)
def test_they_leave_when_there_are_enough_or_the_oldest_has_waited(queue: Intake, due: bool) -> None:
    assert is_due(queue, NOW) is due


@given(st.lists(st.integers(1, 500), min_size=1), st.integers(1, 50), st.none() | st.integers(1, 2000))
def test_as_many_leave_as_fit_and_at_least_one(tokens: list[int], most: int, ceiling: int | None) -> None:
    count = leaving(tokens, IntakeSpec(task="t:T", max_records=most, max_tokens=ceiling))
    assert 1 <= count <= min(most, len(tokens))
    assert ceiling is None or count == 1 or sum(tokens[:count]) <= ceiling
    if count < min(most, len(tokens)):
        assert ceiling is not None
        assert sum(tokens[: count + 1]) > ceiling
