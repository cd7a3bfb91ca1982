"""The only reader of the real clock, and the only source of chance."""

from __future__ import annotations

import asyncio
import random
import secrets
from datetime import UTC, datetime

# This process among all that have had its number: a container's first one always has the same.
LIFE = secrets.token_hex(4)


class RealClock:
    """See `nightmail.stages.ports.Clock`."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def chance(self) -> float:
        return random.random()

    def token(self) -> str:
        return secrets.token_hex(8)

    async def wait(self, seconds: float, *, wake: asyncio.Event | None = None) -> None:
        if wake is None:
            await asyncio.sleep(max(0.0, seconds))
            return
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await wake.wait()
        except TimeoutError:
            return
