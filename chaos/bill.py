"""What the simulator's books come to in money."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from nightmail.config import read_prices
from nightmail.core.pricing import PUSD_PER_USD, price_of


def owed(books: Mapping[str, Any]) -> Decimal:
    """The bill in dollars, by our price table: batches and flex at half price, calls at the full one."""
    total = 0
    for model, modes in books["bill"].items():
        price = price_of(model, read_prices(None))
        assert price is not None, model
        for mode, used in modes.items():
            rates = price.standard if mode == "sync" else price.batch
            total += used["input_tokens"] * rates.input + used["output_tokens"] * rates.output
    return Decimal(total) / PUSD_PER_USD
