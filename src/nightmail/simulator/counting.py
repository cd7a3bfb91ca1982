"""Token counters, one per model, kept."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nightmail.tokens.base import Counter


@lru_cache(maxsize=256)
def counter(model: str) -> Counter:
    """The same counts that a client of ours makes: usage is what was announced."""
    from nightmail.tokens.counter import counter_for

    return counter_for(model)
