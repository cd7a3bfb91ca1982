"""Requests are the same if their bytes are, whatever their digests say."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightmail.core.ids import RunId, custom_id
from nightmail.core.request import Endpoint
from nightmail.core.run import KeyKind
from nightmail.providers.openai.lines import request_line
from nightmail.sources.base import Piece, Position
from nightmail.spool import Spool
from nightmail.stages.build import BuiltRows
from nightmail.stages.keying import Keying
from nightmail.stages.repeats import Repeats, lines_path
from nightmail.stages.shards import BuildOrder, BuiltPiece
from nightmail.stores.base import Kept, StoredShard

RUN = RunId("plain-0000")
# Names of requests, also where they are not names.
BODIES = ["", "a", custom_id(RUN, 1), custom_id(RUN, 2), custom_id(RUN, 11), f"{custom_id(RUN, 1)}1"]


class Pieces:
    """Pieces of requests (None: a record without one), built into a spool one after the other."""

    def __init__(self, spool: Spool, digest: Callable[[str], bytes]) -> None:
        self.spool = spool
        self.digest = digest
        self.count = self.next_seq = 0

    def built(self, bodies: Sequence[str | None]) -> tuple[BuildOrder, BuiltPiece]:
        first_seq = self.next_seq + 1
        seqs = [seq for seq, body in enumerate(bodies, first_seq) if body is not None]
        asked = [body for body in bodies if body is not None]
        lines = [
            request_line(custom_id(RUN, seq), Endpoint.CHAT, json.dumps({"text": body}).encode())
            for seq, body in zip(seqs, asked, strict=True)
        ]
        path = lines_path(RUN, self.count)
        self.spool.write(path, lines)
        order = BuildOrder(
            piece=Piece(path="rows.jsonl", row=first_seq, payload=b"", next=Position()),
            first_seq=first_seq,
            record_count=len(bodies),
            keying=Keying(KeyKind.ROW, "row"),
            file_path=path,
            piece_path=None,
        )
        rows = BuiltRows(seqs=seqs, lengths=[len(line) for line in lines])
        self.count, self.next_seq = self.count + 1, self.next_seq + len(bodies)
        digests = b"".join(map(self.digest, asked))
        return order, BuiltPiece(
            rows=rows, failed=[], file_bytes=sum(rows.lengths), record_count=len(bodies), digests=digests
        )


@given(
    pieces=st.lists(
        st.lists(st.none() | st.sampled_from(BODIES), min_size=1, max_size=12), min_size=1, max_size=5
    ),
    different=st.integers(1, len(BODIES)),
    restarts=st.sets(st.integers(0, 4)),
)
def test_a_copy_is_the_same_byte_for_byte_whatever_the_digests_are_and_wherever_reading_was_taken_up_again(
    tmp_path_factory: pytest.TempPathFactory,
    pieces: list[list[str | None]],
    different: int,
    restarts: set[int],
) -> None:
    spool = Spool(tmp_path_factory.mktemp("spool"))
    # As many digests as these; of one, they are all the same.
    made = Pieces(spool, lambda body: bytes([BODIES.index(body) % different]) * 8)
    repeats = Repeats(spool, RUN, 0)
    stored: list[tuple[StoredShard, Kept]] = []
    firsts: dict[int, tuple[int, str]] = {}
    for number, bodies in enumerate(pieces):
        if number in restarts:
            repeats = Repeats(spool, RUN, 0)
            for shard, kept in stored:
                repeats.recall(shard, kept)
        order, built = made.built(bodies)

        found = repeats.find(order, built)

        wanted = []
        for seq, body in enumerate(bodies, order.first_seq):
            if body is not None:
                first, asked = firsts.setdefault(BODIES.index(body) % different, (seq, body))
                if first != seq and asked == body:
                    wanted.append((seq, first))
        assert found.copies == wanted
        stored.append((StoredShard(number, order.first_seq, len(bodies), "rows.jsonl", 1, None), found.kept))


def test_nothing_is_read_where_nothing_is_proposed(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    order, built = Pieces(spool, lambda body: body.encode().ljust(8)).built(["a", "b", None, "c"])
    spool.delete(order.file_path)

    assert Repeats(spool, RUN, 4).find(order, built).copies == []


def test_lines_behind_four_gigabytes_of_their_file_are_compared(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    order, built = Pieces(spool, lambda body: body.encode().ljust(8)).built(["a", "b", "b", "c"])
    before = 2**32 - built.rows.lengths[0] - 1  # a hole, which takes no room on the disk
    lines = spool.read_whole(order.file_path)
    with spool.path(order.file_path).open("wb") as file:
        file.seek(before)
        file.write(lines)
    built.rows.lengths[0] += before

    assert Repeats(spool, RUN, 4).find(order, built).copies == [(3, 2)]
