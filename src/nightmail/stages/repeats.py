"""Which requests of a piece are the same as an earlier one of the run: byte for byte, but for the name.

A digest proposes which two may be the same; then the lines of both are read again and compared. Of requests
that were made to have one digest each is sent, unless it is the same as the first of them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from nightmail.core.copies import Firsts
from nightmail.core.ids import RunId, custom_id
from nightmail.spool import Spool
from nightmail.stages.shards import BuildOrder, BuiltPiece
from nightmail.stores.base import Kept, Same, StoredShard

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ends = NDArray[np.unsignedinteger[Any]]

Read = Callable[[str, int, int], bytes]


def lines_path(run_id: RunId, shard_no: int) -> str:
    """The file of the spool that has the request lines of a shard as they were built."""
    return f"{run_id}/requests/{shard_no:06}.jsonl"


class _Lines(NamedTuple):
    """Where the lines of a shard's records end in their file, one after the other."""

    file_path: str
    first_seq: int
    ends: Ends


class Repeats:
    """The requests of a run so far, of which 22 bytes each are kept; for one thread at a time."""

    def __init__(self, spool: Spool, run_id: RunId, expected: int) -> None:
        self._spool = spool
        self._run_id = run_id
        self._firsts = Firsts(expected)
        self._shards: list[_Lines] = []
        self._starts: list[int] = []

    def recall(self, shard: StoredShard, kept: Kept) -> None:
        """Take in what the store has kept of a shard, behind the others."""
        import numpy as np

        lengths, path = np.frombuffer(kept.lengths, np.uint32), lines_path(self._run_id, shard.shard_no)
        seqs = (np.flatnonzero(lengths) + shard.first_seq).tolist()
        self._add(path, shard.first_seq, kept.digests, seqs, lengths)

    def find(self, order: BuildOrder, built: BuiltPiece) -> Same:
        """Take in a piece behind the others; its lines are in the spool. Blocking: call it from a thread."""
        import numpy as np

        seqs, lengths = built.rows.seqs, np.zeros(order.record_count, np.uint32)
        lengths[np.array(seqs, np.int64) - order.first_seq] = built.rows.lengths
        proposed = self._add(order.file_path, order.first_seq, built.digests, seqs, lengths)
        return Same(Kept(built.digests, lengths.tobytes()), self._confirmed(proposed))

    def _add(
        self, file_path: str, first_seq: int, digests: bytes, seqs: Sequence[int], lengths: NDArray[np.uint32]
    ) -> list[tuple[int, int]]:
        import numpy as np

        ends = np.cumsum(lengths, dtype=np.uint64)
        # Half of what a record takes here; few files are larger.
        small = not len(ends) or int(ends[-1]) <= np.iinfo(np.uint32).max
        self._shards.append(_Lines(file_path, first_seq, ends.astype(np.uint32) if small else ends))
        self._starts.append(first_seq)
        return self._firsts.add(digests, seqs)

    def _confirmed(self, proposed: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Those of the records that ask what the other one asks."""
        if not proposed:
            return []
        found: list[tuple[int, int]] = []
        last, asked = 0, b""
        with self._spool.reading() as read:
            # Records that may ask the same behind each other: what the first of them asks is read once.
            for seq, first in sorted(proposed, key=itemgetter(1)):
                if first != last:
                    last, asked = first, self._nameless(read, first)
                if self._nameless(read, seq) == asked:
                    found.append((seq, first))
        return sorted(found)

    def _nameless(self, read: Read, seq: int) -> bytes:
        """The line of a request without the request's name, which it has before anything else that varies:
        the endpoint and the body are left."""
        file_path, first_seq, ends = self._shards[bisect_right(self._starts, seq) - 1]
        at = seq - first_seq
        begin = int(ends[at - 1]) if at else 0
        line = read(file_path, begin, int(ends[at]) - begin)
        return line.replace(custom_id(self._run_id, seq).encode(), b"", 1)
