"""A back-up is a home as it was at one moment; restored, it sends nothing before somebody has looked."""

import asyncio
import sqlite3

import pytest

from nightmail.config import read
from nightmail.core.run import RunState
from nightmail.core.schedule import ScheduleSpec
from nightmail.errors import ConfigError, StoreError
from nightmail.testing.clock import START
from nightmail.testing.desk import Desk
from nightmail.testing.faults import Crash, TroublePlan
from nightmail.testing.provider import ScriptedProvider
from nightmail.worker.backup import back_up, is_under_way, restore

BY_STATE = """SELECT state, sum(n) FROM (
  SELECT state, count(*) AS n FROM requests GROUP BY state
  UNION ALL SELECT state, sum(rest) FROM stretches GROUP BY state) GROUP BY state"""


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path, ScriptedProvider(), max_batch_requests=2, rows=[
        {"id": f"r{n}", "text": f"thing {n}"} for n in range(6)
    ])  # fmt: skip


async def backed_up(desk, target):
    store = await desk.store()
    try:
        settings = read(home=desk.home, environment={})
        return await back_up(settings, store, desk.clock, target)
    finally:
        await store.close()


async def restored(desk, backup, home):
    return await restore(read(home=home, environment={}), desk.clock, backup)


def everything(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "backup.json" and not path.name.startswith("nightmail.db")
    }


async def test_a_finished_run_comes_back_whole(desk, tmp_path):
    await desk.drive()
    (desk.home / "nightmail.toml").write_text('daily_budget = "5"\n')
    made = await backed_up(desk, tmp_path / "kept" / "monday")
    assert (made.runs, made.missing) == (1, ())
    assert everything(tmp_path / "kept" / "monday") == everything(desk.home)

    back = await restored(desk, made.path, tmp_path / "again")
    assert (back.paused_runs, back.made_at) == ((), made.made_at)
    assert everything(tmp_path / "again") == everything(desk.home)
    assert not (tmp_path / "again" / "backup.json").exists()
    desk.home = tmp_path / "again"
    assert (await desk.status()).succeeded == 6


async def test_files_are_held_from_before_the_database_is_copied_until_the_end(desk, tmp_path):
    store, seen = await desk.store(), []
    settings = read(home=desk.home, environment={})

    async def copy(folder, real=store.copy):
        seen.append(is_under_way(settings.spool, desk.clock.now()))
        await real(folder)

    store.copy = copy
    await back_up(settings, store, desk.clock, tmp_path / "backup")
    await store.close()
    assert seen == [True]
    assert not is_under_way(settings.spool, desk.clock.now())


async def test_in_the_middle_nothing_is_sent_until_resumed_and_all_is_paid_once(desk, tmp_path):
    plan = TroublePlan(at=2, error=Crash, matches=lambda call: call == "provider.create", times=None)
    with pytest.raises(Crash):
        await desk.drive(plan)
    made = await backed_up(desk, tmp_path / "backup")
    back = await restored(desk, made.path, tmp_path / "again")
    assert back.paused_runs == (await desk.run_id(),)

    desk.home = tmp_path / "again"
    run = await desk.drive()
    assert (run.state, len(desk.provider.batches)) == (RunState.PAUSED, 1)
    assert "restored from a back-up of 2026-11-21 08:0" in run.pause_message

    await desk.resume()
    assert (await desk.drive()).state is RunState.FINISHED
    assert set(desk.provider.executed.values()) == {1}
    assert len(desk.outputs()) == 6


async def test_schedules_wait_too_and_no_lease_is_held(desk, tmp_path):
    await desk.drive()
    store = await desk.store()
    spec = ScheduleSpec(task="t:T", source="/in", output="/out/{date}.jsonl", cron="0 2 * * *")
    await store.schedules.record("nightly", spec, now=START)
    run = await store.runs.read(await desk.run_id())
    await store.runs.claim(run_id=run.run_id, token="host/1/x", now=START, until=START, idle=True)
    await store.close()
    made = await backed_up(desk, tmp_path / "backup")

    back = await restored(desk, made.path, tmp_path / "again")
    assert back.paused_schedules == ("nightly",)
    desk.home = tmp_path / "again"
    store = await desk.store()
    assert list(await store.runs.leases()) == []
    assert (await store.schedules.read("nightly")).paused
    await store.close()


async def test_copies_that_are_made_while_a_worker_writes_are_each_whole(desk, tmp_path):
    """Two a second, of those that the worker has also waited for, over the whole life of a run."""
    rows = [{"id": f"r{n}", "text": f"thing {n}"} for n in range(400)]
    desk = Desk(tmp_path, ScriptedProvider(), max_batch_requests=20, rows=rows)
    driving = asyncio.create_task(desk.drive())
    made = []
    while not driving.done():
        made.append(await backed_up(desk, tmp_path / f"backup-{len(made)}"))
        await desk.clock.wait(0.5)  # without a wait, time would not pass for the worker either
    await driving
    assert len(made) > 3, made
    for each in made:
        assert each.missing == ()
        with sqlite3.connect(each.path / "nightmail.db") as copy:
            files = copy.execute("SELECT path, bytes FROM files").fetchall()
            rows = dict(copy.execute(BY_STATE))
            tally = dict(copy.execute("SELECT name, n FROM tallies WHERE kind = 'state' AND n > 0"))
        copy.close()
        assert rows == tally
        for path, size in files:
            assert (each.path / "spool" / path).stat().st_size >= size


async def test_what_the_home_itself_has_lost_is_told(desk, tmp_path):
    await desk.drive()
    run_id = await desk.run_id()
    (desk.home / "spool" / run_id / "requests" / "000000.jsonl").unlink()
    (desk.home / "spool" / run_id / "outputs" / "1.arrow").unlink()
    made = await backed_up(desk, tmp_path / "backup")
    assert made.missing == (f"{run_id}/requests/000000.jsonl", f"{run_id}/outputs/1.arrow")


async def test_a_damaged_database_makes_no_back_up(desk, tmp_path):
    await desk.drive()
    path = desk.home / "nightmail.db"
    data = bytearray(path.read_bytes())
    data[4096 * 3 : 4096 * 12] = b"\xff" * 4096 * 9
    store = await desk.store()
    path.write_bytes(data)
    try:
        with pytest.raises(StoreError, match="damaged"):
            await back_up(read(home=desk.home, environment={}), store, desk.clock, tmp_path / "backup")
    finally:
        await store.close()
    assert [each.name for each in tmp_path.iterdir() if "backup" in each.name] == []


async def test_nothing_is_overwritten(desk, tmp_path):
    await desk.drive()
    made = await backed_up(desk, tmp_path / "backup")
    with pytest.raises(ConfigError, match="there already"):
        await backed_up(desk, made.path)
    with pytest.raises(ConfigError, match="in the home itself"):
        await backed_up(desk, desk.home / "backup")
    with pytest.raises(ConfigError, match="there already"):
        await restored(desk, made.path, desk.home)
    with pytest.raises(ConfigError, match="is no back-up"):
        await restored(desk, desk.home, tmp_path / "again")
    (tmp_path / "empty").mkdir()
    await restored(desk, made.path, tmp_path / "empty")
