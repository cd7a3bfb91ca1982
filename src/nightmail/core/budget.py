"""Whether a batch may be paid for: what is spent, what is reserved for batches in flight, what is left.

A batch is reserved at what it will probably cost: its counted input, and answers as long as this run's
have been so far (with a margin), or, before any came, a careful guess. When it is settled its real cost
takes the place of the reservation. Money is in whole pico-USD.
"""

from __future__ import annotations

import msgspec

from nightmail.core.pricing import Price, cost_pusd
from nightmail.core.request import Mode
from nightmail.core.usage import Usage

# Answers may be longer than the mean of those that came.
LEARNED_MARGIN = 1.2
# So much of a budget one batch may be: the last ones then come close to it without going over.
SHARE_OF_BATCH = 10


class Money(msgspec.Struct, frozen=True, kw_only=True):
    """What a run or a day has cost: settled, and reserved for batches in flight."""

    spent: int = 0
    reserved: int = 0


def reservation(price: Price, *, tokens: int, requests: int, answer_tokens: float, mode: Mode) -> int:
    """What a batch will probably cost."""
    if not requests:
        return 0
    each = Usage(round(tokens / requests), round(answer_tokens))
    return requests * cost_pusd(each, price, mode=mode)


def answer_guess(*, answers: int, output_tokens: int, guess: float) -> float:
    """Tokens of an answer: learned from `answers` that took `output_tokens`, else `guess`."""
    return output_tokens / answers * LEARNED_MARGIN if answers else guess


def fits(money: Money, budget: int | None, reserve: int) -> bool:
    """Is there money for `reserve` more?"""
    return budget is None or money.spent + money.reserved + reserve <= budget


def affordable_tokens(price: Price, budget: int, *, answer_share: float, mode: Mode) -> int:
    """How many input tokens a batch may have so that it costs about a tenth of the budget;
    `answer_share` is output tokens per input token."""
    million = cost_pusd(Usage(1_000_000, round(1_000_000 * answer_share)), price, mode=mode, requests=1_000)
    return max(1, budget // SHARE_OF_BATCH * 1_000_000 // max(1, million))
