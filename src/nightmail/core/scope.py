"""What a key of the service is good for."""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    """What a key is good for; each may do what those before it may."""

    READ = "read"  # see the tenant's own runs, results and events
    SUBMIT = "submit"  # start and steer them, and hand records in
    ADMIN = "admin"  # see and steer everybody's

    def includes(self, other: Scope) -> bool:
        order = list(Scope)
        return order.index(self) >= order.index(other)
