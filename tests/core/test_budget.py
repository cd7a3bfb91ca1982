"""What a batch is reserved at, and whether there is money for it."""

from hypothesis import given
from hypothesis import strategies as st

from nightmail.config import read_prices
from nightmail.core.budget import LEARNED_MARGIN, Money, affordable_tokens, answer_guess, fits, reservation
from nightmail.core.pricing import price_of
from nightmail.core.request import Mode

MINI = price_of("gpt-4o-mini", read_prices(None))


def test_a_reservation_is_input_as_counted_and_answers_as_expected():
    reserved = reservation(MINI, tokens=1_000, requests=10, answer_tokens=20, mode=Mode.BATCH)

    assert reserved == 1_000 * 75_000 + 200 * 300_000
    assert reservation(MINI, tokens=1_000, requests=10, answer_tokens=20, mode=Mode.SYNC) == 2 * reserved


def test_answers_that_came_replace_the_guess():
    assert answer_guess(answers=0, output_tokens=0, guess=600) == 600
    assert answer_guess(answers=10, output_tokens=50, guess=600) == 5 * LEARNED_MARGIN


def test_what_is_reserved_is_not_spent_again():
    assert fits(Money(spent=40, reserved=50), 100, 10)
    assert not fits(Money(spent=40, reserved=50), 100, 11)
    assert fits(Money(spent=10**15, reserved=0), None, 10**15)


@given(st.integers(10**6, 10**13), st.floats(0, 20))
def test_a_batch_is_about_a_tenth_of_the_budget(budget, share):
    tokens = affordable_tokens(MINI, budget, answer_share=share, mode=Mode.BATCH)

    cost = reservation(MINI, tokens=tokens, requests=1, answer_tokens=tokens * share, mode=Mode.BATCH)
    assert tokens == 1 or cost <= budget / 10 * 1.01 + 10**6
