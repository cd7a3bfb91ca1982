"""Two workers on one home: one dies, or sleeps through its lease, at each boundary of its work, and the
other takes the run over. Whoever wakes up late writes nothing any more and creates nothing."""

import asyncio
import itertools
import sqlite3
from dataclasses import dataclass, field, replace

import pytest

from nightmail.core.request import Mode
from nightmail.core.run import RunState
from nightmail.errors import LeaseLost
from nightmail.testing.desk import GROUPS, PURE, Desk
from nightmail.testing.faults import Crash, CrashPlan, Faulty, NoTrouble
from nightmail.worker.lease import TERM
from tests.crash.test_every_boundary import ROWS, check, provider_of_four
from tests.worker.test_loop import Colour

AT_ONCE = 8  # scenes that are played side by side, each in its own home
# Each boundary is one test's. The first takes every tenth and is always run, together they take each.
WAYS = 10
EVERY_WAY = [1, *(pytest.param(first, marks=pytest.mark.exhaustive) for first in range(2, WAYS + 1))]
BILLED_PUSD = 4 * (10 * 75_000 + 5 * 300_000)


@dataclass
class Sleep:
    """The process is stopped at boundary `at` of its calls that change something, until it is woken."""

    at: int
    seen: int = 0
    where: str | None = None
    asleep: asyncio.Event = field(default_factory=asyncio.Event)
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    async def boundary(self, where):
        if changes_something(where):
            self.seen += 1
            if self.seen == self.at:
                self.where = where
                self.asleep.set()
        await self.pass_by()

    async def pass_by(self):
        """A process that is stopped stops everywhere."""
        if self.asleep.is_set():
            await self.woken.wait()


def changes_something(where):
    return "provider." in where or any(word in where for word in (".record", ".claim", ".delete"))


class Sleeping(Faulty):
    """A port of the process that sleeps; the plan is a `Sleep`."""

    def __init__(self, port, plan, clock, **named):
        super().__init__(port, NoTrouble(), clock, **named)
        self._sleep = plan

    def __getattr__(self, attribute):
        found = super().__getattr__(attribute)
        if isinstance(found, Faulty):
            return Sleeping(found._port, self._sleep, self._clock, name=found._name, pure=self._pure)
        return found

    def _called(self, call, name):
        plain = super()._called(call, name)

        async def guarded(*arguments, **named):
            await self._sleep.boundary(f"before {name}")
            answer = await plain(*arguments, **named)
            await self._sleep.boundary(f"after {name}")
            return answer

        return guarded


class SleepingClock:
    """The clock of the process that sleeps."""

    def __init__(self, clock, sleep):
        self._clock, self._sleep = clock, sleep

    def __getattr__(self, attribute):
        return getattr(self._clock, attribute)

    async def wait(self, seconds, *, wake=None):
        await self._sleep.pass_by()
        await self._clock.wait(seconds, wake=wake)
        await self._sleep.pass_by()


def sleeping(sleep, clock):
    def wrap(ports):
        return replace(
            ports,
            store=Sleeping(ports.store, sleep, clock, name="store", groups=GROUPS),
            provider=Sleeping(ports.provider, sleep, clock, name="provider", pure=PURE),
            clock=SleepingClock(clock, sleep),
        )

    return wrap


def told(home):
    """Everything that the store has, but for the events: those tell, and nothing is decided by them."""
    with sqlite3.connect(home / "nightmail.db") as database:
        telling = ('INSERT INTO "events"', 'INSERT INTO "sqlite_sequence"')
        lines = [line for line in database.iterdump() if not line.startswith(telling)]
    database.close()
    return lines


