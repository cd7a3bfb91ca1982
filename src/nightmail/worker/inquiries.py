"""What a person asks of a home: a batch, a record, a text in all outputs, why it failed, how full a queue is.

Nothing here changes anything, and each answer is bounded: what is asked while a million records are under
way must not hold them up. `tenant` binds an answer to one tenant's runs; None is everybody's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from nightmail.core.course import Example
from nightmail.core.failure import Reason
from nightmail.core.ids import BatchId, RunId
from nightmail.core.limits import Limits
from nightmail.core.quota import Learned, queue_limit
from nightmail.core.run import Run
from nightmail.errors import UnknownBatch
from nightmail.spool import Spool
from nightmail.stages.ports import Clock
from nightmail.stores.base import BatchWhole, Event, Failing, PageRow, Queue, Store, Troubled
from nightmail.telemetry import EventName
from nightmail.worker.reading import find
from nightmail.worker.record import RecordWhole, number_of, record_of
from nightmail.worker.search import Found, Search, place_of

# So many failed records of a run are looked at for examples of every reason.
LOOKED_AT = 10_000
# Looks and events of a batch, the newest.
HISTORY = 200
EXAMPLES = 5
SECONDS = 1.0
HITS = 25
# Trouble that is older than so many events is found at its run.
AMONG = 5_000
TROUBLE = (
    EventName.PROVIDER_TROUBLE,
    EventName.BATCH_REFUSED,
    EventName.QUOTA_LEARNED,
    EventName.RUN_PUT_OFF,
    EventName.SCHEDULE_PUT_OFF,
    EventName.RESULT_FILE_GONE,
    EventName.BATCH_DOUBTFUL,
)


class FailingRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run with failed records: how many for which reason, and some of the first of each; of a reason that
    is very rare there may be none."""

    run: Run
    reasons: Mapping[Reason, int]
    examples: Sequence[Example]


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """A model's queue. `limit` is what is kept to, as far as anything is known: the least that users have
    `given` (least and most, over unfinished runs), and what the provider has named, dared a little more
    since. `uses` is what each tenant has in flight (None: nobody's runs), `waiting` who
    asks for room since when."""

    queue: Queue
    limit: int | None
    given: tuple[int, int] | None
    uses: Mapping[str | None, int]
    waiting: Sequence[tuple[RunId, datetime]]


