"""Which records of a piece an earlier run of the same schedule has not delivered just so. Pure.

A record is unchanged if its key was delivered and the request that is made of it is the same, byte for
byte: what the request does not use may change, what it uses may not. Only a digest of it is kept.
"""

from __future__ import annotations

from collections.abc import Mapping

from nightmail.stages.build import Built, BuiltRows
from nightmail.stores.base import Key


def leave_out(built: Built, delivered: Mapping[Key, int]) -> Built:
    """What of it was not delivered just so. It must have been built with digests that decide."""
    rows, kept, lines, digests = built.rows, BuiltRows(), [], []
    for place, digest in enumerate(built.digests):
        key = rows.keys[place]
        if delivered.get(key) == content(digest):
            continue
        lines.append(built.lines[place])
        digests.append(digest)
        kept.seqs.append(rows.seqs[place])
        kept.keys.append(key)
        kept.models.append(rows.models[place])
        kept.tokens.append(rows.tokens[place])
        kept.inputs.append(rows.inputs[place])
        kept.lengths.append(rows.lengths[place])
    return Built(lines, kept, built.failed, digests)


def content(digest: bytes) -> int:
    """A request's digest as it is stored: two requests are only compared if they have the same key, so chance
    has one try for each."""
    return int.from_bytes(digest, "big", signed=True)
