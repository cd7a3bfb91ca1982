"""Which happening and which state somebody is told of, and that each is one notice."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from nightmail.core import notice_events
from nightmail.core.batch import Batch, BatchState, Phase
from nightmail.core.budget import Money
from nightmail.core.failure import Reason
from nightmail.core.ids import BatchId, RunId
from nightmail.core.notice import Happening, NoticeKind
from nightmail.core.notice_states import STUCK_AFTER, of_day, of_run
from nightmail.core.pricing import PUSD_PER_USD
from nightmail.core.progress import ACTIVE_STATES, status_of, totals_of
from nightmail.core.request import Endpoint, Mode, RequestState
from nightmail.core.run import PauseReason, Run, RunSpec, RunState
from nightmail.telemetry import EventName

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
RUN = RunId("sections-7f3a")


def a_batch(**changes):
    batch = Batch(
        batch_no=1, run_no=1, batch_id=BatchId(f"{RUN}.b1"), state=BatchState.IN_PROGRESS, mode=Mode.BATCH,
        account="a", model="m", endpoint=Endpoint.CHAT, requests=1000, tokens=1, bytes=1, inputs=1,
        first_seq=1, last_seq=1000, created_at=NOW, submitted_at=NOW, provider_batch_id="batch_1",
        status="in_progress", completed=0,
    )  # fmt: skip
    return msgspec.structs.replace(batch, **changes)


def status(*, state=RunState.DRAINING, succeeded=0, failed=0, left=0, now=NOW, batches=(), **spec):
    run = Run(
        run_no=1, run_id=RUN, identity="i", state=state, fingerprint={}, created_at=NOW, sealed=True,
        spec=RunSpec(task="t:T", task_name="T", output="/out/x.parquet", **spec),
        finished_at=NOW if state in (RunState.FINISHED, RunState.CANCELLED) else None,
    )  # fmt: skip
    states = {
        RequestState.SUCCEEDED: succeeded, RequestState.FAILED: failed, RequestState.READY: left,
    }  # fmt: skip
    return status_of(
        run, states=states, reasons={Reason.REFUSED: failed}, again={}, totals=totals_of(batches),
        active=[each for each in batches if each.state in ACTIVE_STATES], quotas={},
        failures="/out/x.failures.jsonl", now=now,
    )  # fmt: skip


def event(name, event_no=7, batch=None, **detail):
    return Happening(event_no, NOW, RUN, batch and BatchId(batch), name, detail)


def told(happening, seen=None, home="h"):
    return notice_events.of_event(happening, seen or status(left=10), home=home, now=NOW)


def seen_of(seen, *batches, spent=0, budget=None, now=NOW):
    found = of_run(
        seen, batches, money=Money(spent=spent), budget_pusd=budget, home="h", now=now
    )  # fmt: skip
    return {notice.kind: notice for notice in found}


@pytest.mark.parametrize(
    ("happening", "kind", "words"),
    [
        (event("run_moved", old="draining", new="finished"), NoticeKind.RUN_FINISHED, "is finished"),
        (event("run_moved", old="draining", new="cancelled"), NoticeKind.RUN_CANCELLED, "is cancelled"),
        (
            event("run_moved", new="paused", reason="credentials", message="401"),
            NoticeKind.RUN_PAUSED,
            "paused: credentials",
        ),
        (event("run_moved", new="paused", reason="billing"), NoticeKind.RUN_PAUSED, "paused: billing"),
        (event("run_put_off", message="no such task"), NoticeKind.RUN_PUT_OFF, "cannot be worked on"),
        (event("batch_doubtful", batch="x.b1", message="?"), NoticeKind.BATCH_DOUBTFUL, "nobody knows"),
        (
            event("batch_ended", batch="x.b1", phase="expired", completed=3, requests=10),
            NoticeKind.BATCH_EXPIRED,
            "x.b1 has expired",
        ),
        (
            event("quota_learned", account="a", model="m", limit=90_000, limit_before=None),
            NoticeKind.QUOTA_LEARNED,
            "takes 90,000 tokens",
        ),
        (
            event("quota_learned", account="a", model="m", limit=9, limit_before=9, refusals=1,
                  blocked_until="2026-11-21T08:01:00Z"),
            NoticeKind.QUOTA_BLOCKED,
            "takes nothing more for m",
        ),
    ],
    ids=lambda each: each.value if isinstance(each, NoticeKind) else "",
)  # fmt: skip
def test_what_has_happened_is_told(happening, kind, words):
    (notice,) = told(happening)
    assert notice.kind is kind
    assert words in notice.title
    assert (notice.run_id, notice.at) == (RUN, NOW)
    assert notice.text


@pytest.mark.parametrize(
    "happening",
    [
        event("run_moved", old="open", new="draining"),
        event("run_moved", new="paused", reason="user"),
        event("batch_ended", batch="x.b1", phase="completed", completed=3, requests=3),
        event("batch_submitted", batch="x.b1"),
        event("provider_trouble", message="503", times=1),
    ],
    ids=["drains", "paused by the user", "completed", "submitted", "trouble"],
)
def test_what_needs_nobody_is_not_told(happening):
    assert told(happening) == []


def test_every_event_that_is_told_has_its_name_from_the_list():
    assert {"run_moved", "run_put_off", "batch_doubtful", "batch_ended", "quota_learned"} <= set(EventName)


def test_an_event_is_one_notice_however_often_it_is_found():
    finished = event("run_moved", new="finished")
    (first,) = told(finished, status(state=RunState.FINISHED, succeeded=9))
    (again,) = told(finished, status(left=3))
    (later,) = told(finished._replace(event_no=8))
    (elsewhere,) = told(finished, home="another")
    assert first.notice_id == again.notice_id
    assert len({first.notice_id, later.notice_id, elsewhere.notice_id}) == 3


def test_a_finished_run_tells_its_counts_its_cost_and_what_to_do():
    closed = a_batch(state=BatchState.FINALISED, settled_at=NOW, cost_pusd=10**12, sync_cost_pusd=2 * 10**12)
    seen = status(state=RunState.FINISHED, succeeded=998, failed=2, batches=[closed])
    (notice,) = told(event("run_moved", new="finished"), seen)
    assert "998 of 1,000" in notice.title
    assert "It cost 1.0 USD, 1.0 USD less" in notice.text
    assert notice.to_do is not None
    assert f"nightmail retry {RUN}" in notice.to_do
    assert notice.eta is None


def test_a_pause_says_how_to_go_on():
    for reason in (PauseReason.CREDENTIALS, PauseReason.BILLING):
        (notice,) = told(event("run_moved", new="paused", reason=reason.value, message="m"))
        assert notice.to_do is not None
        assert f"nightmail resume {RUN}" in notice.to_do


def test_one_refusal_can_teach_two_things():
    both = event("quota_learned", account="a", model="m", limit=5, limit_before=None, refusals=1,
                 blocked_until="2026-11-21T08:01:00Z")  # fmt: skip
    assert [notice.kind for notice in told(both)] == [NoticeKind.QUOTA_LEARNED, NoticeKind.QUOTA_BLOCKED]


def test_a_queue_that_is_full_all_night_is_told_once_a_day():
    def blocked(number, at):
        (notice,) = told(
            event("quota_learned", number, account="a", model="m", refusals=number, blocked_until="x")
            ._replace(at=at)
        )  # fmt: skip
        return notice.notice_id

    assert blocked(1, NOW) == blocked(2, NOW + HOUR)
    assert blocked(1, NOW) != blocked(3, NOW + 24 * HOUR)


def test_what_goes_on_has_a_range_in_which_it_may_end():
    started = a_batch(submitted_at=NOW - HOUR)
    seen = status(succeeded=500, left=500, batches=[started])
    (notice,) = told(event("run_moved", new="paused", reason="billing"), seen)
    assert notice.eta is not None
    assert NOW < notice.eta[0] < notice.eta[1]


@pytest.mark.parametrize(
    ("succeeded", "failed", "is_told"), [(0, 99, False), (95, 5, False), (900, 100, True), (0, 100, True)]
)
def test_a_large_share_of_failures_is_told_once_enough_are_through(succeeded, failed, is_told):
    seen = status(succeeded=succeeded, failed=failed, left=1000)
    found = seen_of(seen)
    assert (NoticeKind.FAILURES_HIGH in found) is is_told
    if is_told:
        more = seen_of(status(succeeded=succeeded, failed=failed + 50, left=900))
        assert more[NoticeKind.FAILURES_HIGH].notice_id == found[NoticeKind.FAILURES_HIGH].notice_id


def test_a_budget_is_told_at_its_marks_and_anew_when_it_is_raised():
    budget = 10 * PUSD_PER_USD
    ids = []
    for spent, percent in ((4.9, None), (5, 50), (7.9, 50), (8, 80), (9.99, 80), (10, 100), (12, 100)):
        notice = seen_of(status(left=1), spent=int(spent * PUSD_PER_USD), budget=budget).get(
            NoticeKind.BUDGET_USED
        )
        assert (None if notice is None else notice.facts["percent"]) == percent
        ids.append(notice and notice.notice_id)
    assert len(set(ids[1:])) == 3
    raised = seen_of(status(left=1), spent=10 * PUSD_PER_USD, budget=2 * budget)[NoticeKind.BUDGET_USED]
    assert raised.facts["percent"] == 50
    assert raised.notice_id not in ids


def test_a_day_s_budget_is_told_each_day():
    money = Money(spent=8, reserved=1)
    (today,), (later,) = (of_day(money, 10, home="h", now=at) for at in (NOW, NOW + 24 * HOUR))
    assert (today.run_id, today.facts["percent"]) == (None, 80)
    assert today.notice_id != later.notice_id
    assert of_day(money, 10, home="h", now=NOW + HOUR)[0].notice_id == today.notice_id
    assert of_day(money, None, home="h", now=NOW) == []


def test_a_batch_that_does_not_move_is_told_until_it_does():
    late = NOW + STUCK_AFTER
    assert seen_of(status(left=1), a_batch(), now=late - timedelta(seconds=1)) == {}
    notice = seen_of(status(left=1), a_batch(), now=late)[NoticeKind.BATCH_STUCK]
    assert "not moved for 6 hours" in notice.title
    assert notice.batch_id == f"{RUN}.b1"
    assert seen_of(status(left=1), a_batch(progressed_at=NOW + HOUR), now=late) == {}
    assert seen_of(status(left=1), a_batch(mode=Mode.SYNC), now=late) == {}
    assert seen_of(status(left=1), a_batch(state=BatchState.ENDED, phase=Phase.COMPLETED), now=late) == {}


def test_a_deadline_is_at_risk_when_the_range_of_ends_passes_it():
    batch = a_batch(submitted_at=NOW)
    now = NOW + HOUR
    slow = status(succeeded=500, left=500, batches=[batch], now=now, deadline_seconds=2 * 3600.0)
    quick = status(succeeded=990, left=10, batches=[batch], now=now, deadline_seconds=2 * 3600.0)
    assert NoticeKind.DEADLINE_AT_RISK in seen_of(slow, now=now)
    assert NoticeKind.DEADLINE_AT_RISK not in seen_of(quick, now=now)
    missed = seen_of(quick, now=now + HOUR * 2)[NoticeKind.DEADLINE_AT_RISK]
    assert "10 records are open" in missed.text
