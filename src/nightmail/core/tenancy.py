"""Who may do what at the service: tenants, their keys, and what a key lets through.

A key is `nm_ID_SECRET`. The secret is shown once and never kept: what is stored is its SHA-256, which is
enough for 256 random bits. Its digest is compared in constant time, for a key that is not there too.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import datetime, timedelta

import msgspec

from nightmail.core.scope import Scope

KEY = re.compile(r"nm_([0-9a-f]{16})_([0-9a-f]{64})", re.ASCII)
# How long a browser in which a key was shown once is not asked for it again.
SESSION = timedelta(days=7)
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}", re.ASCII)
# Compared with when there is no such key, so that its absence takes as long to find out.
NOBODY = hashlib.sha256(b"").hexdigest()


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """Whose runs are whose. `budget_pusd` is for what all of them cost in a UTC month, `share` the part
    of a model's queue (0 to 1) that they may fill; None: no ceiling of its own."""

    name: str
    budget_pusd: int | None = None
    share: float | None = None


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is kept. `repr` shows no digest."""

    key_id: str
    tenant: str
    scope: Scope
    digest: str
    created_at: datetime
    revoked_at: datetime | None = None

    def __repr__(self) -> str:
        return f"ApiKey({self.key_id!r}, {self.tenant!r}, {self.scope!r})"


def written(key_id: str, secret: str) -> str:
    """The key as its owner gets it."""
    return f"nm_{key_id}_{secret}"


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def parted(key: str) -> tuple[str, str] | None:
    """Id and secret; None if it is no key at all."""
    found = KEY.fullmatch(key)
    return (found[1], found[2]) if found else None


def is_valid(secret: str, known: ApiKey | None) -> bool:
    """Is it the secret of this key, and has nobody revoked it?"""
    same = hmac.compare_digest(digest(secret), known.digest if known is not None else NOBODY)
    return same and known is not None and known.revoked_at is None
