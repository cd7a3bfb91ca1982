"""The digests by which requests are told apart: of the endpoint and the body, without the name.

Of 64 bits, and of two kinds, since two questions are asked of them. Whether a request is the same as another
of its run the requests themselves tell: a digest only proposes which to compare, and may be quick. Whether
a record has changed since an earlier run nothing but the digest can tell.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import StrEnum

import msgspec
from xxhash import xxh3_64_digest

from nightmail.core.copies import DIGEST_BYTES


class Digest(StrEnum):
    """What is made of the requests of a run."""

    PROPOSES = "proposes"  # xxh3: texts that collide can be made at will
    DECIDES = "decides"  # BLAKE2b, fifteen times as dear


def digest_for(*, deduped: bool, compared: bool) -> Digest | None:
    """What is to be made of requests that will be `compared` with those of earlier runs, of which nothing but
    the digests is left, or `deduped` within their run, or both."""
    if compared:
        return Digest.DECIDES
    return Digest.PROPOSES if deduped else None


def begun(*fixed: str | bytes) -> hashlib.blake2b:
    """A digest that has taken in what is fixed, written so that no two sequences of parts are the same."""
    return hashlib.blake2b(msgspec.msgpack.encode(fixed), digest_size=DIGEST_BYTES)


def completed(fixed: hashlib.blake2b, varying: Sequence[bytes], digest: Digest) -> list[bytes]:
    """The digests of what is fixed with each of what varies."""
    if digest is Digest.PROPOSES:
        seed = int.from_bytes(fixed.digest(), "big")
        return [xxh3_64_digest(each, seed) for each in varying]
    copy = fixed.copy
    found = []
    for each in varying:
        hashed = copy()
        hashed.update(each)
        found.append(hashed.digest())
    return found
