"""Who sees pages, and whose forms are taken."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nightmail.core.scope import Scope
from nightmail.core.tenancy import SESSION, digest
from nightmail.testing import ManualClock
from nightmail.web.pages.visit import COOKIE
from nightmail.web.settings import Settings
from nightmail.worker.history import History
from tests.web.desk import PATIENCE, opened
from tests.web.pages.visitor import HTML, form_token, look, sign_in


async def test_without_keys_pages_are_open_to_this_machine_s_names_only(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        assert (await office.get("/", headers=HTML)).status_code == 200
        assert (await office.get("/", headers={**HTML, "Host": "evil.example"})).status_code == 421


async def test_with_a_key_a_page_asks_for_it_once_and_goes_where_one_was_going(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        key = await office.client.keys.add("ours")
        run_id = await office.start(tenant="ours")
        asked = await office.get(f"/runs/{run_id}", headers=HTML)
        assert (asked.status_code, asked.headers["location"]) == (303, f"/sign-in?back=/runs/{run_id}")
        answer = await office.post("/sign-in", data={"key": key, "back": f"/runs/{run_id}"})
        assert (answer.status_code, answer.headers["location"]) == (303, f"/runs/{run_id}")
        cookie = answer.headers["set-cookie"]
        assert re.fullmatch(
            rf"{COOKIE}=[0-9a-f]{{64}}; HttpOnly; Max-Age=604800; Path=/; SameSite=lax", cookie
        )
        page = await office.get(f"/runs/{run_id}", headers=HTML)
        assert page.status_code == 200
        assert "signed in as <b>ours</b>, may submit" in page.text


async def test_behind_https_the_cookie_stays_there(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        key = await office.client.keys.add("ours")
        answer = await office.post("https://127.0.0.1:8686/sign-in", data={"key": key})
        assert answer.headers["set-cookie"].endswith("; Secure")


@pytest.mark.parametrize(
    "back", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:1"]
)
async def test_signing_in_leads_nowhere_else(tmp_path: Path, back: str) -> None:
    async with opened(tmp_path) as office:
        key = await office.client.keys.add("ours")
        assert (await office.post("/sign-in", data={"key": key, "back": back})).headers["location"] == "/"


async def test_a_wrong_key_is_not_repeated_and_guessing_is_slowed_down(tmp_path: Path) -> None:
    async with opened(tmp_path, settings=Settings(wrong_keys_per_minute=2)) as office:
        await office.client.keys.add("ours")
        wrong = "nm_" + "0" * 16 + "_" + "0" * 64
        answers = [await sign_in(office, wrong) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [401, 401, 429]
        assert all(wrong not in answer.text and "set-cookie" not in answer.headers for answer in answers)


async def test_the_cookie_opens_pages_and_not_the_api(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        await sign_in(office, await office.client.keys.add("ours"))
        assert (await office.get("/runs", headers=HTML)).status_code == 200
        assert (await office.get("/api/v1/runs")).status_code == 401
        assert (await office.get("/metrics")).status_code == 401


async def test_a_key_in_a_header_opens_no_page(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        key = await office.client.keys.add("ours")
        answer = await office.get("/runs", headers={"Authorization": f"Bearer {key}"})
        assert (answer.status_code, answer.json()["type"]) == (401, "urn:nightmail:problem:signed-out")


async def test_the_store_has_the_cookie_s_digest_only(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        await sign_in(office, await office.client.keys.add("ours"))
        token = office.http.cookies[COOKIE]
    kept = b"".join(path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file())
    assert token.encode() not in kept
    assert digest(token).encode() in kept


async def test_a_session_ends_with_its_key_and_by_signing_out(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        first, second = await office.client.keys.add("ours"), await office.client.keys.add("ours")
        await sign_in(office, first)
        await office.client.keys.revoke(first.split("_")[1])
        assert (await office.get("/runs", headers=HTML)).status_code == 303
        await sign_in(office, second)
        page = await office.get("/runs", headers=HTML)
        kept = office.http.cookies[COOKIE]
        await office.post("/sign-out", data={"form_token": form_token(page.text)})
        assert COOKIE not in office.http.cookies
        again = await office.get("/runs", headers={**HTML, "Cookie": f"{COOKIE}={kept}"})
        assert again.status_code == 303


async def test_a_page_that_is_live_ends_with_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path) as office:
        await sign_in(office, await office.client.keys.add("ours"))
        token = form_token(await look(office, "/runs"))
        looked, unfinished = asyncio.Event(), History.unfinished

        async def seen(history: History, **bound: Any) -> object:
            looked.set()
            return await unfinished(history, **bound)

        monkeypatch.setattr(History, "unfinished", seen)
        async with asyncio.timeout(PATIENCE):
            watching = asyncio.create_task(office.get("/live"))
            await looked.wait()
            await office.post("/sign-out", data={"form_token": token})
            assert (await watching).status_code == 200


async def test_a_session_ends_by_itself(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        key, clock = await office.client.keys.add("ours"), ManualClock()
        office.client._clock = clock
        await sign_in(office, key)
        clock.advance(SESSION - timedelta(seconds=1))
        assert (await office.get("/runs", headers=HTML)).status_code == 200
        clock.advance(timedelta(seconds=1))
        assert (await office.get("/runs", headers=HTML)).status_code == 303


async def test_somebody_else_s_run_is_not_there(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        ours, _ = await office.client.keys.add("ours"), await office.client.keys.add("theirs")
        own = await office.start("a.jsonl", tenant="ours")
        other = await office.start("b.jsonl", tenant="theirs")
        await sign_in(office, ours)
        listed = (await office.get("/runs", headers=HTML)).text
        assert own in listed
        assert other not in listed
        absent = await office.get("/runs/nobody-0000", headers=HTML)
        hidden = await office.get(f"/runs/{other}", headers=HTML)
        assert (hidden.status_code, hidden.text) == (404, absent.text)
        assert "there is no such run" in hidden.text


async def test_admin_sees_everybody_s_and_whose_they_are(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        admin = await office.client.keys.add("house", scope=Scope.ADMIN)
        await office.client.keys.add("ours")
        run_id = await office.start(tenant="ours")
        await sign_in(office, admin)
        listed = (await office.get("/runs", headers=HTML)).text
        assert run_id in listed
        assert '<span class="tenant">ours</span>' in listed


@pytest.mark.parametrize(
    "foreign",
    [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}],
)
async def test_forms_of_other_sites_are_refused(tmp_path: Path, foreign: dict[str, str]) -> None:
    async with opened(tmp_path) as office:
        key = await office.client.keys.add("ours")
        answer = await office.post("/sign-in", data={"key": key}, headers=foreign)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


async def test_a_page_allows_the_browser_our_own_files_and_nothing_else(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        page = await office.get("/", headers=HTML)
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert (page.headers["cache-control"], page.headers["x-content-type-options"]) == (
            "no-store",
            "nosniff",
        )
        assert re.findall(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", page.text) == []
        for path in re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text):
            answer = await office.get(path)
            assert answer.status_code == 200
            assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert (await office.get("/static/0000000000000000/nightmail.css")).status_code == 404


async def test_what_is_not_there_is_a_page_for_who_reads_pages(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        page = await office.get("/nothing", headers=HTML)
        assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert (await office.get("/nothing")).headers["content-type"] == "application/problem+json"
        assert (await office.get("/api/v1/nothing", headers=HTML)).json()["status"] == 404
