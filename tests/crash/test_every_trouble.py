"""Each call through the provider's port fails in each way that its contract allows: once, three times in
a row, and for as long as anybody looks. Whatever it is, the run ends as the pages say, goes on when the
trouble is over, and nothing is lost, asked twice, paid twice or counted as an attempt."""

import asyncio
import itertools
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace

import pytest

import nightmail.client
import nightmail.worker.service
from nightmail.client import Client
from nightmail.config import read
from nightmail.core.failure import Reason
from nightmail.core.limits import Limits
from nightmail.core.request import Mode
from nightmail.core.run import PauseReason, RunState, Wish
from nightmail.errors import (
    AuthenticationFailed,
    BillingBlocked,
    NotFound,
    ProviderUnavailable,
    QuotaReached,
    RateLimited,
    RequestRefused,
    Unsupported,
)
from nightmail.tasks.prepared import PreparedTask
from nightmail.testing.desk import PURE, Desk
from nightmail.testing.faults import Faulty, NoTrouble, TroublePlan
from nightmail.testing.provider import ScriptedProvider
from nightmail.worker import loop, troubles
from nightmail.worker.begin import begin, want
from nightmail.worker.service import Service

ENOUGH = 12  # strikes of a lasting trouble after which the test has seen enough
EACH_PUSD = 10 * 75_000 + 5 * 300_000  # what the scripted provider bills for an answer

KINDS = {
    "lost": lambda: ProviderUnavailable("no answer in time", ambiguous=True),
    "unreachable": lambda: ProviderUnavailable("no connection", ambiguous=False),
    "rate": lambda: RateLimited("slow down", retry_after=90),
    "quota": lambda: QuotaReached("the queue is full", limit=1_000),
    "key": lambda: AuthenticationFailed("bad key"),
    "billing": lambda: BillingBlocked("no credit"),
    "refused": lambda: RequestRefused("no", status=400, code="invalid_request"),
    "absent": lambda: NotFound("not there", status=404),
    "unsupported": lambda: Unsupported("no such call"),
}
PAUSES = {"key": PauseReason.CREDENTIALS, "billing": PauseReason.BILLING}


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Nobody else's wishes are looked for, so waiting costs no rounds."""
    monkeypatch.setattr(loop, "LOOK_AROUND", 60.0)


class Doubling(ScriptedProvider):
    """The first create call is carried out twice and its answer lost, as by a proxy that repeats calls."""

    async def create(self, **arguments):
        remote = await super().create(**arguments)
        if len(self.batches) == 1:
            await super().create(**arguments)
            raise ProviderUnavailable("no answer in time", ambiguous=True)
        return remote


@dataclass
class Scene:
    """A run in which the call `verb` is made; whether it can go on `without` that call, whether what is
    `refused` there for good is a failure of the records, and whether whatever happens to it is met by
    making it again at the next look."""

    verb: str
    provider: type[ScriptedProvider] = ScriptedProvider
    per_batch: int = 2
    records: int = 4
    polls: int = 1
    mode: Mode = Mode.BATCH
    without: bool = False
    refused: bool = False
    asked_again: bool = False
    crowded: bool = False  # all batches are in flight, and due at once, when the trouble begins

    async def desk(self, folder):
        folder.mkdir(parents=True)
        limits = Limits(max_batch_requests=self.per_batch, max_enqueued_tokens=1_000_000)
        provider = self.provider(known_limits=limits, polls=self.polls)
        rows = [{"id": f"r{n}", "text": f"thing {n}"} for n in range(self.records)]
        desk = Desk(folder, provider, rows=rows, mode=self.mode)
        if self.crowded:
            await all_in_flight(desk, self.records)
        return desk


async def all_in_flight(desk, records):
    """Submit everything, then stop and come back when each batch is due to be looked at."""
    stop, plain = asyncio.Event(), desk.provider.poll

    async def poll(provider_batch_id):
        if sum(len(batch.lines) for batch in desk.provider.batches.values()) == records:
            stop.set()
        return desk.provider.batches[provider_batch_id].remote

    desk.provider.poll = poll
    await desk.drive(stop=stop)
    desk.provider.poll = plain
    desk.clock.advance(timedelta(hours=1))


SCENES = {
    "upload": Scene("upload", refused=True),
    "create": Scene("create", refused=True),
    "poll": Scene("poll"),
    "fetch": Scene("fetch"),
    "delete": Scene("delete", without=True),
    "find, many in flight": Scene("find", per_batch=1, records=7, polls=3, crowded=True, without=True),
    "find, in doubt": Scene("find", provider=Doubling, polls=3),
    "cancel, an extra": Scene("cancel", provider=Doubling, polls=9, without=True, asked_again=True),
    "call": Scene("call", mode=Mode.SYNC),
}


def every(*ways):
    """Each way with each other, of which a few are always run: as many as show each way once."""
    diagonal = {tuple(list(way)[n % len(way)] for way in ways) for n in range(max(map(len, ways)))}
    return [
        each if each in diagonal else pytest.param(*each, marks=pytest.mark.exhaustive)
        for each in itertools.product(*ways)
    ]


