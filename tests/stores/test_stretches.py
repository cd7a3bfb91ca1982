"""Whether requests are kept as rows or as stretches shows in nothing that a store is asked."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nightmail.core.answer_index import index_of
from nightmail.core.batch import BatchState
from nightmail.core.failure import Reason
from nightmail.core.ids import RunId
from nightmail.core.lifecycle import BatchEvent, RequestEvent, RunEvent
from nightmail.core.request import Endpoint, Mode, RequestState
from nightmail.core.run import RunSpec
from nightmail.errors import IllegalMove
from nightmail.stores import stretches
from nightmail.stores.base import (
    BatchSums,
    FailedRow,
    NewBatch,
    NewLine,
    ReadyRows,
    Setback,
    Shard,
)
from nightmail.stores.base_copies import Kept, Same, Shared
from nightmail.stores.sqlite import SqliteStore
from nightmail.testing.conformance.stores import exercise_store

NOW = datetime(2026, 11, 21, tzinfo=UTC)
RUN = RunId("alike-7f3a")
NEVER = 10**9
MODELS = ("gpt-4o-mini", "gpt-4o")


class Life:
    """A run in one store, whose requests become stretches from `shortest` of them on. Two of one `seed` are
    asked for the same."""

    def __init__(self, home: Path, shortest: int, seed: int) -> None:
        self.home, self.shortest, self.chance = home, shortest, Random(seed)
        self.shards = self.next_seq = 0
        self.digest = itertools.count()

    async def begin(self) -> None:
        self.home.mkdir()
        self.store = await SqliteStore.open(self.home)
        run = await self.store.runs.record(
            run_id=RUN, identity="i", spec=RunSpec(task="t.py:T", task_name="T"), fingerprint={}, now=NOW
        )
        self.run_no = run.run_no
        lease = await self.store.runs.claim(
            run_id=RUN,
            token="a",
            now=NOW,
            until=NOW + timedelta(days=9),
        )
        assert lease is not None
        self.lease = lease
        self.groups = [
            await self.store.requests.record_group(lease, model=model, endpoint=Endpoint.CHAT)
            for model in MODELS
        ]

    async def fill(self) -> None:
        """A shard: some records are left out, some failed, some are copies, some go to another model."""
        chance, first = self.chance, self.next_seq + 1
        count = chance.randint(1, 30)
        strange = chance.choice((0, 0, 0.1, 0.5))
        seqs, failed, copies = [], [], []
        for seq in range(first, first + count):
            fate = chance.random()
            if fate < strange / 4:
                failed.append(FailedRow(seq, f"key-{seq}", Reason.BUILD, "build raised"))
            elif fate > strange / 2 or fate < strange / 3:
                seqs.append(seq)
                if seqs[0] != seq and chance.random() < strange / 2:
                    copies.append((seq, seqs[0]))
        lengths = [chance.randint(1, 9) for _ in seqs]
        ready = ReadyRows(
            seqs=seqs,
            keys=[chance.choice((f"key-{seq}", seq)) for seq in seqs],
            group_nos=[self.groups[chance.random() < strange / 2].group_no for _ in seqs],
            tokens=[chance.randint(1, 99) for _ in seqs],
            inputs=[chance.randint(1, 2) for _ in seqs] if strange else [1] * len(seqs),
            lengths=lengths,
        )
        shard = Shard(
            shard_no=self.shards, first_seq=first, record_count=count, source_path="rows.jsonl",
            source_row=first, position="{}", file_path=f"{RUN}/requests/{self.shards}.jsonl",
            file_bytes=sum(lengths), piece_path=None, ready=ready, failed=failed,
            alone=chance.random() < 0.05,
        )  # fmt: skip
        self.shards, self.next_seq = self.shards + 1, self.next_seq + count
        digests = b"".join(next(self.digest).to_bytes(8, "big") for _ in seqs)
        same = Same(Kept(digests, chance.randbytes(4 * count)), copies)
        with mock.patch.object(stretches, "SHORTEST", self.shortest):
            await self.store.requests.record_shard(self.lease, shard, now=NOW, same=same)

    async def plan(self) -> None:
        """A batch of what is ready: mostly its beginning, sometimes any of it."""
        found = await self.store.requests.list_ready(
            self.run_no, now=self.later(), limit=self.chance.randint(1, 60)
        )
        if not found:
            return
        ready = self.chance.choice(found)
        seqs = sorted(ready.items.seqs)
        seqs = seqs[: self.chance.randint(1, len(seqs))]
        if self.chance.random() < 0.2:
            seqs = sorted(self.chance.sample(seqs, self.chance.randint(1, len(seqs))))
        new = NewBatch(
            group=ready.group, mode=Mode.BATCH, account="a", seqs=seqs, tokens=1, bytes=1, inputs=1
        )
        await self.store.batches.record_planned(self.lease, [new], now=NOW)

    async def recall(self) -> None:
        batches = await self.store.batches.list(self.run_no, states=[BatchState.PLANNED])
        if batches:
            await self.store.batches.record_recalled(self.lease, self.chance.choice(batches))

    async def settle(self) -> None:
        """A batch comes back: all of it good, or some of it set back, or nothing good."""
        batches = await self.store.batches.list(self.run_no, states=[BatchState.PLANNED])
        if not batches:
            return
        batch, chance = self.chance.choice(batches), self.chance
        for event in (BatchEvent.SUBMIT_STARTED, BatchEvent.SUBMITTED, BatchEvent.ENDED):
            batch = await self.store.batches.record(self.lease, batch, event, now=NOW)
        members = await self.store.requests.members(batch)
        bad = chance.choice((0.0, 0.0, 0.1, 0.5, 1.0))
        file_no = await self.store.requests.record_file(
            self.lease, path=f"{RUN}/results/{batch.batch_no}.jsonl", bytes=1
        )
        good, setbacks = [], []
        for member in members:
            if chance.random() >= bad:
                good.append(member.seq)
                continue
            event = chance.choice(
                (RequestEvent.FAILED, RequestEvent.RETURNED, RequestEvent.POSTPONED, RequestEvent.GIVEN_UP)
            )
            setbacks.append(
                Setback(
                    seq=member.seq, event=event, reason=Reason.CHECK, message="m", outcome="succeeded",
                    costs_attempt=True, input_tokens=3, cost_pusd=chance.choice((5, None)),
                    due_at=NOW + timedelta(minutes=1) if event is RequestEvent.POSTPONED else None,
                    line=NewLine(
                        await self._address(member.seq), batch.batch_no and self.groups[0].group_no, 7
                    ) if event is RequestEvent.RETURNED and chance.random() < 0.5 else None,
                )
            )  # fmt: skip
        n = len(good)
        sums = BatchSums(
            succeeded=n, answers=n, input_tokens=n, output_tokens=n, cached_tokens=0, reasoning_tokens=0,
            cost_pusd=n, sync_cost_pusd=n, wasted_pusd=0, counted_tokens=n, compared_tokens=n,
        )  # fmt: skip
        answers = index_of(good, [file_no] * n, good, [1] * n, [1] * n, [1] * n, [2] * n)
        await self.store.requests.record_outcomes(
            self.lease,
            batch,
            successes=answers,
            setbacks=setbacks,
            sums=sums,
            event=BatchEvent.SETTLED,
            now=NOW,
        )

    async def _address(self, seq: int):
        row = await self.store.requests.read(self.run_no, seq)
        assert row is not None
        return row.request

    async def drop(self) -> None:
        """Some that are ready must not be sent."""
        found = await self.store.requests.list_ready(self.run_no, now=NOW, limit=9)
        new = [seq for ready in found for seq in ready.items.seqs]
        seqs = self.chance.sample(new, min(len(new), 2))
        rows = [FailedRow(seq, f"key-{seq}", Reason.BAD_ROW, "twice") for seq in seqs]
        await self.store.requests.record_failed(self.lease, rows, now=NOW)

    async def share(self) -> None:
        due = await self.store.copies.due(self.run_no, after=0, limit=5)
        answered = [each for each in due if each.first_state is RequestState.SUCCEEDED]
        others = [each for each in due if each.first_state is not RequestState.SUCCEEDED]
        part = (f"{RUN}/outputs/copies-{self.chance.random()}.arrow", 1) if answered else None
        await self.store.copies.record_shared(
            self.lease, Shared(part=part, answered=answered, released=others), now=NOW
        )

    async def retry(self) -> None:
        run = await self.store.runs.read(RUN)
        assert run is not None
        for event in (RunEvent.SEALED, RunEvent.COMPLETED):
            await self.store.runs.record_event(run.run_no, event, now=NOW)
        if not await self.store.requests.record_retried(self.run_no, reasons=None, now=NOW):
            raise IllegalMove("nothing had failed")

    async def give_up(self) -> None:
        await self.store.requests.record_given_up(self.lease, now=NOW)

    def later(self) -> datetime:
        return NOW + timedelta(minutes=2)

    async def all_that_is_said(self) -> dict[str, object]:
        """Every answer that depends on requests; what the store itself finds wrong is an error."""
        store, run_no, last = self.store, self.run_no, self.next_seq
        requests, chance = store.requests, Random(last)
        assert await requests.miscounted(run_no) is None
        first = chance.randint(1, max(1, last))
        batches = await store.batches.list(run_no)
        run = await store.runs.read(RUN)
        some = sorted(chance.sample(range(1, last + 2), min(5, last)))
        find = {"number": None, "after": 0, "upto": last, "limit": 7}
        return {
            "planned": run and run.planned_seq,
            "counts": await requests.count(run_no),
            "ready": await requests.list_ready(run_no, now=self.later(), limit=1000),
            "few ready": await requests.list_ready(run_no, now=NOW, limit=3),
            "due": await requests.next_due(run_no),
            "batches": [(each.state, each.requests, each.succeeded) for each in batches],
            "members": [await requests.members(each) for each in batches],
            "some members": [await requests.members(each, some) for each in batches],
            "asked": [await requests.asked(each) for each in batches],
            "lines": [_bytes_of(await requests.ranges(each)) for each in batches],
            "successes": await requests.list_successes(run_no, first, last),
            "counted": await requests.count_successes(run_no, 1, first),
            "failures": await requests.list_failures(run_no, after=0, limit=1000),
            "rows": [await requests.read(run_no, seq) for seq in range(last + 2)],
            "page": await store.pages.page(run_no, after=first, limit=9, state=None),
            "pages": [
                await store.pages.page(run_no, after=0, limit=limit, state=state)
                for state in (None, *RequestState)
                for limit in (1, 5, 1000)
            ],
            "some": await store.pages.rows(run_no, some),
            "a key": await store.inquiries.find(run_no, f"key-{first}", beginning=False, **find),
            "keys": await store.inquiries.find(run_no, "key-1", beginning=True, **find),
            "numbers": await store.inquiries.find(run_no, "1", beginning=True, **{**find, "number": 1}),
            "first": await store.history.first_request(run_no),
            "copies": await store.copies.due(run_no, after=0, limit=100),
            "kept": [await store.copies.kept(run_no, shard) for shard in range(self.shards)],
            "doubles": await requests.duplicate_keys(run_no, limit=5) if self.shortest == NEVER else None,
        }


def _bytes_of(ranges) -> list[tuple[int, int]]:
    return [(file_no, offset + i) for file_no, offset, length in ranges for i in range(length)]


# Each is followed by the next look at everything; most change something.
DEEDS = (
    "plan",
    "settle",
    "plan settle",
    "plan settle",
    "fill",
    "recall",
    "drop",
    "share",
    "retry",
    "give_up",
)


@settings(max_examples=settings.default.max_examples * 2 // 5)
@given(seed=st.integers(0, 2**32), deeds=st.lists(st.sampled_from(DEEDS), min_size=4, max_size=9))
def test_a_run_of_stretches_and_a_run_of_rows_are_the_same_run(tmp_path_factory, seed, deeds):
    home = tmp_path_factory.mktemp("lives")

    async def live() -> None:
        lives = [Life(home / f"{shortest}", shortest, seed) for shortest in (1, 4, NEVER)]
        for each in lives:
            await each.begin()
        try:
            for deed in " ".join(("fill", "fill", "plan", *deeds)).split():
                done = [await _tried(each, deed) for each in lives]
                assert done[0] == done[1] == done[2], deed
                said = [await each.all_that_is_said() for each in lives]
                for other in said[:2]:
                    assert other | {"doubles": None} == said[2] | {"doubles": None}, deed
        finally:
            for each in lives:
                await each.store.close()

    asyncio.run(live())


async def _tried(life: Life, deed: str) -> bool:
    try:
        await getattr(life, deed)()
    except IllegalMove:
        return False
    return True


@pytest.mark.parametrize("shortest", [1, 2])
async def test_a_store_of_stretches_does_what_every_store_must_do(tmp_path, monkeypatch, shortest):
    monkeypatch.setattr(stretches, "SHORTEST", shortest)
    await exercise_store(lambda: SqliteStore.open(tmp_path))


async def test_a_batch_that_begins_and_ends_within_stretches_cuts_them(tmp_path):
    life = Life(tmp_path / "home", 1, 0)
    await life.begin()
    ready = ReadyRows(
        seqs=list(range(1, 101)), keys=[f"k{n}" for n in range(1, 101)], group_nos=[0] * 100,
        tokens=[1] * 100, inputs=[1] * 100, lengths=[10] * 100,
    )  # fmt: skip
    shard = Shard(
        shard_no=0, first_seq=1, record_count=100, source_path="r", source_row=1, position="{}",
        file_path="f", file_bytes=1000, piece_path=None, ready=ready, failed=[],
    )  # fmt: skip
    await life.store.requests.record_shard(life.lease, shard, now=NOW)
    new = NewBatch(
        group=life.groups[0],
        mode=Mode.BATCH,
        account="a",
        seqs=list(range(41, 71)),
        tokens=1,
        bytes=1,
        inputs=1,
    )
    (batch,) = await life.store.batches.record_planned(life.lease, [new], now=NOW)

    assert [each.seq for each in await life.store.requests.members(batch)] == new.seqs
    assert [address[1:] for address in await life.store.requests.ranges(batch)] == [(400, 300)]
    (left,) = await life.store.requests.list_ready(life.run_no, now=NOW, limit=1000)
    assert left.items.seqs == [*range(1, 41), *range(71, 101)]
    await life.store.close()
