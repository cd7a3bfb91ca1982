from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightmail.core import wording


@pytest.mark.parametrize(
    ("number", "written"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.00 k"),
        (53_460, "53.5 k"),
        (312_000, "312 k"),
        (999_600, "1.00 M"),
        (1_310_000, "1.31 M"),
        (15_000_000_000, "15.0 B"),
    ],
)
def test_tokens_are_written_with_three_digits(number: int, written: str) -> None:
    assert wording.tokens(number) == written


@given(st.integers(0, 10**15))
def test_a_written_number_of_tokens_is_within_half_a_percent(number: int) -> None:
    text, _, letter = wording.tokens(number).partition(" ")
    scale = {"": 1, "k": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}[letter]
    assert abs(float(text) * scale - number) <= 0.0051 * number
    assert float(text) < 1000 or letter == "T"


@pytest.mark.parametrize(
    ("pusd", "written"),
    [
        (None, "unknown"),
        (0, "$0.00"),
        (110_000_000_000, "$0.11"),
        (83_000_000_000, "$0.083"),
        (1_040_000_000, "$0.0010"),
        (75_000, "$0.000000075"),
        (1_234_567_890_000_000, "$1,234.57"),
        (-310_000_000_000, "-$0.31"),
    ],
)
def test_money_keeps_two_digits_that_mean_something(pusd: int | None, written: str) -> None:
    assert wording.money(pusd) == written


@given(st.integers(1, 10**18))
def test_money_that_was_spent_is_never_written_as_nothing(pusd: int) -> None:
    assert any(digit in wording.money(pusd) for digit in "123456789")


@pytest.mark.parametrize(
    ("seconds", "written"), [(31, "31 s"), (250, "4 min 10 s"), (7500, "2 h 05 min"), (90_000, "25 h 00 min")]
)
def test_a_duration_has_two_units_at_most(seconds: int, written: str) -> None:
    assert wording.duration(timedelta(seconds=seconds)) == written


@pytest.mark.parametrize(
    ("low", "high", "written"),
    [(0.2, 0.5, "2 s"), (9, 23, "9-23 s"), (130, 300, "2-5 min"), (7800, 16_200, "2.2-4.5 h")],
)
def test_a_range_is_in_the_unit_of_its_end(low: float, high: float, written: str) -> None:
    assert wording.span(timedelta(seconds=low), timedelta(seconds=high)) == written


def test_reasons_come_by_frequency_then_by_name() -> None:
    assert wording.reasons({"check": 5, "refused": 9, "bad_row": 5}) == "refused 9, bad_row 5, check 5"


def test_one_is_not_many() -> None:
    assert wording.plural(1, "batch") == "1 batch"
    assert wording.plural(1200, "batch") == "1,200 batches"
    assert wording.plural(0, "record") == "0 records"


def test_columns_stand_under_each_other_and_nothing_of_nothing_is_no_lines() -> None:
    assert wording.columns([("RUN", "STATE"), ("a-1234", "open")]) == ["RUN     STATE", "a-1234  open"]
    assert wording.columns([]) == []