def plan_of(verb, kind, stop, *, at=1, times=1, late=False):
    """Trouble of a kind; when it has struck often enough, the worker is stopped."""

    def error():
        if plan.struck >= ENOUGH:
            stop.set()
        return KINDS[kind]()

    plan = TroublePlan(at, error, lambda call: call == f"provider.{verb}", times=times, late=late)
    return plan


async def under(desk, scene, kind, **how):
    """The run's status after a drive under trouble, and how often it struck."""
    stop = asyncio.Event()
    plan = plan_of(scene.verb, kind, stop, **how)
    await desk.drive(plan, stop=stop)
    return await desk.status(), plan.struck


async def mended(desk):
    """The trouble is over, somebody has seen to the account: to the end, and no open batch anywhere."""
    while (status := await desk.status()).state is not RunState.FINISHED:
        if status.state is RunState.PAUSED:
            await desk.resume()
        await desk.drive()
    for provider_batch_id in desk.provider.batches:
        for _ in range(desk.provider.polls):
            await desk.provider.poll(provider_batch_id)


async def check(desk, scene, what, *, extra=0):
    """Every record once, at its price; `extra` requests were executed again, and paid, by a batch that
    nobody could cancel."""
    status = await desk.status()
    assert [each["id"] for each in desk.outputs()] == [f"r{n}" for n in range(scene.records)], what
    assert (status.succeeded, status.failed, status.open) == (scene.records, 0, 0), what
    assert {each["_attempts"] for each in desk.outputs()} == {1}, what
    if scene.mode is Mode.BATCH:
        assert desk.provider.executed.total() == scene.records + extra, what
        assert status.cost_pusd == (scene.records + extra) * EACH_PUSD, what
    store = await desk.store()
    run_no = (await store.runs.list())[0].run_no
    assert await store.requests.miscounted(run_no) is None, what
    await store.close()


@pytest.mark.parametrize(("name", "kind"), every(SCENES, KINDS))
async def test_trouble_that_passes_costs_time_and_nothing_else(tmp_path, name, kind):
    scene = SCENES[name]
    for number, how in enumerate(({"at": 2}, {"at": 1, "times": 3})):
        if how.get("times") == 3 and scene.refused and kind in ("refused", "absent"):
            continue  # three refusals are one that lasts: below
        desk = await scene.desk(tmp_path / str(number))

        status, struck = await under(desk, scene, kind, **how)

        if kind in PAUSES and struck and not scene.asked_again:
            assert (status.state, status.pause_reason) == (RunState.PAUSED, PAUSES[kind]), how
        else:
            assert status.state is RunState.FINISHED, how
        assert struck or how["at"] > 1, how
        await mended(desk)
        await check(desk, scene, how)


@pytest.mark.parametrize(("name", "kind"), every(SCENES, KINDS))
async def test_trouble_that_lasts_leaves_a_run_that_goes_on_when_it_is_over(tmp_path, name, kind):
    scene = SCENES[name]
    desk = await scene.desk(tmp_path / "desk")

    status, struck = await under(desk, scene, kind, times=None)

    assert struck
    if kind in PAUSES and not scene.asked_again:
        assert (status.state, status.pause_reason) == (RunState.PAUSED, PAUSES[kind])
        await desk.resume()
        status, struck = await under(desk, scene, kind, times=None)
        if scene.without and kind == "billing":
            # What was at the provider was taken in while the run was paused, until patience ended.
            assert status.state is RunState.FINISHED
        else:
            assert (status.state, status.pause_reason) == (RunState.PAUSED, PAUSES[kind])
    elif scene.refused and (kind == "refused" or (kind, scene.verb) == ("absent", "upload")):
        # Refused for good, whole and in parts: a failure that can be asked again.
        assert status.failures_by_reason == {Reason.BATCH_FAILED: scene.records}
        assert {each["attempts"] for each in desk.failures()} == {0}
        assert await desk.retry() == scene.records
    elif scene.without:
        assert status.state is RunState.FINISHED
    else:
        assert status.state is RunState.DRAINING
        assert status.open
        assert struck >= ENOUGH
    await mended(desk)
    await check(desk, scene, kind, extra=2 if scene.asked_again else 0)


@pytest.mark.parametrize(
    "name",
    [
        name if name in ("upload", "poll") else pytest.param(name, marks=pytest.mark.exhaustive)
        for name, scene in SCENES.items()
        if not scene.without
    ],
)
async def test_an_outage_ends_the_command_some_time_and_the_next_one_goes_on(tmp_path, name, monkeypatch):
    monkeypatch.setattr(troubles, "MAX_OUTAGE", timedelta(hours=2))
    scene = SCENES[name]
    desk = await scene.desk(tmp_path / "desk")
    began = desk.clock.now()
    plan = plan_of(scene.verb, "unreachable", asyncio.Event(), times=None)

    with pytest.raises(ProviderUnavailable):
        await desk.drive(plan)

    assert timedelta(hours=2) < desk.clock.now() - began < timedelta(hours=3)
    await mended(desk)
    await check(desk, scene, name)


