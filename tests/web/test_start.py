"""A run from its start to its results, without Python on the other side."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from nightmail.simulator import process
from nightmail.web.settings import Settings
from tests.web.desk import Office, opened
from tests.web.test_keys import bearer

DECLARED = {
    "name": "Colours",
    "model": "gpt-4o-mini",
    "prompt": "Which colour has {text}? {{one word}}",
    "output": ["red", "green", "blue"],
}
RECORDS = [{"id": f"r{n}", "text": f"a green thing {n}"} for n in range(5)]


@pytest.fixture(scope="module")
def simulator() -> Iterator[process.SimulatorProcess]:
    with process.start() as running:
        yield running


async def started(office: Office, source: dict[str, Any], **more: Any) -> str:
    body = {"task": DECLARED, "source": source, "poll_interval": 0.05, **more}
    answer = await office.post("/api/v1/runs", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["run_id"])


async def test_declared_task_and_records_to_results_by_key(tmp_path: Path, simulator: Any) -> None:
    async with opened(tmp_path, base_url=simulator.url, working=True) as office:
        run_id = await started(office, {"records": RECORDS})
        assert await started(office, {"records": RECORDS}) == run_id, "the same work is the same run"
        done = await office.until(run_id, lambda run: run["state"] == "finished")
        assert (done["succeeded"], done["task"]) == (5, "Colours")

        first = (await office.get(f"/api/v1/runs/{run_id}/results?limit=3")).json()
        second = (await office.get(f"/api/v1/runs/{run_id}/results?limit=3&after={first['next']}")).json()
        results = first["results"] + second["results"]
        assert [each["key"] for each in results] == [f"r{n}" for n in range(5)]
        assert {each["output"]["output"] for each in results} <= {"red", "green", "blue"}
        assert second["next"] is None

        record = (await office.get(f"/api/v1/runs/{run_id}/records/r3")).json()
        assert record["request"]["body"]["messages"][-1]["content"].startswith(
            "Which colour has a green thing 3? {one word}"
        )
        assert (await office.get(f"/api/v1/runs/{run_id}/records/r9")).status_code == 404

        costs = (await office.get("/api/v1/costs")).json()["costs"]
        assert [(each["model"], each["requests"]) for each in costs] == [("gpt-4o-mini", 5)]


async def test_an_upload_becomes_a_run_and_comes_back_as_files(tmp_path: Path, simulator: Any) -> None:
    async with opened(tmp_path, base_url=simulator.url, working=True) as office:
        lines = "".join(json.dumps(each) + "\n" for each in RECORDS)
        sent = [await office.post("/api/v1/uploads?format=jsonl", content=lines.encode()) for _ in range(2)]
        assert [answer.status_code for answer in sent] == [201, 201]
        assert sent[0].json() == sent[1].json(), "the same bytes are the same upload"
        run_id = await started(office, {"upload_id": sent[0].json()["upload_id"]})
        await office.until(run_id, lambda run: run["state"] == "finished")

        where = f"/api/v1/runs/{run_id}"
        text = (await office.get(f"{where}/output")).text
        assert [json.loads(line)["id"] for line in text.splitlines()] == [f"r{n}" for n in range(5)]
        table = pq.read_table(io.BytesIO((await office.get(f"{where}/output?format=parquet")).content))
        assert table.column("id").to_pylist() == [f"r{n}" for n in range(5)]
        assert (await office.get(f"{where}/failures")).text == ""
        kept = list((tmp_path / "home" / "spool" / "intake" / "uploads").iterdir())
        assert [each.name for each in kept] == ["_"], "what was downloaded is not kept"


async def test_several_uploads_are_one_source(tmp_path: Path, simulator: Any) -> None:
    async with opened(tmp_path, base_url=simulator.url, working=True) as office:
        ids = [
            (await office.post("/api/v1/uploads", content=json.dumps(each).encode())).json()["upload_id"]
            for each in RECORDS[:2]
        ]
        run_id = await started(office, {"upload_id": ids})
        assert await started(office, {"upload_id": ids}) == run_id
        done = await office.until(run_id, lambda run: run["state"] == "finished")
        assert done["succeeded"] == 2


async def test_a_task_that_has_changed_is_refused_or_taken_as_it_was(tmp_path: Path, simulator: Any) -> None:
    settings = Settings(tasks=(str(tmp_path),))
    task = tmp_path / "task.json"
    task.write_text(json.dumps(DECLARED))
    async with opened(tmp_path, base_url=simulator.url, working=True, settings=settings) as office:
        body = {"task": str(task), "source": {"records": RECORDS}, "poll_interval": 0.05}
        run_id = (await office.post("/api/v1/runs", json=body)).json()["run_id"]
        await office.until(run_id, lambda run: run["state"] == "finished")
        task.write_text(json.dumps(DECLARED | {"prompt": "Another: {text}"}))
        refused = await office.post("/api/v1/runs", json=body)
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:nightmail:problem:run-changed")
        taken = await office.post("/api/v1/runs", json=body | {"as_started": True})
        assert taken.json()["run_id"] == run_id


async def test_pause_resume_cancel_and_events(tmp_path: Path, simulator: Any) -> None:
    async with opened(tmp_path, base_url=simulator.url) as office:
        run_id = await started(office, {"records": RECORDS})
        where = f"/api/v1/runs/{run_id}"
        assert (await office.post(f"{where}/pause")).json()["pause_reason"] == "user"
        resumed = await office.post(f"{where}/resume", json={"budget": "2.50"})
        assert resumed.json()["state"] == "open"
        assert (await office.post(f"{where}/retry")).status_code == 409
        assert (await office.post(f"{where}/cancel")).status_code == 200
        told = (await office.get(f"{where}/events")).json()["events"]
        assert [each["name"] for each in told] == ["run_moved", "run_moved"]


async def test_watching_tells_each_change_and_the_end(tmp_path: Path, simulator: Any) -> None:
    async with opened(tmp_path, base_url=simulator.url, working=True) as office:
        run_id = await started(office, {"records": RECORDS})
        async with asyncio.timeout(60):
            text = (await office.get(f"/api/v1/runs/{run_id}/watch")).text
        events = [event.split("\n") for event in text.strip().split("\n\n") if event != ":"]
        assert [lines[0] for lines in events] == ["event: run"] * (len(events) - 1) + ["event: end"]
        last = json.loads(events[-2][1].removeprefix("data: "))
        assert (last["state"], last["succeeded"]) == ("finished", 5)


async def test_a_run_reads_and_runs_only_what_the_operator_opened(tmp_path: Path) -> None:
    for name in ("open", "shut"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rows.jsonl").write_text('{"id": "a", "text": "x"}\n')
        (tmp_path / name / "task.json").write_text(json.dumps(DECLARED))
    (tmp_path / "open" / "way_out.jsonl").symlink_to(tmp_path / "shut" / "rows.jsonl")
    inside = str(tmp_path / "open")
    settings = Settings(sources=(inside,), tasks=(inside,), modules=("tests.web.no_such",))
    async with opened(tmp_path, settings=settings) as office:

        async def status(task: Any, source: dict[str, Any]) -> int:
            return (await office.post("/api/v1/runs", json={"task": task, "source": source})).status_code

        rows, task = {"path": f"{inside}/rows.jsonl"}, f"{inside}/task.json"
        assert await status(task, rows) == 201
        for path in (
            str(tmp_path / "shut" / "rows.jsonl"),
            f"{inside}/../shut/rows.jsonl",
            f"{inside}/way_out.jsonl",
            f"{inside}/*.jsonl",
            f"{inside}/../shut/*.jsonl",
            "rows.jsonl",
            "/etc/passwd",
            "/proc/self/environ",
            f"{inside}/rows.jsonl\0",
            "",
        ):
            assert await status(task, {"path": path}) == 404, path
        for other in (
            str(tmp_path / "shut" / "task.json"), f"{inside}/../shut/task.json", "os:system", "nightmail.cli",
            "tests.web.no_such_thing:Task", "colours.py:Colours",
        ):  # fmt: skip
            assert await status(other, rows) == 404, other
        for upload in ("../../nightmail.db", "..", "/etc/passwd", "0" * 32 + ".jsonl", "_/x.jsonl"):
            assert await status(task, {"upload_id": upload}) == 422, upload


async def test_what_cannot_be_a_run_is_said_in_words(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:

        async def refused(**body: Any) -> str:
            answer = await office.post("/api/v1/runs", json=body)
            assert answer.status_code == 422, answer.text
            return str(answer.json()["detail"])

        rows = {"records": RECORDS}
        assert "exactly one of" in await refused(task=DECLARED, source={})
        assert "no place for a field" in await refused(task={**DECLARED, "prompt": "{text x}"}, source=rows)
        assert "extra" in (await refused(task=DECLARED, source=rows, tenant="theirs")).lower()
        assert "deadline" in await refused(task=DECLARED, source=rows, deadline="soon")


async def test_another_tenant_s_run_upload_result_and_event_are_not_there(
    tmp_path: Path, simulator: Any
) -> None:
    async with opened(tmp_path, base_url=simulator.url, working=True) as office:
        ours, theirs = await office.client.keys.add("ours"), await office.client.keys.add("theirs")
        reader = await office.client.keys.add("ours", scope="read")
        content = (json.dumps(RECORDS[0]) + "\n").encode()
        upload = await office.post("/api/v1/uploads", content=content, headers=bearer(ours))
        body = {"task": DECLARED, "source": upload.json(), "poll_interval": 0.05}
        del body["source"]["bytes"]
        run_id = (await office.post("/api/v1/runs", json=body, headers=bearer(ours))).json()["run_id"]
        where = f"/api/v1/runs/{run_id}"

        paths = ("", "/results", "/records/r0", "/output", "/failures", "/events", "/watch")
        for path in paths:
            assert (await office.get(where + path, headers=bearer(theirs))).status_code == 404, path
        for wish in ("pause", "resume", "cancel", "retry"):
            assert (await office.post(f"{where}/{wish}", headers=bearer(theirs))).status_code == 404
            assert (await office.post(f"{where}/{wish}", headers=bearer(reader))).status_code == 403
        stolen = await office.post("/api/v1/runs", json=body, headers=bearer(theirs))
        assert (stolen.status_code, stolen.json()["type"]) == (422, "urn:nightmail:problem:source")
        assert (await office.post("/api/v1/runs", json=body, headers=bearer(reader))).status_code == 403
        for path in ("/api/v1/costs", "/api/v1/quotas"):
            (told,) = (await office.get(path, headers=bearer(theirs))).json().values()
            assert all(each.get("requests", 0) == 0 for each in told)
        assert (await office.get(where, headers=bearer(reader))).status_code == 200
