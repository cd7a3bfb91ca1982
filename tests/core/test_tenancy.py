"""Keys and what they are good for."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from nightmail.core.quota import exceeds_share
from nightmail.core.scope import Scope
from nightmail.core.tenancy import ApiKey, digest, is_valid, parted, written

NOW = datetime(2026, 11, 21, tzinfo=UTC)
SECRET = "5" * 64


def key(**changes: datetime) -> ApiKey:
    return ApiKey(
        key_id="0" * 16, tenant="ours", scope=Scope.READ, digest=digest(SECRET), created_at=NOW, **changes
    )


def test_a_key_is_taken_apart_as_it_was_put_together() -> None:
    assert parted(written("0" * 16, SECRET)) == ("0" * 16, SECRET)


@pytest.mark.parametrize(
    "text", ["", "nm_", "sk-abc", f"nm_{'0' * 16}_{'5' * 63}", f" nm_{'0' * 16}_{SECRET}"]
)
def test_anything_else_is_no_key(text: str) -> None:
    assert parted(text) is None


def test_only_the_secret_of_a_key_that_is_there_and_not_revoked_is_good() -> None:
    assert is_valid(SECRET, key())
    assert not is_valid("6" * 64, key())
    assert not is_valid(SECRET, None)
    assert not is_valid("", None), "the digest of nothing is what a missing key is compared with"
    assert not is_valid(SECRET, key(revoked_at=NOW))


def test_a_key_s_digest_is_not_shown() -> None:
    assert digest(SECRET) not in repr(key())


def test_each_scope_includes_those_before_it() -> None:
    assert [[scope.includes(other) for other in Scope] for scope in Scope] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]


def test_a_tenant_fills_its_part_of_the_queue_and_no_more() -> None:
    assert not exceeds_share(0.25, room=1000, in_flight=100, tokens=150)
    assert exceeds_share(0.25, room=1000, in_flight=101, tokens=150)
    assert not exceeds_share(0.25, room=1000, in_flight=0, tokens=400), "alone, it goes"
    assert not exceeds_share(0.25, room=None, in_flight=101, tokens=150), "of what, nobody knows"
    assert not exceeds_share(None, room=1000, in_flight=900, tokens=900)
