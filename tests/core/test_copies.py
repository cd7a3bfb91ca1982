"""Requests that may be the same are proposed, each with the first of them; what a copy gets depends on what
could have gone into the answer."""

import hashlib
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightmail.core.copies import DIGEST_BYTES, CopyThen, Firsts, after_first
from nightmail.core.failure import Reason
from nightmail.core.request import RequestState


def digest(body):
    return hashlib.blake2b(str(body).encode(), digest_size=DIGEST_BYTES).digest()


def added(firsts, bodies, first_seq):
    return firsts.add(b"".join(map(digest, bodies)), list(range(first_seq, first_seq + len(bodies))))


@given(shards=st.lists(st.lists(st.integers(0, 40), max_size=60), max_size=12), expected=st.integers(0, 500))
def test_each_copy_names_the_first_record_with_its_request_and_nothing_else_is_a_copy(shards, expected):
    firsts = Firsts(expected)
    seen, seq = {}, 1
    for shard in shards:
        wanted = []
        for number, body in enumerate(shard, seq):
            if seen.setdefault(body, number) != number:
                wanted.append((number, seen[body]))
        assert added(firsts, shard, seq) == wanted
        seq += len(shard)


def test_it_grows_and_still_knows_them_all():
    firsts = Firsts()
    assert added(firsts, range(5_000), 1) == []
    assert added(firsts, range(5_000), 5_001) == [(n + 5_000, n) for n in range(1, 5_001)]


def test_digests_of_nothing_but_zeros_are_found_too():
    firsts = Firsts()
    assert firsts.add(bytes(8) + b"\2" * 8, [1, 2]) == []
    assert firsts.add(bytes(8) + b"\2" * 8, [3, 4]) == [(3, 1), (4, 2)]
    # 0 says that a slot is free, so it is taken for 1: one proposal that the requests refuse.
    assert firsts.add((1).to_bytes(8, sys.byteorder), [5]) == [(5, 1)]


def test_digests_of_another_number_of_requests_are_refused():
    with pytest.raises(ValueError, match="15 bytes are not the digests of 2 requests"):
        Firsts().add(b"x" * 15, [1, 2])


@pytest.mark.parametrize(
    ("state", "reason", "amended", "sees_record", "then"),
    [
        (RequestState.SUCCEEDED, None, False, False, CopyThen.JUDGE),
        (RequestState.SUCCEEDED, None, True, False, CopyThen.JUDGE),
        (RequestState.SUCCEEDED, None, False, True, CopyThen.JUDGE),
        (RequestState.SUCCEEDED, None, True, True, CopyThen.RELEASE),
        (RequestState.FAILED, Reason.REFUSED, False, False, CopyThen.FAIL),
        (RequestState.FAILED, Reason.MALFORMED, True, False, CopyThen.FAIL),
        (RequestState.FAILED, Reason.REFUSED, False, True, CopyThen.FAIL),
        (RequestState.FAILED, Reason.MALFORMED, True, True, CopyThen.RELEASE),
        (RequestState.FAILED, Reason.CHECK, False, True, CopyThen.RELEASE),
        (RequestState.FAILED, Reason.BAD_ROW, False, False, CopyThen.RELEASE),
        (RequestState.CANCELLED, None, False, True, CopyThen.GIVE_UP),
    ],
)
def test_what_a_copy_gets(state, reason, amended, sees_record, then):
    assert after_first(state, reason, amended=amended, sees_record=sees_record) is then
