"""What is refused before any route sees it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nightmail.web.settings import Settings
from tests.web.desk import opened


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:8686", ""])
async def test_a_name_that_is_made_to_lead_here_gets_nothing(tmp_path: Path, host: str) -> None:
    async with opened(tmp_path) as office:
        assert (await office.get("/api/v1/runs", headers={"Host": host})).status_code == 421


@pytest.mark.parametrize("host", ["localhost:8686", "127.0.0.1", "[::1]:8686"])
async def test_this_machine_s_own_names_are_answered(tmp_path: Path, host: str) -> None:
    async with opened(tmp_path) as office:
        assert (await office.get("/api/v1/runs", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:9999"])
async def test_another_site_s_page_cannot_send_anything(tmp_path: Path, origin: str) -> None:
    async with opened(tmp_path) as office:
        run_id = await office.start()
        refused = await office.post(f"/api/v1/runs/{run_id}/pause", headers={"Origin": origin})
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:nightmail:problem:origin")
        assert (await office.client.status(run_id)).state == "open"


async def test_browsers_are_told_to_be_careful(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        for answer in (await office.get("/api/v1/runs"), await office.get("/", headers={"Host": "x"})):
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert answer.headers["cache-control"] == "no-store"


async def test_a_body_that_is_too_large_is_refused_told_or_not(tmp_path: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 100

    async with opened(tmp_path, settings=Settings(max_body=1000)) as office:
        json = {"Content-Type": "application/json"}
        told = await office.post("/api/v1/runs", content=b"x" * 1001, headers=json)
        untold = await office.post("/api/v1/runs", content=pieces(), headers=json)
        assert [told.status_code, untold.status_code] == [413, 413]
        assert untold.json()["type"] == "urn:nightmail:problem:too-large"


async def test_a_body_that_does_not_come_is_not_waited_for(tmp_path: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async with opened(tmp_path, settings=Settings(body_timeout=0.02)) as office:
        answer = await office.post(
            "/api/v1/runs", content=pieces(), headers={"Content-Type": "application/json"}
        )
        assert (answer.status_code, answer.json()["type"]) == (408, "urn:nightmail:problem:too-slow")
