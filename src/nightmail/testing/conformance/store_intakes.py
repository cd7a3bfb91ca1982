"""What every store must do for intakes; part of `exercise_store`."""

from __future__ import annotations

from datetime import datetime, timedelta

from nightmail.core.ids import RunId
from nightmail.core.intake import IntakeSpec
from nightmail.errors import LeaseLost
from nightmail.stores.base import Cut, Handed, HandedPage, Store


async def intakes_take_in_once_and_cut_in_order(store: Store, now: datetime) -> None:
    """Pages are taken whole or not at all; records leave by priority, each once; forgotten cuts too."""
    spec = IntakeSpec(task="t:T", max_records=2, max_waiting=3)
    intake = await store.intakes.record("queue", None, spec, now=now)
    assert await store.intakes.record("queue", "theirs", spec, now=now) == intake, "the first stays"
    segment = await store.intakes.record_segment("queue/1.jsonl", "me")

    def page(
        *keys: str, priority: int = 0, tenant: str | None = None, digest: bytes = b"d" * 16
    ) -> HandedPage:
        records = [Handed(key, digest, 10, 100 * number, 100) for number, key in enumerate(keys)]
        return HandedPage(intake.intake_no, tenant, priority, segment, records)

    pages = [
        page("a", "b"),
        page("b"),
        page("c", "a", digest=b"e" * 16),
        page("c", "d"),
        page("a", tenant="other", priority=1),
    ]
    first, again, other, full, urgent = await store.intakes.record_pages(pages, now=now)
    assert (first.accepted, first.duplicates, first.waiting) == (2, 0, 2)
    assert (again.accepted, again.duplicates) == (0, 1), "word for word: not twice"
    assert (other.accepted, list(other.conflicts)) == (0, ["a"]), "other words: none of the page"
    assert (full.accepted, full.full) == (0, True)
    assert (urgent.accepted, urgent.waiting) == (1, 3), "another tenant's key is another"

    seen = await store.intakes.read("queue")
    assert seen is not None
    assert (seen.waiting, seen.waiting_tokens, seen.oldest_at) == (3, 30, now)
    until = now + timedelta(minutes=1)
    cut = await store.intakes.record_cut(seen, holder="me", until=until, now=now)
    assert cut is not None
    assert [offset for _, offset, _ in await store.intakes.addresses(cut.cut_no)] == [0, 0], (
        "the urgent, then the old"
    )
    assert list(await store.intakes.spent_segments()) == []

    async def claimed(at: datetime, dead: list[str]) -> list[Cut]:
        later = until + timedelta(minutes=1)
        return list(await store.intakes.claim_cuts(holder="you", until=later, now=at, dead=dead))

    assert await claimed(now, []) == []
    assert await claimed(now, ["me"]) == [cut]
    await store.intakes.record_begun(cut.cut_no, RunId("no-run"))
    rest = await store.intakes.record_cut(seen, holder="me", until=until, now=now)
    assert rest is not None
    assert rest.records == 1
    assert await store.intakes.record_cut(seen, holder="me", until=until, now=now) is None
    assert await claimed(until, []) == [rest], "late"
    await store.intakes.record_begun(rest.cut_no, RunId("no-run"))
    (spent,) = await store.intakes.spent_segments()
    assert await store.intakes.record_retired(spent)
    assert not await store.intakes.record_retired(spent), "it is"
    assert (list(await store.intakes.spent_segments()), list(await store.intakes.segments())) == ([], [])
    await _nobody_relies_on_a_retired_segment(store, page("y"), now)
    assert list(await store.intakes.cuts_over([cut.cut_no, 99])) == [cut.cut_no], "there is no such run"
    segment = await store.intakes.record_segment("queue/2.jsonl", "me")

    assert [row.key for row in await store.intakes.page(intake.intake_no, None, after=0, limit=9)] == [
        "a",
        "b",
    ]
    assert [row.key for row in await store.intakes.rows(intake.intake_no, "other", ["a", "b"])] == ["a"]
    await store.intakes.record_closed(intake.intake_no)
    (closed,) = await store.intakes.record_pages([page("z")], now=now)
    assert (closed.accepted, closed.closed) == (0, True)


async def _nobody_relies_on_a_retired_segment(store: Store, page: HandedPage, now: datetime) -> None:
    try:
        await store.intakes.record_pages([page], now=now)
    except LeaseLost:
        return
    raise AssertionError("a page was taken in whose records nobody keeps")
