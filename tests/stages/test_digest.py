"""Digests of requests: which kind a run has, and what goes into one."""

import hashlib

import pytest

from nightmail.stages.digest import Digest, begun, completed, digest_for

TEXTS = [b"", b"one", b"one ", b"x" * 5_000, b"x" * 4_999 + b"y"]


@pytest.mark.parametrize("deduped", [False, True])
def test_requests_that_are_compared_with_those_of_earlier_runs_have_digests_that_decide(deduped):
    assert digest_for(deduped=deduped, compared=True) is Digest.DECIDES


def test_requests_that_are_deduped_have_digests_that_propose_and_others_none():
    assert digest_for(deduped=True, compared=False) is Digest.PROPOSES
    assert digest_for(deduped=False, compared=False) is None


@pytest.mark.parametrize("kind", Digest)
def test_what_requests_share_and_what_varies_both_count(kind):
    shared = [("/chat", b"ab", b"c"), ("/chat", b"a", b"bc"), ("/chat", b"abc"), ("/embeddings", b"ab", b"c")]
    found = [each for parts in shared for each in completed(begun(*parts), TEXTS, kind)]

    assert len(set(found)) == len(shared) * len(TEXTS)
    assert {len(each) for each in found} == {8}
    # Another process, another day: the same.
    assert found[: len(TEXTS)] == completed(begun(*shared[0]), TEXTS, kind)


def test_a_digest_that_decides_is_cryptographic():
    made = begun("/chat", b"fixed")
    whole = made.copy()
    whole.update(b"varying")

    assert completed(made, [b"varying"], Digest.DECIDES) == [whole.digest()]
    assert isinstance(whole, hashlib.blake2b)
