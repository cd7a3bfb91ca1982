"""With keys, each tenant is alone in the house."""

from __future__ import annotations

import asyncio
import io
import logging
from pathlib import Path

import pytest

from nightmail.core.scope import Scope
from nightmail.web.settings import Settings
from tests.web.desk import PATIENCE, Office, opened


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def two_tenants(office: Office) -> tuple[str, str]:
    return await office.client.keys.add("ours"), await office.client.keys.add("theirs")


async def test_without_keys_this_machine_needs_none_and_with_one_it_does(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        assert (await office.get("/api/v1/runs")).status_code == 200
    async with opened(tmp_path) as office:
        key = await office.client.keys.add("ours")
        refused = await office.get("/api/v1/runs")
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        assert (await office.get("/api/v1/runs", headers=bearer(key))).status_code == 200
        assert (await office.get("/healthz")).status_code == 200


async def test_where_others_can_reach_it_no_key_means_no_answer(tmp_path: Path) -> None:
    async with opened(tmp_path, local=False) as office:
        assert (await office.get("/api/v1/runs")).status_code == 401


@pytest.mark.parametrize("wrong", ["", "nm_", "Bearer", "sk-1", "nm_" + "0" * 16 + "_" + "0" * 64])
async def test_a_wrong_key_is_refused(tmp_path: Path, wrong: str) -> None:
    async with opened(tmp_path) as office:
        await office.client.keys.add("ours")
        assert (await office.get("/api/v1/runs", headers=bearer(wrong))).status_code == 401


async def test_a_secret_with_another_key_s_id_and_a_revoked_key_are_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        ours, theirs = await two_tenants(office)
        mixed = f"{ours.rpartition('_')[0]}_{theirs.rpartition('_')[2]}"
        assert (await office.get("/api/v1/runs", headers=bearer(mixed))).status_code == 401
        await office.client.keys.revoke(theirs.split("_")[1])
    async with opened(tmp_path) as office:
        assert (await office.get("/api/v1/runs", headers=bearer(theirs))).status_code == 401
        assert (await office.get("/api/v1/runs", headers=bearer(ours))).status_code == 200


async def test_a_stream_ends_when_its_key_is_revoked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nightmail.web.keys.REFRESH", 0.0)
    async with opened(tmp_path) as office:
        key, other = await two_tenants(office)
        run_id = await office.start(tenant="ours")
        looked, status = asyncio.Event(), office.client.status

        async def seen(run_id: str) -> object:
            looked.set()
            return await status(run_id)

        monkeypatch.setattr(office.client, "status", seen)
        async with asyncio.timeout(PATIENCE):
            watching = asyncio.create_task(office.get(f"/api/v1/runs/{run_id}/watch", headers=bearer(key)))
            await looked.wait()
            await office.client.keys.revoke(key.split("_")[1])
            watched = await watching
        assert (watched.status_code, "event: end" in watched.text) == (200, False)
        assert (await office.get("/api/v1/runs", headers=bearer(other))).status_code == 200


async def test_each_sees_only_its_own_runs_and_admin_sees_all(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        ours, theirs = await two_tenants(office)
        admin = await office.client.keys.add("house", scope=Scope.ADMIN)
        own, other = (
            await office.start("a.jsonl", tenant="ours"),
            await office.start("b.jsonl", tenant="theirs"),
        )
        nobodys = await office.start("c.jsonl")

        async def seen(key: str) -> set[str]:
            listed = (await office.get("/api/v1/runs", headers=bearer(key))).json()["runs"]
            return {run["run_id"] for run in listed}

        assert await seen(ours) == {own}
        assert await seen(theirs) == {other}
        assert await seen(admin) == {own, other, nobodys}
        assert (await office.get(f"/api/v1/runs/{own}", headers=bearer(ours))).status_code == 200
        for hidden in (other, nobodys):
            answer = await office.get(f"/api/v1/runs/{hidden}", headers=bearer(ours))
            absent = await office.get("/api/v1/runs/nobody-0000", headers=bearer(ours))
            assert (answer.status_code, answer.json()) == (404, absent.json())


async def test_the_same_work_of_two_tenants_is_two_runs(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        assert await office.start(tenant="ours") != await office.start(tenant="theirs")
        assert await office.start(tenant="ours") == await office.start(tenant="ours")


async def test_a_key_is_nowhere_but_with_its_owner(tmp_path: Path) -> None:
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    logging.getLogger().addHandler(handler)
    try:
        async with opened(tmp_path) as office:
            key = await office.client.keys.add("ours")
            answers = [
                await office.get("/api/v1/runs", headers=bearer(key)),
                await office.get("/api/v1/runs?limit=x", headers=bearer(key)),
                await office.get(f"/api/v1/runs/{key}", headers=bearer(key)),
                await office.get("/api/v1/runs", headers=bearer(key + "0")),
            ]
    finally:
        logging.getLogger().removeHandler(handler)
    secret = key.rpartition("_")[2]
    assert all(secret not in answer.text for answer in answers)
    assert secret not in said.getvalue()
    kept = b"".join(path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file())
    assert secret.encode() not in kept
    assert b"sk-test" not in kept, "nor is the provider's"
    assert b"ours" in kept


async def test_who_asks_too_often_waits_and_others_do_not(tmp_path: Path) -> None:
    slow = Settings(requests_per_second=0.001, burst=2)
    async with opened(tmp_path, settings=slow) as office:
        ours, theirs = await two_tenants(office)
        codes = [(await office.get("/api/v1/runs", headers=bearer(ours))).status_code for _ in range(3)]
        assert codes == [200, 200, 429]
        refused = await office.get("/api/v1/runs", headers=bearer(ours))
        assert int(refused.headers["retry-after"]) > 900
        assert (await office.get("/api/v1/runs", headers=bearer(theirs))).status_code == 200


async def test_guessing_keys_is_slowed_down(tmp_path: Path) -> None:
    async with opened(tmp_path, settings=Settings(wrong_keys_per_minute=2)) as office:
        await office.client.keys.add("ours")
        wrong = bearer("nm_" + "0" * 16 + "_" + "0" * 64)
        codes = [(await office.get("/api/v1/runs", headers=wrong)).status_code for _ in range(3)]
        assert codes == [401, 401, 429]


async def test_with_a_key_any_name_of_the_service_is_answered(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        named = {"Host": "batch.example.org"}
        assert (await office.get("/api/v1/runs", headers=named)).status_code == 421
        key = await office.client.keys.add("ours")
    async with opened(tmp_path) as office:
        assert (await office.get("/api/v1/runs", headers={**named, **bearer(key)})).status_code == 200


async def test_the_figures_of_all_are_for_who_sees_all(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        assert (await office.get("/metrics")).status_code == 200
        ours, admin = (
            await office.client.keys.add("ours"),
            await office.client.keys.add("house", scope="admin"),
        )
    async with opened(tmp_path) as office:
        assert (await office.get("/metrics")).status_code == 401
        assert (await office.get("/metrics", headers=bearer(ours))).status_code == 403
        assert (await office.get("/metrics", headers=bearer(admin))).status_code == 200
