"""The store port, figures: the home in numbers."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from nightmail.core.figures import Figures


class FigureReader(Protocol):
    async def read(self, *, now: datetime) -> Figures:
        """All of it from one consistent state of the store. Spent today is since midnight, UTC."""
        ...
