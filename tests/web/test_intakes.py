"""Records that come one by one leave as full batches, and each client gets its own back."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from nightmail.client import Client
from nightmail.simulator import process
from tests.web.desk import Office, opened
from tests.web.test_keys import bearer
from tests.web.test_start import DECLARED

INTAKES = "/api/v1/intakes"


@pytest.fixture(scope="module")
def simulator() -> Iterator[process.SimulatorProcess]:
    with process.start() as running:
        yield running


async def made(office: Office, headers: dict[str, str] | None = None, **more: Any) -> str:
    body = {"intake_id": "colours", "task": DECLARED, "poll_interval": 0.05, **more}
    answer = await office.post(INTAKES, json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    return f"{INTAKES}/colours"


def records(*keys: str) -> dict[str, Any]:
    return {
        "records": [{"key": key, "record": {"id": "not the key", "text": f"thing {key}"}} for key in keys]
    }


async def test_single_records_of_several_clients_leave_as_full_batches(
    tmp_path: Path, simulator: Any
) -> None:
    async with opened(tmp_path, base_url=simulator.url, working=True) as office:
        owner = bearer(await office.client.keys.add("house", scope="admin"))
        where = await made(office, owner, max_records=10, max_wait_seconds=3600, shared=True)
        clients = {name: bearer(await office.client.keys.add(name)) for name in ("ours", "theirs")}

        async def hand_in(name: str, number: int) -> None:
            answer = await office.post(f"{where}/records", json=records(f"{number}"), headers=clients[name])
            assert answer.status_code == 202, answer.text

        # The same keys of two tenants are different records.
        await asyncio.gather(*(hand_in(name, number) for name in clients for number in range(10)))
        assert await office.client.intakes.empty() == 1
        assert await office.client.intakes.empty() == 1
        assert await office.client.intakes.empty() == 0
        runs = await office.client.runs()
        for run in runs:
            async for status in office.client.watch(run.run_id, every=0.02):
                done = status
            assert (done.succeeded, done.records, done.batches, done.tenant) == (10, 10, 1, "house")

        for name, key in clients.items():
            first = (await office.get(f"{where}/results?limit=6", headers=key)).json()
            rest = (await office.get(f"{where}/results?after={first['next']}", headers=key)).json()
            own = first["results"] + rest["results"]
            assert sorted(int(each["key"]) for each in own) == list(range(10)), name
            assert {each["state"] for each in own} == {"succeeded"}
            by_key = (await office.get(f"{where}/results?key=3&key=7&key=99", headers=key)).json()["results"]
            assert sorted(each["key"] for each in by_key) == ["3", "7"]
            assert by_key[0]["result"]["output"]["output"] in DECLARED["output"]
        assert (await office.get(f"{where}/results", headers=owner)).json()["results"] == []


async def test_a_record_answers_what_was_asked_of_it(tmp_path: Path, simulator: Any) -> None:
    echo = {**DECLARED, "prompt": "{text}", "output": None}
    async with opened(tmp_path, base_url=simulator.url, working=True) as office:
        where = await made(office, task=echo, max_wait_seconds=0)
        urgent = {**records("urgent"), "priority": 5}
        await office.post(f"{where}/records", json=records("a", "b"))
        await office.post(f"{where}/records", json=urgent)
        await office.client.intakes.empty()
        (run,) = await office.client.runs()
        await office.until(run.run_id, lambda seen: seen["state"] == "finished")
        found = (await office.get(f"{where}/results")).json()["results"]
        assert {each["key"]: each["result"]["output"]["output"] for each in found} == {
            key: f"thing {key}" for key in ("a", "b", "urgent")
        }
        assert [each["result"]["record"] for each in found] == [2, 3, 1], "the urgent first"


async def test_handing_in_again_changes_nothing_and_other_words_are_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        where = await made(office)
        first = await office.post(f"{where}/records", json=records("a", "b"))
        again = await office.post(f"{where}/records", json=records("b", "c"))
        assert first.json() == {"accepted": 2, "duplicates": 0, "waiting": 2}
        assert again.json() == {"accepted": 1, "duplicates": 1, "waiting": 3}
        other = {"records": [{"key": "d", "record": {}}, {"key": "a", "record": {"text": "else"}}]}
        refused = await office.post(f"{where}/records", json=other)
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:nightmail:problem:other-record")
        assert (await office.get(where)).json()["waiting"] == 3, "all or none"


async def test_over_its_bound_it_says_later(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        where = await made(office, max_waiting=3, max_wait_seconds=5)
        assert (await office.post(f"{where}/records", json=records("a", "b"))).status_code == 202
        full = await office.post(f"{where}/records", json=records("c", "d"))
        assert (full.status_code, full.headers["retry-after"]) == (429, "5")
        assert (await office.post(f"{where}/records", json=records("c"))).status_code == 202
        assert (await office.post(f"{where}/records", json=records("a", "c"))).status_code == 202, (
            "known ones"
        )


async def test_a_closed_intake_is_emptied_and_takes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        where = await made(office)
        await office.post(f"{where}/records", json=records("a"))
        assert (await office.http.delete(where)).status_code == 204
        assert (await office.post(f"{where}/records", json=records("b"))).status_code == 409
        assert await office.client.intakes.empty() == 1
        assert (await office.get(where)).json()["waiting"] == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b'{"records": []}',
        b'{"records": [{"key": "a"}]}',
        b'{"records": [{"key": "", "record": {}}]}',
        b'{"records": [{"key": "a", "record": 1}]}',
        b'{"records": [{"key": "a", "record": {]}]}',
        b'{"records": [{"key": "a", "record": {}, "x": 1}]}',
        b'{"records": [{"key": "a", "record": {}}, {"key": "a", "record": {}}]}',
        b'{"records": [{"key": "a", "record": {}}], "priority": 1e9}',
    ],
)
async def test_what_is_no_page_of_records_is_refused_whole(tmp_path: Path, body: bytes) -> None:
    async with opened(tmp_path) as office:
        where = await made(office)
        answer = await office.post(
            f"{where}/records", content=body, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 422, answer.text
        assert (await office.get(where)).json()["waiting"] == 0


async def test_a_record_over_several_lines_is_one_record(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        where = await made(office, max_wait_seconds=0)
        body = json.dumps(records("a", "b"), indent=2).encode()
        await office.post(f"{where}/records", content=body, headers={"Content-Type": "application/json"})
        await office.client.intakes.empty()
        (kept,) = (tmp_path / "home" / "spool" / "intake" / "queue").glob("colours-*.jsonl")
        lines = kept.read_bytes().splitlines()
        assert [json.loads(line)["text"] for line in lines] == ["thing a", "thing b"]


async def test_another_tenant_s_intake_is_not_there(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        ours, theirs = [bearer(await office.client.keys.add(name)) for name in ("ours", "theirs")]
        where = await made(office, ours)
        assert (await office.get(where, headers=theirs)).status_code == 404
        assert (await office.get(f"{where}/results", headers=theirs)).status_code == 404
        assert (await office.post(f"{where}/records", json=records("a"), headers=theirs)).status_code == 404
        assert (await office.http.delete(where, headers=theirs)).status_code == 404
        assert (await office.get(INTAKES, headers=theirs)).json() == {"intakes": []}


async def test_a_page_of_many_requests_is_one_write(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        where = await made(office)
        answers = await asyncio.gather(
            *(office.post(f"{where}/records", json=records(f"{n}")) for n in range(200))
        )
        assert {answer.status_code for answer in answers} == {202}
        with closing(sqlite3.connect(tmp_path / "home" / "nightmail.db")) as database:
            times = database.execute(
                "SELECT count(DISTINCT received_at), count(*) FROM intake_records"
            ).fetchone()
        assert times[1] == 200
        assert times[0] < 100, "groups, not single records"


async def test_segments_go_when_their_records_have_left(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        where = await made(office, max_wait_seconds=0)
        await office.post(f"{where}/records", json=records("a"))
        await office.client.intakes.close()  # its segment is finished
        await office.post(f"{where}/records", json=records("b"))
        await office.client.intakes.empty()
        folder = tmp_path / "home" / "spool" / "intake" / "queue"
        assert sorted(
            path.name.partition("-")[0] for path in folder.iterdir() if path.stem.startswith("colours")
        ) == ["colours"]
        assert len([path for path in folder.iterdir() if not path.stem.startswith("colours")]) == 1
        await office.post(f"{where}/records", json=records("c"))
        await office.client.intakes.empty()
        assert len(await office.client.runs()) == 2


async def test_a_cut_whose_process_died_is_begun_by_the_next_and_once(tmp_path: Path) -> None:
    class Died(Exception):
        pass

    async def dies(*_: Any, **__: Any) -> Any:
        raise Died

    async with opened(tmp_path) as office:
        where = await made(office, max_wait_seconds=0)
        await office.post(f"{where}/records", json=records("a", "b"))
        office.client.intakes._start = dies
        with pytest.raises(Died):
            await office.client.intakes.empty()
    with closing(sqlite3.connect(tmp_path / "home" / "nightmail.db")) as database, database:
        database.execute("UPDATE cuts SET held_until = created_at")
    async with opened(tmp_path) as office:
        assert await office.client.intakes.empty() == 1
        assert await office.client.intakes.empty() == 0
        assert len(await office.client.runs()) == 1


async def test_an_intake_whose_task_is_gone_holds_no_other_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path) as office:
        gone = await made(office, max_wait_seconds=0)
        await office.post(f"{gone}/records", json=records("a"))
        for task in (tmp_path / "home" / "spool" / "intake" / "tasks").iterdir():
            task.unlink()
        kept = {"intake_id": "kept", "task": {**DECLARED, "name": "Kept"}, "max_wait_seconds": 0}
        assert (await office.post(INTAKES, json=kept)).status_code == 201
        await office.post(f"{INTAKES}/kept/records", json=records("a"))
        assert await office.client.intakes.empty() == 2
        assert [run.task_name for run in await office.client.runs()] == ["Kept"]
        assert "intake colours: its run cannot begin" in caplog.text


async def test_the_doctor_finds_nothing_wrong_with_what_waits(tmp_path: Path, simulator: Any) -> None:
    async with opened(tmp_path, base_url=simulator.url) as office:
        where = await made(office)
        await office.post(f"{where}/records", json=records("a"))
        await office.post("/api/v1/uploads", content=b'{"id": 1}\n')
        assert list((await office.client.doctor(fix=True)).findings) == []
        assert len(list((tmp_path / "home" / "spool" / "intake").glob("*/*"))) == 3


async def test_what_was_acknowledged_is_there_after_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        where = await made(office)
        await office.post(f"{where}/records", json=records("a", "b"))
    async with Client(tmp_path / "home") as client:
        intake = await client.intakes.read("colours")
        assert intake is not None
        assert intake.waiting == 2
        assert [each.key for each in await client.intakes.results(intake)] == ["a", "b"]
