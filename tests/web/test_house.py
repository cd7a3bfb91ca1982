"""What only an administrator is let do and see: keys, the doctor, everybody's notices."""

from __future__ import annotations

from pathlib import Path

import pytest

from nightmail.core.scope import Scope
from nightmail.worker.noticing import Noticing
from tests.web.desk import Office, opened
from tests.web.test_keys import bearer


async def admin_of(office: Office) -> dict[str, str]:
    return bearer(await office.client.keys.add("house", scope=Scope.ADMIN))


async def test_a_key_made_by_the_api_is_good_until_it_is_revoked(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        admin = await admin_of(office)
        asked = {"tenant": "ours", "scope": "read", "budget": "5", "share": 0.25}
        made = await office.post("/api/v1/keys", json=asked, headers=admin)
        assert made.status_code == 201
        key = made.json()["key"]
        listed = (await office.get("/api/v1/keys", headers=admin)).json()["keys"]
        assert [(each["tenant"], each["scope"]) for each in listed] == [("house", "admin"), ("ours", "read")]
        assert key.rpartition("_")[2] not in (await office.get("/api/v1/keys", headers=admin)).text
        assert (await office.get("/api/v1/runs", headers=bearer(key))).status_code == 200
        where = f"/api/v1/keys/{key.split('_')[1]}"
        assert (await office.http.delete(where, headers=admin)).status_code == 204
        assert (await office.http.delete(where, headers=admin)).status_code == 404
    async with opened(tmp_path) as office:
        assert (await office.get("/api/v1/runs", headers=bearer(key))).status_code == 401
        (tenant,) = [each for each in await office.client.keys.tenants() if each.name == "ours"]
        assert (tenant.budget_pusd, tenant.share) == (5 * 10**12, 0.25)


async def test_a_budget_of_nothing_is_refused_in_words(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        answer = await office.post("/api/v1/keys", json={"tenant": "ours", "budget": "0.0"})
        assert (answer.status_code, "more than 0" in answer.json()["detail"]) == (422, True)


@pytest.mark.parametrize("scope", [Scope.READ, Scope.SUBMIT])
async def test_others_are_not_let_in(tmp_path: Path, scope: Scope) -> None:
    async with opened(tmp_path) as office:
        headers = bearer(await office.client.keys.add("ours", scope=scope))
        for path in ("/api/v1/keys", "/api/v1/doctor", "/api/v1/notices"):
            assert (await office.get(path, headers=headers)).status_code == 403, path
        asked = {"tenant": "ours", "scope": "admin"}
        assert (await office.post("/api/v1/keys", json=asked, headers=headers)).status_code == 403


async def test_the_doctor_looks_and_changes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        (tmp_path / "home" / "spool" / "runs" / "lost-0000").mkdir(parents=True)
        first, second = [(await office.get("/api/v1/doctor")).json() for _ in range(2)]
        assert first == second
        assert (first["left"], first["findings"][0]["kind"]) == (1, "lost_folder")


async def test_a_tenant_sees_the_notices_of_its_own_runs(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    told = '[[notify]]\nname = "desk"\nurl_env = "DESK_URL"\nsecret_env = "DESK_SECRET"\n'
    (tmp_path / "home" / "nightmail.toml").write_text(told)
    desk = {"DESK_URL": "http://127.0.0.1:9", "DESK_SECRET": "whsec_" + "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"}
    async with opened(tmp_path) as office:
        ours = bearer(await office.client.keys.add("ours"))
        theirs = bearer(await office.client.keys.add("theirs"))
        admin = await admin_of(office)
        noticing, _ = office.client.hooks.loops(environment=desk)
        assert isinstance(noticing, Noticing)
        await noticing.look()
        run_id = await office.start(tenant="ours")
        await office.client.cancel(run_id)
        await office.client.work(run_id)
        await noticing.look()
        where = f"/api/v1/runs/{run_id}/notices"
        (notice,) = (await office.get(where, headers=ours)).json()["notices"]
        assert (notice["kind"], notice["run_id"]) == ("run_cancelled", run_id)
        assert [each["channel"] for each in notice["told"]] == ["desk"]
        assert (await office.get(where, headers=theirs)).status_code == 404
        assert (await office.get("/api/v1/notices", headers=admin)).json()["notices"] == [notice]
