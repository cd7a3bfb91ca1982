"""What the provider tells of a batch, as the store keeps it for people; nothing is decided from it."""

from __future__ import annotations

from nightmail.providers.base import RemoteBatch
from nightmail.stores.base import Seen


def seen_of(remote: RemoteBatch) -> Seen:
    """The provider's own words and numbers, and its object as it came."""
    told = bytes(remote.raw).decode(errors="replace")
    return Seen(remote.status, remote.total, remote.completed, remote.failed, told)
