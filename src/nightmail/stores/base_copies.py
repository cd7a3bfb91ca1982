"""The part of the store port for requests that are the same as an earlier one, and are not sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

import msgspec

from nightmail.core.failure import Reason
from nightmail.core.request import RequestState
from nightmail.stores.nouns import Address, Key, Lease


class Kept(NamedTuple):
    """What later requests of a run are compared with: the digests of a shard's requests in their order, 8
    bytes each, and how long the line of each of its records is, 4 bytes each; 0: it has no request."""

    digests: bytes
    lengths: bytes


class Same(NamedTuple):
    """What is `kept` of a shard's requests to find those that are the same by, and the `copies` among them,
    each with the first record that has its request."""

    kept: Kept
    copies: Sequence[tuple[int, int]]


class DueCopy(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A copy that still follows, and its first, which has its final state: `first_state`, `reason`, the
    batch that had it last, the file of its last request line, its last answer, what it has cost."""

    seq: int
    key: Key
    first_seq: int
    first_key: Key
    first_state: RequestState
    reason: Reason | None
    batch_no: int | None
    file_no: int
    answer: Address | None
    spent_pusd: int | None


class Told(NamedTuple):
    """A copy that did not get its first's answer, and why. Kept as an attempt with the outcome `shared`."""

    copy: DueCopy
    reason: Reason
    message: str


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """What became of copies: one transaction. `part` (its path and its bytes) has the outputs of all that
    are `answered`; of what is `released`, those that are `told` judged their first's answer."""

    part: tuple[str, int] | None = None
    answered: Sequence[DueCopy] = ()
    failed: Sequence[Told] = ()
    released: Sequence[DueCopy] = ()
    told: Sequence[Told] = ()
    given_up: Sequence[DueCopy] = ()


class CopyCounts(NamedTuple):
    """How many records of a run share another's request, and what the answered ones would have cost in
    pico-USD; None if that is unknown."""

    copies: int = 0
    saved_pusd: int | None = 0


class Copies(Protocol):
    async def kept(self, run_no: int, shard_no: int) -> Kept | None:
        """Of a shard; None once all records are read, or if nothing was kept."""
        ...

    async def due(self, run_no: int, *, after: int, limit: int) -> Sequence[DueCopy]:
        """Up to `limit` copies numbered above `after` whose first has its final state, in order."""
        ...

    async def record_shared(self, lease: Lease, shared: Shared, *, now: datetime) -> None:
        """Each copy gets its state; all at once."""
        ...

    async def first_of(self, run_no: int, seq: int) -> int | None:
        """Whose request a copy's is; None if the record is none."""
        ...

    async def count(self, run_no: int) -> CopyCounts: ...
    async def parts(self, run_no: int, first: int, last: int) -> dict[int, str]:
        """The parts that have the outputs of copies with these numbers; none for one whose stored answer
        was judged anew."""
        ...

    async def all_parts(self, run_no: int) -> Sequence[str]: ...