async def test_a_batch_that_waits_for_room_does_not_hide_an_outage(tmp_path, monkeypatch):
    monkeypatch.setattr(troubles, "MAX_OUTAGE", timedelta(minutes=20))
    scene = Scene("poll")
    desk = await scene.desk(tmp_path / "desk")
    desk.travel["max_active_batches"] = 1
    began = desk.clock.now()

    with pytest.raises(ProviderUnavailable):
        await desk.drive(plan_of("poll", "unreachable", asyncio.Event(), times=None))

    assert timedelta(minutes=20) < desk.clock.now() - began < timedelta(minutes=40)
    await mended(desk)
    await check(desk, scene, "outage")


async def test_one_batch_that_cannot_be_looked_at_keeps_none_of_the_others(tmp_path):
    class OneIsIll(ScriptedProvider):
        async def poll(self, provider_batch_id):
            if provider_batch_id == "batch_1" and len(self.executed) < 6:
                raise ProviderUnavailable("HTTP 500", ambiguous=False)
            return await super().poll(provider_batch_id)

    provider = OneIsIll(known_limits=Limits(max_batch_requests=2))
    desk = Desk(tmp_path, provider, rows=[{"id": f"r{n}", "text": f"thing {n}"} for n in range(8)])

    await desk.drive()

    assert (await desk.status()).succeeded == 8
    assert set(provider.executed.values()) == {1}


async def wish_its_end(desk):
    store = await desk.store()
    await store.runs.record_wish((await store.runs.list())[0].run_no, Wish.CANCEL)
    await store.close()


@pytest.mark.parametrize(("kind", "times"), every(KINDS, [1, 3, None]))
async def test_trouble_with_cancelling_ends_the_run_all_the_same_and_keeps_what_is_paid(
    tmp_path, kind, times
):
    scene = Scene("cancel", polls=4, crowded=True)
    desk = await scene.desk(tmp_path / "desk")
    await wish_its_end(desk)

    status, struck = await under(desk, scene, kind, times=times)

    assert struck
    if kind == "key":
        assert (status.state, status.pause_reason) == (RunState.PAUSED, PauseReason.CREDENTIALS)
        await desk.resume()
        await desk.drive()
        status = await desk.status()
    assert status.state is RunState.CANCELLED
    assert (status.records, status.failed, status.open) == (scene.records, 0, 0)
    assert status.succeeded == len(desk.outputs()) == desk.provider.executed.total()
    assert status.cost_pusd == status.succeeded * EACH_PUSD
    if times is None and kind != "key":
        assert status.succeeded == scene.records, "batches that nobody can cancel end by themselves"
    if times == 1:
        assert status.succeeded == 0, "a cancel call that failed in passing is made again"


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A worker on a desk's home, whose provider is the desk's."""
    provider = ScriptedProvider(known_limits=Limits(max_enqueued_tokens=1_000_000))
    desk = Desk(tmp_path, provider)
    plan = plan_of("check", "lost", asyncio.Event())

    def open_provider(self, run, *, calls):
        return Faulty(provider, served.plan, desk.clock, name="provider", pure=PURE)

    monkeypatch.setattr(Service, "provider", open_provider)
    served = SimpleNamespace(desk=desk, plan=plan)
    return served


async def work_on(desk):
    store = await desk.store()
    try:
        settings = read(home=desk.home, api_key="none", environment={})
        service = Service(settings, store, desk.clock, tasks=[PreparedTask(desk.task)])
        wanted = want(desk.task, desk.input, desk.output, desk.home, **desk.travel)
        run = await begin(store, wanted, now=desk.clock.now())
        return await service.work_on(run.run_id)
    finally:
        await store.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_trouble_at_the_very_start_is_told_at_once_and_nothing_was_sent(served, kind):
    desk = served.desk
    for _ in range(3):
        served.plan = plan_of("check", kind, asyncio.Event(), times=None)
        with pytest.raises(type(KINDS[kind]())):
            await work_on(desk)
        assert desk.provider.uploads == {}

    served.plan = NoTrouble()
    assert (await work_on(desk)).state is RunState.FINISHED
    await check(desk, Scene("check", records=6), kind)


async def test_a_run_to_be_cancelled_with_a_key_that_is_not_accepted_waits_for_another(served, monkeypatch):
    """Not by asking again and again at full speed."""
    desk = served.desk
    monkeypatch.setattr(nightmail.client, "RealClock", lambda: desk.clock)
    monkeypatch.setattr(nightmail.worker.service, "prepared_for", lambda run, known: PreparedTask(desk.task))
    await all_in_flight(desk, 6)
    await wish_its_end(desk)
    served.plan = TroublePlan(
        1, KINDS["key"], lambda call: call in ("provider.cancel", "provider.poll"), times=None
    )

    async with Client(desk.home, api_key="none") as client:
        status = await client.work()

    assert (status.state, status.pause_reason) == (RunState.PAUSED, PauseReason.CREDENTIALS)
    assert served.plan.struck < 10
