"""The page of a run tells what its store has, and changes while one looks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nightmail.simulator import process
from nightmail.web.settings import Settings
from tests.web.desk import Office, opened
from tests.web.pages.visitor import actions, form_token, look, part, press, sign_in, words


@pytest.fixture(scope="module")
def simulator() -> Iterator[process.SimulatorProcess]:
    with process.start(faults={"refusal": 0.3}) as running:
        yield running


async def finished(office: Office, count: int = 40, **options: Any) -> str:
    """A run that is over, some of whose records were refused."""
    rows = office.rows(count)
    run_id = (await office.client.start(str(office.task), rows, poll_interval=0.05, **options)).run_id
    await office.until(run_id, lambda run: run["state"] == "finished")
    return run_id


async def test_it_tells_what_came_of_the_run_and_why_records_failed(tmp_path: Path, simulator: Any) -> None:
    async with opened(tmp_path, base_url=simulator.url, working=True) as office:
        run_id = await finished(office, budget=2, max_batch_requests=20)
        status = await office.client.status(run_id)
        assert 0 < status.failed < 40
        page = await look(office, f"/runs/{run_id}")
        assert f"{status.succeeded} succeeded" in part(page, "progress")
        assert "40 of 40 records" in part(page, "progress")
        money = part(page, "money")
        assert "Budget $2.00 (0 % used)" in money
        assert re.search(r"Saved against synchronous prices \$0\.0\d+", money)
        failures = part(page, "failures")
        assert f"Why {status.failed} records failed" in failures
        failed = (await office.get(f"/api/v1/runs/{run_id}/results?state=failed&limit=3")).json()["results"]
        assert all(each["key"] in failures and each["message"] in failures for each in failed)
        batches = part(page, "batches")
        assert "2 batches: 2 done" in batches
        assert f"{run_id}.b1 finalised completed" in batches
        assert "batch_submitted" in part(page, "events")
        assert "which colour has thing 0?" in words(page)
        assert page.count('role="img"') >= 2, "its course is drawn"


async def test_a_page_names_the_source_without_the_folders_of_the_service(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        page = await look(office, f"/runs/{await office.start()}")
        assert "Colours over rows.jsonl" in words(page)
        assert str(tmp_path) not in part(page, "head")


async def test_texts_are_hidden_where_they_are_to_be(tmp_path: Path, simulator: Any) -> None:
    hidden = Settings(hide_texts=True)
    async with opened(tmp_path, base_url=simulator.url, working=True, settings=hidden) as office:
        run_id = await finished(office)
        failed = (await office.get(f"/api/v1/runs/{run_id}/results?state=failed&limit=3")).json()["results"]
        page = await look(office, f"/runs/{run_id}")
        assert "which colour has" not in page
        assert failed[0]["message"] not in words(page)
        assert failed[0]["key"] in words(page)


async def test_what_failed_is_asked_again_by_a_form_and_files_are_taken_away(
    tmp_path: Path, simulator: Any
) -> None:
    async with opened(tmp_path, base_url=simulator.url, working=True) as office:
        run_id = await finished(office)
        before = await office.client.status(run_id)
        page = await look(office, f"/runs/{run_id}")
        outputs = await office.get(f"/runs/{run_id}/output?format=csv")
        assert outputs.headers["content-disposition"] == f'attachment; filename="{run_id}.csv"'
        assert len(outputs.text.splitlines()) == 1 + before.succeeded
        failures = (await office.get(f"/runs/{run_id}/failures")).text.splitlines()
        assert len(failures) == before.failed
        nothing = await press(office, page, f"/runs/{run_id}/retry", reason="check")
        assert nothing.status_code == 303
        assert (await office.client.status(run_id)).requests_sent == before.requests_sent
        answer = await press(office, page, f"/runs/{run_id}/retry", reason="refused")
        assert (answer.status_code, answer.headers["location"]) == (303, f"/runs/{run_id}")
        await office.until(
            run_id, lambda run: run["state"] == "finished" and run["requests_sent"] > before.requests_sent
        )


async def test_a_run_is_paused_resumed_and_cancelled_by_forms(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        run_id = await office.start()
        here = f"/runs/{run_id}"
        assert actions(await look(office, here)) == {f"{here}/pause", f"{here}/cancel"}
        await press(office, await look(office, here), f"{here}/pause")
        page = await look(office, here)
        assert "Paused (user)" in part(page, "head")
        assert actions(page) == {f"{here}/resume", f"{here}/cancel"}
        await press(office, page, f"{here}/resume", budget="7.5")
        page = await look(office, here)
        assert "Budget $7.50" in part(page, "money")
        await press(office, page, f"{here}/cancel")
        page = await look(office, here)
        assert "Being cancelled" in part(page, "head")
        assert actions(page) == set()


async def test_a_form_that_is_not_from_our_page_or_makes_no_sense_does_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        run_id = await office.start()
        page = await look(office, f"/runs/{run_id}")
        for token in ("", "0" * 64, form_token(page)[:-1]):
            answer = await office.post(f"/runs/{run_id}/cancel", data={"form_token": token})
            assert answer.status_code == 403
        assert (await press(office, page, f"/runs/{run_id}/cancel")).status_code == 303
        token = {"form_token": form_token(page)}
        assert (await office.post(f"/runs/{run_id}/retry", data=token)).status_code == 409
        wrong = {**token, "budget": "a lot"}
        assert (await office.post(f"/runs/{run_id}/resume", data=wrong)).status_code == 422


async def test_who_may_only_look_gets_no_buttons_and_other_tenants_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        reader = await office.client.keys.add("ours", scope="read")
        other = await office.client.keys.add("theirs")
        run_id = await office.start(tenant="ours")
        await sign_in(office, reader)
        page = await look(office, f"/runs/{run_id}")
        assert actions(page) == {"/sign-out"}
        answer = await office.post(f"/runs/{run_id}/cancel", data={"form_token": form_token(page)})
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:nightmail:problem:scope")
        await sign_in(office, other)
        token = form_token(await look(office, "/runs"))
        for path in ("", "/live", "/output", "/failures"):
            assert (await office.get(f"/runs/{run_id}{path}")).status_code == 404
        for path in ("pause", "resume", "cancel", "retry", "revalidate"):
            answer = await office.post(f"/runs/{run_id}/{path}", data={"form_token": token})
            assert answer.status_code == 404


async def test_who_may_only_look_may_take_files_away(tmp_path: Path, simulator: Any) -> None:
    async with opened(tmp_path, base_url=simulator.url, working=True) as office:
        run_id = await finished(office, tenant="ours")
        key = await office.client.keys.add("ours", scope="read")
    async with opened(tmp_path) as office:
        await sign_in(office, key)
        page = await look(office, f"/runs/{run_id}")
        assert actions(page) == {"/sign-out"}
        assert f"/runs/{run_id}/output?format=parquet" in page
        assert (await office.get(f"/runs/{run_id}/output?format=jsonl")).status_code == 200


async def test_the_stream_sends_what_has_changed_and_ends_with_the_run(
    tmp_path: Path, simulator: Any
) -> None:
    async with opened(tmp_path, base_url=simulator.url, working=True) as office:
        run_id = await finished(office)
        answer = await office.get(f"/runs/{run_id}/live")
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = re.findall(r"event: (\w+)\ndata: (.*)\n\n", answer.text)
        assert [name for name, _ in events] == ["parts", "end"]
        parts = json.loads(events[0][1])
        page = await look(office, f"/runs/{run_id}")
        assert set(parts) == {"head", "progress", "money", "failures", "batches", "events"}
        for name, drawn in parts.items():
            assert f'id="{name}"' in drawn
            assert words(drawn) in words(page), "it is what a new load shows"
