"""The pages of batches, records, searches, errors, quotas, notices and schedules."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nightmail.core.ids import RunId
from nightmail.core.notice import Notice, NoticeKind
from nightmail.stores.base import Lease
from nightmail.testing.clock import START
from nightmail.testing.desk import Desk
from nightmail.testing.provider import ScriptedProvider, completion, row
from nightmail.web.settings import Settings
from tests.web.desk import Office, opened
from tests.worker.test_inquiries import Colour, dying_at

HTML = {"Accept": "text/html"}
PROMPT = "prompt-marker-7319"
ANSWER = "answer-marker-2846"
ROWS = [{"id": f"key-{n}", "text": f"{PROMPT} {n}"} for n in range(6)]


def answers(custom_id: str, body: Any, times: int) -> Any:
    """The second record needs two attempts, the third fails, the fifth is refused by the provider."""
    number = int(custom_id.rpartition("_")[2])
    if number == 5:
        return row(custom_id, status=400, body={"error": {"message": f"cannot take {PROMPT}"}})
    if number == 3 or (number == 2 and times == 1):
        return row(custom_id, body=completion(json.dumps({"label": f"{ANSWER}<b>"})))
    return row(custom_id, body=completion(json.dumps({"label": "red"})))


def says(custom_id: str, body: Any, times: int) -> Any:
    return row(custom_id, body=completion(f"It is {ANSWER}, <i>surely</i>"))


@contextlib.asynccontextmanager
async def looking(
    folder: Path, *, answer: Any = answers, task: Any = Colour, tenant: str | None = None, **options: Any
) -> AsyncIterator[tuple[Office, str]]:
    """A home with a finished run, and the service on it."""
    if task is None:
        desk = Desk(folder, ScriptedProvider(answer), rows=ROWS, tenant=tenant)
    else:
        desk = Desk(folder, ScriptedProvider(answer), task=task, rows=ROWS, tenant=tenant)
    run_id = (await desk.drive()).run_id
    async with opened(folder, **options) as office:
        office.http.headers.update(HTML)
        yield office, run_id


async def shown(office: Office, path: str, status: int = 200) -> str:
    answer = await office.get(path)
    assert answer.status_code == status, (path, answer.text)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return answer.text


def links(page: str, pattern: str) -> list[str]:
    return re.findall(rf'href="({pattern})"', page)


async def test_from_the_errors_one_click_leads_to_the_record_that_failed_and_why(tmp_path: Path) -> None:
    async with looking(tmp_path) as (office, run_id):
        page = await shown(office, "/errors")
        assert re.search(r"schema <b>1</b>", page)
        assert f"cannot take {PROMPT}" in page
        examples = links(page, f"/runs/{run_id}/records/\\d+")
        assert examples == [f"/runs/{run_id}/records/{n}" for n in (5, 3)]
        record = await shown(office, examples[1])
        assert "Attempt 4" in record
        assert f"{ANSWER}&lt;b&gt;" in record
        assert f"{ANSWER}<b>" not in record
        one = await shown(office, "/errors?reason=schema")
        assert links(one, f"/runs/{run_id}/records/\\d+") == [f"/runs/{run_id}/records/3"]
        assert links(await shown(office, f"/errors?before={run_id}"), f"/runs/{run_id}/records/\\d+") == []


async def test_a_record_shows_what_was_sent_what_came_and_what_became_of_it(tmp_path: Path) -> None:
    async with looking(tmp_path) as (office, run_id):
        page = await shown(office, f"/runs/{run_id}/records/2")
        first, second = page.index("Attempt 2"), page.index("Attempt 1")
        assert first < second, "the newest first"
        accepted, rejected = page[first:second], page[second:]
        assert "accepted" in accepted
        assert f"{ANSWER}&lt;b&gt;" in rejected
        assert '<b class="bad">schema</b>' in rejected
        assert f"{PROMPT} 1" in rejected
        assert len(set(links(page, '/batches/[^"]+'))) == 2
        assert (await office.get(f"/runs/{run_id}/records/7")).status_code == 404
        assert (await office.get(f"/runs/{run_id}/records/0")).status_code == 422


async def test_texts_that_are_too_long_for_a_page_are_cut_off(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("nightmail.web.pages.record.LONGEST", 10)
    async with looking(tmp_path, answer=says, task=None) as (office, run_id):
        page = await shown(office, f"/runs/{run_id}/records/1")
        assert f">{'It is ' + ANSWER:.10}\n... and " in page
        assert ANSWER not in page
        assert PROMPT not in page


async def test_a_key_leads_to_the_page_of_its_record(tmp_path: Path) -> None:
    async with looking(tmp_path) as (office, run_id):
        answer = await office.get(f"/runs/{run_id}/records?key=key-3")
        assert (answer.status_code, answer.headers["location"]) == (303, f"/runs/{run_id}/records/4")
        assert "there is no such record" in await shown(office, f"/runs/{run_id}/records?key=nobody", 404)


async def test_failed_records_come_in_pages_and_by_reason(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("nightmail.web.pages.errors.PAGE", 1)
    async with looking(tmp_path) as (office, run_id):
        page = await shown(office, f"/runs/{run_id}/failed")
        assert links(page, f"/runs/{run_id}/records/\\d+") == [f"/runs/{run_id}/records/3"]
        (following,) = links(page, f"/runs/{run_id}/failed\\?after=3")
        page = await shown(office, following)
        assert links(page, f"/runs/{run_id}/records/\\d+") == [f"/runs/{run_id}/records/5"]
        assert 'rel="next"' not in page
        assert "There are no more" in await shown(office, f"/runs/{run_id}/failed?after=5")
        assert links(await shown(office, f"/runs/{run_id}/failed?reason=check"), ".*/records/.*") == []


async def test_a_batch_shows_everything_that_is_known_of_it(tmp_path: Path) -> None:
    async with looking(tmp_path) as (office, run_id):
        record = await shown(office, f"/runs/{run_id}/records/1")
        page = await shown(office, links(record, '/batches/[^"]+')[0])
        for words in ("planned", "submitted", "ended at the provider", "settled", "finalised", "validating",
                      "batch_submitted", "batch_ended", "The provider&#39;s own object", "gpt-4o-mini",
                      "/v1/chat/completions"):  # fmt: skip
            assert words.replace("&#39;", "'") in page.replace("&#39;", "'"), words
        assert links(page, f"/runs/{run_id}")
        assert (await office.get("/batches/nobody")).status_code == 404


async def test_a_batch_that_is_over_is_streamed_once(tmp_path: Path) -> None:
    async with looking(tmp_path) as (office, run_id):
        batch = (await office.client.inquiries.record(run_id, 1)).batch_id
        streamed = (await office.get(f"/batches/{batch}/live")).text
        kinds = re.findall(r"^event: (\w+)$", streamed, re.MULTILINE)
        assert kinds == ["parts", "end"]
        part = json.loads(re.findall(r"^data: (.*)$", streamed, re.MULTILINE)[0])["whole"]
        assert part in await shown(office, f"/batches/{batch}")
        assert (await office.get("/batches/nobody/live")).status_code == 404


async def test_search_finds_by_key_by_beginning_and_in_outputs(tmp_path: Path) -> None:
    async with looking(tmp_path, answer=says, task=None) as (office, run_id):
        assert "required" in await shown(office, "/search")
        exact = await shown(office, "/search?q=key-2")
        assert links(exact, f"/runs/{run_id}/records/\\d+") == [f"/runs/{run_id}/records/3"]
        begun = await shown(office, "/search?q=key-&where=beginning")
        assert len(links(begun, f"/runs/{run_id}/records/\\d+")) == 6
        said = await shown(office, f"/search?q={ANSWER.upper()}&where=outputs&run={run_id}")
        assert len(links(said, f"/runs/{run_id}/records/\\d+")) == 6
        assert f"It is <mark>{ANSWER}</mark>, &lt;i&gt;surely&lt;/i&gt;" in said
        assert "Nothing was found" in await shown(office, "/search?q=nobody")
        assert (await office.get("/search?q=key-2&run=nobody")).status_code == 404
        for nowhere in ("somewhere", f'["{run_id}","",-1]', f'["{run_id}","",{10**30}]'):
            assert (await office.get("/search", params={"q": "key-2", "start": nowhere})).status_code == 422
        beyond = {"q": "key-2", "start": f'["{run_id}","../../{run_id}",4]', "where": "outputs"}
        assert (await office.get("/search", params=beyond)).status_code == 200


async def test_a_search_that_stops_early_says_so_and_goes_on(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("nightmail.worker.inquiries.HITS", 4)
    async with looking(tmp_path, answer=says, task=None) as (office, run_id):
        first = await shown(office, f"/search?q={ANSWER}&where=outputs")
        assert "there is more to look through" in first
        (following,) = links(first, '/search\\?[^"]*start=[^"]*')
        second = await shown(office, following.replace("&amp;", "&"))
        found = [links(page, f"/runs/{run_id}/records/\\d+") for page in (first, second)]
        assert [len(each) for each in found] == [4, 2]
        assert len({*found[0], *found[1]}) == 6


async def test_quotas_show_what_is_in_a_queue_its_limit_and_where_that_is_from(tmp_path: Path) -> None:
    desk = Desk(tmp_path, ScriptedProvider(), rows=ROWS, quotas={"gpt-4o-mini": 90_000})
    async with dying_at(desk, "provider.poll") as (_, store, run):
        (batch,) = await store.batches.list(run.run_no)
        (lease,) = await store.runs.leases()
        await store.batches.record_refusal(Lease(*lease[:2]), batch, said=50_000, now=desk.clock.now())
    async with opened(tmp_path) as office:
        office.http.headers.update(HTML)
        page = await shown(office, "/quotas")
        assert "1 batch, 6 requests" in page
        assert "given: 90.0 k" in page
        assert "learned: a refusal named 50.0 k" in page
        assert "quota_learned" in page
        assert links(page, f"/batches/{batch.batch_id}")


async def test_without_runs_no_page_is_empty(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        office.http.headers.update(HTML)
        said = {
            "/quotas": "nothing is known of one",
            "/errors": "No record has failed for good",
            "/search?q=a": "There are no runs yet",
            "/schedules": "There are none",
        }
        for path, words in said.items():
            assert words in await shown(office, path), path


async def test_notices_show_what_was_told_and_the_outbox_what_was_not(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("nightmail.web.pages.notices.PAGE", 2)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "nightmail.toml").write_text(
        '[[notify]]\nname = "desk"\nurl_env = "U"\nsecret_env = "S"\n'
    )
    async with looking(tmp_path, tenant="theirs") as (office, run_id):
        notices = [
            Notice(
                notice_id=f"n{n}", kind=NoticeKind.RUN_PAUSED, at=START, run_id=RunId(run_id) if n else None,
                title=f"title {n}", text=f"text {n}", to_do="top up" if n == 2 else None,
            )
            for n in range(3)
        ]  # fmt: skip
        store = office.client._store
        begun = (await store.notices.begin(home="here")).event_no
        channels = {"desk": [START, START, None], "gone": [None, None, START]}
        assert await store.notices.record(notices, channels, after=begun, upto=begun) == 3
        page = await shown(office, "/notices")
        assert [page.count(f"title {n}") for n in range(3)] == [0, 1, 1]
        assert "<b>To do:</b> top up" in page
        assert "(not in the settings any more)" in page
        (older,) = links(page, r"/notices\?before=n1")
        assert "title 0" in await shown(office, older)
        await office.client.keys.add("ours")
        async with opened(tmp_path) as later:
            later.http.headers.update(HTML)
            for tenant, seen in (("ours", 0), ("theirs", 2)):
                key = await later.client.keys.add(tenant)
                await later.post("/sign-in", data={"key": key})
                page = await shown(later, "/notices")
                assert page.count("<article") == seen
                assert "Outbox" not in page
                later.http.cookies.clear()


async def test_without_a_channel_the_notices_say_so(tmp_path: Path) -> None:
    async with looking(tmp_path) as (office, _):
        page = await shown(office, "/notices")
        assert "Nobody is told anything" in page
        assert "There are none yet" in page


async def test_another_tenants_batch_record_and_search_are_not_there(tmp_path: Path) -> None:
    async with looking(tmp_path, answer=says, task=None, tenant="theirs") as (office, run_id):
        batch = (await office.client.inquiries.record(run_id, 1)).batch_id
        for tenant, there in (("ours", False), ("theirs", True)):
            key = await office.client.keys.add(tenant)
            await office.post("/sign-in", data={"key": key})
            for path in (f"/batches/{batch}", f"/runs/{run_id}/records/1", f"/runs/{run_id}/failed",
                         f"/search?q=key-1&run={run_id}", f"/runs/{run_id}/records?key=key-1"):  # fmt: skip
                status = (await office.get(path)).status_code
                assert status in ((200, 303) if there else (404,)), path
            for path in (
                "/search?q=key-1",
                f"/search?q={ANSWER}&where=outputs",
                "/errors",
                "/quotas",
                "/notices",
            ):
                assert (run_id in await shown(office, path)) <= there, path
            assert (run_id in await shown(office, "/search?q=key-1")) is there
            assert (await office.get("/schedules")).status_code == 403
            office.http.cookies.clear()


PAGES = [
    "/", "/runs", "/runs/{run}", "/runs/{run}/failed", "/search", "/search?q=key-&where=beginning", "/errors",
    "/quotas", "/schedules", "/notices", "/batches/{batch}",
    "/batches/{batch}/live", "/runs/{run}/live",
    *(f"/runs/{{run}}/records/{n}" for n in range(1, 7)),
]  # fmt: skip


@pytest.mark.parametrize("hidden", [True, False])
async def test_where_texts_are_hidden_no_page_has_any(tmp_path: Path, hidden: bool) -> None:
    async with looking(tmp_path, settings=Settings(hide_texts=hidden)) as (office, run_id):
        batch = (await office.client.inquiries.record(run_id, 1)).batch_id
        answers = [await office.get(path.format(run=run_id, batch=batch)) for path in PAGES]
        assert {answer.status_code for answer in answers} == {200}
        pages = [answer.text for answer in answers]
        assert any(PROMPT in page for page in pages) is not hidden
        assert any(ANSWER in page for page in pages) is not hidden
        status = (await office.get(f"/search?q={ANSWER}&where=outputs")).status_code
        assert status == (403 if hidden else 200)
        assert ('value="outputs"' in pages[PAGES.index("/search")]) is not hidden