async def sleeps_at(folder, at, mode):
    """One worker sleeps at boundary `at`; another finishes the run; the first wakes up."""
    folder.mkdir()
    desk = Desk(folder, provider_of_four(), task=Colour, rows=ROWS, mode=mode)
    sleep = Sleep(at)
    first = asyncio.create_task(desk.drive(wrap=sleeping(sleep, desk.clock)))
    asleep = asyncio.create_task(sleep.asleep.wait())
    await asyncio.wait({first, asleep}, return_when=asyncio.FIRST_COMPLETED)
    if first.done():
        asleep.cancel()
        return None
    over = (await desk.status()).state is RunState.FINISHED
    desk.clock.advance(TERM * 2)
    await check(desk, await desk.drive(alone=False), sleep.where)

    before, created, output = told(desk.home), len(desk.provider.batches), desk.output.read_bytes()
    sleep.woken.set()
    await asyncio.wait({first})
    error = first.exception()
    if over:
        assert error is None, sleep.where
    else:
        # A file that it was about to read or write may be gone by now.
        gone = isinstance(error, FileNotFoundError) or isinstance(error.__cause__, FileNotFoundError)
        assert gone or isinstance(error, LeaseLost), (sleep.where, error)
        assert told(desk.home) == before, sleep.where
    assert desk.output.read_bytes() == output, sleep.where
    return desk, sleep.where, error, len(desk.provider.batches) - created


async def every_sleep(tmp_path, mode, first):
    """Each boundary of this way, until there are no more."""
    for start in itertools.count(first, WAYS * AT_ONCE):
        cut = range(start, start + WAYS * AT_ONCE, WAYS)
        played = await asyncio.gather(*(sleeps_at(tmp_path / str(at), at, mode) for at in cut))
        for scene in played:
            if scene is None:
                return
            yield scene


@pytest.mark.parametrize("first", EVERY_WAY)
async def test_a_worker_that_wakes_up_without_its_lease_writes_nothing_and_creates_nothing(tmp_path, first):
    scenes = refused = 0
    async for desk, where, error, created in every_sleep(tmp_path, Mode.BATCH, first):
        scenes += 1
        refused += error is not None
        if where == "before provider.create":
            # Its intent was fresh when it fell asleep on the doorstep: the call goes out, and what it made
            # is cancelled when the store says that the run is somebody else's.
            assert created <= 1, where
            for provider_batch_id in desk.provider.batches:
                await desk.provider.poll(provider_batch_id)
        else:
            assert created == 0, where
        assert sorted(desk.provider.executed.values()) == [1, 1, 1, 2], where
        assert (await desk.status()).cost_pusd == BILLED_PUSD, where
    assert scenes > 60 / WAYS
    assert refused > 50 / WAYS


@pytest.mark.parametrize("first", EVERY_WAY)
async def test_a_caller_that_wakes_up_without_its_lease_writes_nothing(tmp_path, first):
    scenes = 0
    async for _, _, _, _ in every_sleep(tmp_path, Mode.SYNC, first):
        scenes += 1
    assert scenes > 40 / WAYS


async def dies_at(folder, at, mode):
    """One worker dies at boundary `at` while another waits for the run all the time."""
    folder.mkdir()
    desk = Desk(folder, provider_of_four(), task=Colour, rows=ROWS, mode=mode)
    plan = CrashPlan(at)

    async def first():
        try:
            await desk.drive(plan, alone=False)
        except Crash as crash:
            return crash
        except LeaseLost:
            # It took longer than a lease lasts, and nobody renewed it.
            return None
        return None

    async def second():
        while (run := await desk.drive(alone=False)).state is not RunState.FINISHED:
            await desk.clock.wait(15)
        return run

    died = asyncio.create_task(first())
    while not plan.seen:
        await asyncio.sleep(0)
    run = await second()
    end = await died
    await check(desk, run, f"{at}: {end}")
    if mode is Mode.BATCH:
        assert sorted(desk.provider.executed.values()) == [1, 1, 1, 2], at
        assert (await desk.status()).cost_pusd == BILLED_PUSD, at
    return end is not None


@pytest.mark.parametrize(
    "first", [1, *(pytest.param(first, marks=pytest.mark.exhaustive) for first in range(8, 56, 7))]
)
@pytest.mark.parametrize("mode", [Mode.BATCH, Mode.SYNC])
async def test_a_worker_that_waits_takes_over_from_one_that_died_once_its_lease_is_over(
    tmp_path, mode, first
):
    """At every seventh boundary."""
    died = 0
    for start in itertools.count(first, 56 * AT_ONCE):
        cut = range(start, start + 56 * AT_ONCE, 56)
        ends = await asyncio.gather(*(dies_at(tmp_path / str(at), at, mode) for at in cut))
        died += sum(ends)
        if not ends[-1]:
            break
    assert died > 20 / 8
