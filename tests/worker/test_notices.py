"""What somebody is to be told is told: at least once, in order, whatever dies or is down."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from nightmail.core.batch import Phase
from nightmail.core.channel import Channel
from nightmail.core.ids import RunId
from nightmail.core.lifecycle import RunEvent
from nightmail.core.notice import NoticeKind
from nightmail.core.quiet import parse_quiet
from nightmail.core.run import PauseReason, RunSpec
from nightmail.errors import AuthenticationFailed, ChannelFailed
from nightmail.stores.sqlite import SqliteStore
from nightmail.testing.clock import ManualClock
from nightmail.testing.desk import GROUPS, Desk
from nightmail.testing.faults import Crash, CrashPlan, Faulty, NoTrouble
from nightmail.testing.provider import ScriptedProvider
from nightmail.worker import noticing, outbox
from nightmail.worker.noticing import AT_ONCE, Noticing
from nightmail.worker.outbox import KEPT, Outbox

OPS = Channel(name="ops", url_env="U", secret_env="S")
ME = Channel(name="me", apprise_env="A", kinds=(NoticeKind.RUN_PAUSED,))


class Receiver:
    """Somebody else's program, which outlives ours: `messages` is what it got, each a list of notices. It
    is down until `up_at`."""

    def __init__(self, clock, up_at=None, plan=None):
        self.clock, self.up_at, self.messages = clock, up_at, []
        self.plan = plan or NoTrouble()
        self.tries = 0

    async def send(self, notices):
        self.tries += 1
        self.plan.before("send")
        if self.up_at is not None and self.clock.now() < self.up_at:
            raise ChannelFailed("the receiver answered 503")
        self.messages.append(list(notices))
        self.plan.after("send")

    @property
    def got(self):
        return [notice for message in self.messages for notice in message]


class House:
    """A home with runs that happenings befall, and the two loops."""

    def __init__(self, folder, clock=None):
        self.folder, self.clock = folder, clock or ManualClock()

    async def open(self, plan=None):
        store = await SqliteStore.open(self.folder)
        self.real = store
        self.store = Faulty(store, plan or NoTrouble(), self.clock, name="store", groups=GROUPS)
        return self

    async def run(self, name):
        spec = RunSpec(task="t:T", task_name="T")
        return await self.real.runs.record(
            run_id=RunId(name), identity=name, spec=spec, fingerprint={}, now=self.clock.now()
        )

    async def pause(self, run, reason=PauseReason.BILLING, message="no credit"):
        now = self.clock.now()
        await self.real.runs.record_event(
            run.run_no, RunEvent.PAUSED, now=now, reason=reason, message=message
        )
        await self.real.runs.record_event(run.run_no, RunEvent.RESUMED, now=now)

    def noticing(self, *channels):
        return Noticing(self.store, self.clock, channels or (OPS,))

    def outbox(self, receiver, *channels):
        channels = channels or (OPS,)
        return Outbox(self.store, self.clock, channels, {each.name: receiver for each in channels})


@pytest.fixture
async def house(tmp_path):
    house = await House(tmp_path / "home").open()
    yield house
    await house.real.close()


async def test_an_hour_of_a_receiver_that_is_down_loses_nothing(house, monkeypatch):
    for loop in (noticing, outbox):
        monkeypatch.setattr(loop, "EVERY", 30.0)
    runs = [await house.run(name) for name in "abc"]
    await house.noticing().look()
    back = house.clock.now() + timedelta(hours=1)
    receiver = Receiver(house.clock, up_at=back)
    stop = asyncio.Event()
    loops = [
        asyncio.create_task(house.noticing().run(stop)),
        asyncio.create_task(house.outbox(receiver).run(stop)),
    ]
    for n in range(10):
        for run in runs:
            await house.pause(run, message=f"{n}")
        await house.clock.wait(300)

    while len(receiver.got) < 30:
        assert house.clock.now() < back + timedelta(minutes=10), "it does not take long after it is back"
        await house.clock.wait(1)
    stop.set()
    await asyncio.gather(*loops)

    assert len({notice.notice_id for notice in receiver.got}) == len(receiver.got) == 30, "once per id"
    for run in runs:
        said = [notice.text for notice in receiver.got if notice.run_id == run.run_id]
        assert said == [str(n) for n in range(10)], "in order"
    assert receiver.tries < 30 + 3 * 60, "it is not hammered meanwhile"


async def test_what_was_before_anybody_listened_is_not_told(house):
    await house.pause(await house.run("a"))
    receiver = Receiver(house.clock)
    await house.noticing().look()
    await house.outbox(receiver).empty()
    assert receiver.got == []


async def test_wherever_the_process_dies_every_happening_is_told_in_order(tmp_path):
    """Dies at the first boundary, then the second ... until it lives."""
    for at in range(1, 100):
        clock = ManualClock()
        house = await House(tmp_path / str(at), clock).open()
        run = await house.run("a")
        await house.noticing().look()
        for n in range(3):
            await house.pause(run, message=str(n))
        await house.real.close()
        plan = CrashPlan(at)
        receiver = Receiver(clock, plan=plan)
        died = await one_life(house, receiver, plan)
        receiver.plan = NoTrouble()
        clock.advance(timedelta(hours=1))
        await one_life(house, receiver, NoTrouble())

        ids = list(dict.fromkeys(notice.notice_id for notice in receiver.got))
        said = list(dict.fromkeys(notice.text for notice in receiver.got))
        assert (len(ids), said) == (3, ["0", "1", "2"]), f"boundary {at}: {plan.calls[-1]}"
        assert len(receiver.got) <= 4, "at most what was on its way is told twice"
        if not died:
            assert at > 20
            return
    raise AssertionError("it never lived")


async def one_life(house, receiver, plan):
    await house.open(plan)
    try:
        await house.noticing().look()
        await house.outbox(receiver).empty()
    except Crash:
        return True
    finally:
        await house.real.close()
    return False


async def test_two_services_on_one_home_do_not_double(house):
    run = await house.run("a")
    await house.noticing().look()
    for n in range(20):
        await house.pause(run, message=str(n))
    receiver = Receiver(house.clock)
    await asyncio.gather(*(house.noticing().look() for _ in range(3)))
    await asyncio.gather(*(house.outbox(receiver).empty() for _ in range(3)))
    await house.outbox(receiver).empty()
    assert [notice.text for notice in receiver.got] == [str(n) for n in range(20)]


async def test_more_events_than_one_look_takes_are_all_told(house):
    run = await house.run("a")
    noticing = house.noticing()
    await noticing.look()
    for n in range(AT_ONCE // 2 + 5):
        await house.pause(run, message=str(n))
    assert await noticing.look()
    assert not await noticing.look()
    receiver = Receiver(house.clock)
    await house.outbox(receiver).empty()
    assert len(receiver.got) == AT_ONCE // 2 + 5


async def test_a_channel_that_is_down_holds_no_other_up(house):
    run = await house.run("a")
    both = (OPS, Channel(name="other", url_env="U", secret_env="S"))
    await house.noticing(*both).look()
    await house.pause(run)
    await house.noticing(*both).look()
    down, up = Receiver(house.clock, up_at=datetime.max.replace(tzinfo=UTC)), Receiver(house.clock)
    outbox = Outbox(house.store, house.clock, both, {"ops": down, "other": up})
    await outbox.empty()
    assert (len(down.got), len(up.got)) == (0, 1)
    ((_, (ops, other)),) = await house.store.notices.list(run_id=None, limit=9)
    assert (ops.state, ops.error, other.state) == ("pending", "the receiver answered 503", "sent")


async def test_after_three_days_it_is_given_up_and_what_comes_later_is_told(house, caplog):
    run = await house.run("a")
    noticing = house.noticing()
    await noticing.look()
    await house.pause(run, message="old")
    await noticing.look()
    receiver = Receiver(house.clock, up_at=datetime.max.replace(tzinfo=UTC))
    outbox = house.outbox(receiver)
    await outbox.empty()
    house.clock.advance(KEPT + timedelta(hours=1))
    await outbox.empty()
    assert "1 deliveries are given up after 72 hours" in caplog.text
    await house.pause(run, message="new")
    await noticing.look()
    receiver.up_at = None
    await outbox.empty()
    assert [notice.text for notice in receiver.got] == ["new"]


async def test_people_are_told_in_one_message_when_their_quiet_hours_end(house):
    house.clock.advance(timedelta(hours=15))
    night = Channel(name="me", apprise_env="A", quiet=parse_quiet("22:00-07:00", UTC))
    run = await house.run("a")
    noticing = house.noticing(night)
    await noticing.look()
    for n in range(3):
        await house.pause(run, message=str(n))
    await noticing.look()
    receiver = Receiver(house.clock)
    await house.outbox(receiver, night).empty()
    house.clock.advance(timedelta(hours=7, minutes=59))
    await house.outbox(receiver, night).empty()
    assert receiver.messages == []
    house.clock.advance(timedelta(minutes=1))
    assert house.clock.now().hour == 7
    await house.outbox(receiver, night).empty()
    assert [[notice.text for notice in message] for message in receiver.messages] == [["0", "1", "2"]]


async def test_a_channel_gets_only_the_kinds_that_it_wants(house):
    run = await house.run("a")
    await house.noticing(ME).look()
    await house.pause(run)
    await house.store.events.record(run.run_no, "run_put_off", now=house.clock.now(), message="m")
    await house.noticing(ME).look()
    receiver = Receiver(house.clock)
    await house.outbox(receiver, ME).empty()
    assert [notice.kind for notice in receiver.got] == [NoticeKind.RUN_PAUSED]
    assert len(await house.store.notices.list(run_id=None, limit=9)) == 2, "all are written down"


async def notices_of(desk, *lives):
    """Drive the desk's run, with a look before, and after each life."""
    store = await desk.store()
    try:
        noticing = Noticing(store, desk.clock, (OPS,))
        await noticing.look()
        for life in lives:
            await life()
            await noticing.look()
            await Noticing(store, desk.clock, (OPS,)).look()
        return [notice for notice, _ in await store.notices.list(run_id=None, limit=99)]
    finally:
        await store.close()


async def test_a_run_s_end_is_told_once(tmp_path):
    desk = Desk(tmp_path, ScriptedProvider())
    (notice,) = await notices_of(desk, desk.drive, desk.drive)
    assert notice.kind is NoticeKind.RUN_FINISHED
    assert "6 of 6 records succeeded" in notice.title


async def test_a_batch_that_expires_is_told_and_so_is_the_end(tmp_path):
    provider = ScriptedProvider(ends=Phase.EXPIRED, share_done=0.5)
    desk = Desk(tmp_path, provider)
    told = [notice.kind for notice in await notices_of(desk, desk.drive)]
    assert set(told) == {NoticeKind.BATCH_EXPIRED, NoticeKind.RUN_FINISHED}
    assert told[-1] is NoticeKind.RUN_FINISHED


async def test_a_key_that_is_refused_is_told_with_what_to_do(tmp_path):
    class Locked(ScriptedProvider):
        async def upload(self, content, *, filename):
            raise AuthenticationFailed("the key is not accepted")

    desk = Desk(tmp_path, Locked())
    (notice,) = await notices_of(desk, desk.drive)
    assert (notice.kind, notice.text) == (NoticeKind.RUN_PAUSED, "the key is not accepted")
    assert "nightmail resume" in notice.to_do
