"""Which records of a piece an earlier run of the same schedule has not delivered just so. Pure.

A record is unchanged if its key was delivered and the request that is made of it is the same, byte for
byte: what the request does not use may change, what it uses may not. Only a digest of it is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

from nightmail.core.request import Endpoint
from nightmail.providers.base import Provider
from nightmail.stages.build import Built, BuiltRows
from nightmail.stores.base import Key


class Kept(NamedTuple):
    """What of a piece is new or changed, with the digest of each request."""

    built: Built
    digests: list[int]


def leave_out(built: Built, delivered: Mapping[Key, int], provider: Provider, endpoint: Endpoint) -> Kept:
    """What of it was not delivered just so."""
    rows, kept, lines, digests = built.rows, BuiltRows(), [], []
    for place, line in enumerate(built.lines):
        key, found = rows.keys[place], digest(endpoint, provider.request_body(line))
        if delivered.get(key) == found:
            continue
        lines.append(line)
        digests.append(found)
        kept.seqs.append(rows.seqs[place])
        kept.keys.append(key)
        kept.models.append(rows.models[place])
        kept.tokens.append(rows.tokens[place])
        kept.inputs.append(rows.inputs[place])
        kept.lengths.append(rows.lengths[place])
    return Kept(Built(lines, kept, built.failed), digests)


def digest(endpoint: Endpoint, body: bytes) -> int:
    """64 bits: two requests are only compared if they have the same key, so chance has one try for each."""
    hashed = hashlib.blake2b(endpoint.encode(), digest_size=8)
    hashed.update(body)
    return int.from_bytes(hashed.digest(), "big", signed=True)
