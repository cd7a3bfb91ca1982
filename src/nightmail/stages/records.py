"""Records read again, by number, from the pieces kept in the spool."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from nightmail.errors import InternalError
from nightmail.sources.base import BadRow, Piece, Record, Source
from nightmail.spool import Spool
from nightmail.stores.base import StoredShard

# Results come in no order, so a batch's pieces are wanted side by side: the largest batch, 50,000
# requests, lies in about a dozen.
KEPT = 12


class Records:
    """The records of a run whose task asks for them again; used in one thread."""

    def __init__(self, spool: Spool, source: Source, shards: Sequence[StoredShard]) -> None:
        self._spool = spool
        self._source = source
        self._shards = shards
        self._starts = [shard.first_seq for shard in shards]
        self._read: OrderedDict[int, list[Record | BadRow]] = OrderedDict()

    def read(self, seq: int) -> Record:
        """The record with this number, with the types that `build` saw."""
        index = bisect_right(self._starts, seq) - 1
        rows = self._read.get(index)
        if rows is None:
            name = self._shards[index].piece_path
            if name is None:
                raise InternalError(f"record {seq} was not kept, though the task wants it")
            piece = msgspec.msgpack.decode(self._spool.read_whole(name), type=Piece)
            rows = self._read[index] = self._source.records(piece)
            if len(self._read) > KEPT:
                self._read.popitem(last=False)
        row = rows[seq - self._starts[index]]
        if isinstance(row, BadRow):
            raise InternalError(f"record {seq} is a bad row, but it was sent")
        return row
