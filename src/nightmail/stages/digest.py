"""The digests by which requests are told to be the same: of the endpoint and the body, without the name.

Of 128 bits and cryptographic: two texts that collide in a faster one can be made at will, and the second
record would get the answer to the first. What requests share is taken in once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

from nightmail.core.copies import DIGEST_BYTES


def begun(*fixed: str | bytes) -> hashlib.blake2b:
    """A digest that has taken in what is fixed, written so that no two sequences of parts are the same."""
    return hashlib.blake2b(msgspec.msgpack.encode(fixed), digest_size=DIGEST_BYTES)


def completed(fixed: hashlib.blake2b, varying: Sequence[bytes]) -> list[bytes]:
    """The digests of what is fixed with each of what varies."""
    copy = fixed.copy
    found = []
    for each in varying:
        hashed = copy()
        hashed.update(each)
        found.append(hashed.digest())
    return found