class Inquiries:
    """Reached as `client.inquiries`."""

    def __init__(self, store: Store, spool: Spool, clock: Clock) -> None:
        self._store = store
        self._spool = spool
        self._clock = clock

    async def batch(self, batch_id: str) -> BatchWhole:
        """Everything that is known of a batch. Raises `UnknownBatch`."""
        found = await self._store.inquiries.batch(BatchId(batch_id), limit=HISTORY)
        if found is None:
            raise UnknownBatch(f"there is no batch {batch_id!r} in this home")
        return found

    async def record(self, run_id: str, record: int, *, texts: bool = True) -> RecordWhole:
        """A record by its number in the source; without `texts`, nothing of what was said. Raises
        `UnknownRun` and `UnknownRecord`."""
        run = await find(self._store, RunId(run_id))
        return await record_of(self._store, self._spool, run, record, texts=texts)

    async def number_of(self, run_id: str, key: str) -> int:
        """The number of the record with this key. Raises `UnknownRun` and `UnknownRecord`."""
        return await number_of(self._store, await find(self._store, RunId(run_id)), key)

    async def search_keys(
        self,
        text: str,
        *,
        beginning: bool = False,
        run_id: str | None = None,
        tenant: str | None = None,
        start: str | None = None,
        seconds: float = SECONDS,
    ) -> Found:
        """Records whose key is `text`, or begins with it, of one run or of all, newest run first; from
        `start` on, which is the `next` of an earlier answer. Raises `UnknownRun`."""
        search = await self._search(run_id, tenant, seconds)
        return await search.keys(text, beginning=beginning, start=place_of(start))

    async def search_outputs(
        self,
        text: str,
        *,
        run_id: str | None = None,
        tenant: str | None = None,
        start: str | None = None,
        seconds: float = SECONDS,
    ) -> Found:
        """The same for records whose output has `text` in it, in capitals or not."""
        search = await self._search(run_id, tenant, seconds)
        return await search.outputs(text, start=place_of(start))

    async def failing_runs(
        self,
        *,
        tenant: str | None = None,
        reason: Reason | None = None,
        before: str | None = None,
        limit: int = 20,
        examples: int = EXAMPLES,
    ) -> Sequence[FailingRun]:
        """Runs with failed records (for one reason, if given), older than `before`, the newest first, with
        examples of each reason."""
        found = await self._store.inquiries.failing_runs(
            tenant=tenant, reason=reason, before=RunId(before) if before else None, limit=limit
        )
        return [
            FailingRun(run=run, reasons=reasons, examples=await self._examples(run, reason, examples))
            for run, reasons in found
        ]

    async def _examples(self, run: Run, reason: Reason | None, most: int) -> Sequence[Example]:
        if reason is None:
            return await self._store.history.examples(run.run_no, each=most, among=LOOKED_AT)
        rows = await self._store.inquiries.failed(run.run_no, reason=reason, after=0, limit=most)
        return [Example(reason, row.seq, row.key, row.message) for row in rows]

    async def reasons(self, *, tenant: str | None = None) -> Sequence[Failing]:
        """Why records failed, over all runs, the most frequent first."""
        return await self._store.inquiries.reasons(tenant=tenant)

    async def failed(
        self, run_id: str, *, reason: Reason | None = None, after: int = 0, limit: int = 50
    ) -> Sequence[PageRow]:
        """Failed records numbered above `after`, in order; for one reason if given. Raises `UnknownRun`."""
        run = await find(self._store, RunId(run_id))
        return await self._store.inquiries.failed(run.run_no, reason=reason, after=after, limit=limit)

    async def troubled_batches(
        self, *, tenant: str | None = None, before: str | None = None, limit: int = 20
    ) -> Sequence[Troubled]:
        """Batches that failed whole or expired, older than `before`, the newest first."""
        return await self._store.inquiries.troubled_batches(
            tenant=tenant, before=BatchId(before) if before else None, limit=limit
        )

    async def troubles(
        self, names: Sequence[EventName] = TROUBLE, *, tenant: str | None = None, limit: int = 30
    ) -> Sequence[Event]:
        """What went wrong lately but for records and whole batches, the newest first."""
        return await self._store.inquiries.events(names, tenant=tenant, among=AMONG, limit=limit)

    async def quotas(self, *, tenant: str | None = None) -> Sequence[Quota]:
        """Every model's queue that is in use, or of which something is known."""
        given = await self._store.inquiries.given_quotas()
        uses = await self._store.inquiries.uses(tenant=tenant)
        waiting = await self._store.inquiries.waiting(tenant=tenant, limit=100)
        found = []
        for queue in await self._store.pages.queues(tenant=tenant):
            place, said = (queue.account, queue.model), given.get(queue.model)
            learned = Learned(limit=queue.limit_tokens, learned_at=queue.learned_at)
            known = Limits(max_enqueued_tokens=said[0] if said else None)
            found.append(
                Quota(
                    queue=queue,
                    limit=queue_limit(known, learned, self._clock.now()),
                    given=said,
                    uses={each.tenant: each.tokens for each in uses if each[:2] == place},
                    waiting=[(each.run_id, each.since) for each in waiting if each[:2] == place],
                )
            )
        return found

    async def _search(self, run_id: str | None, tenant: str | None, seconds: float) -> Search:
        run = await find(self._store, RunId(run_id)) if run_id else None
        return Search(self._store, self._spool, tenant=tenant, run=run, seconds=seconds, limit=HITS)
