"""What the API says of a run before it is one."""

from __future__ import annotations

from pathlib import Path

from tests.web.desk import opened
from tests.web.test_start import DECLARED, RECORDS


async def test_a_plan_is_what_the_client_counts_and_leaves_no_run(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        body = {"task": DECLARED, "source": {"records": RECORDS}, "max_batch_requests": 2}
        answer = await office.post("/api/v1/plans", json=body)
        assert answer.status_code == 200, answer.text
        plan = answer.json()
        assert (plan["records"], plan["requests"], plan["batches"]) == (5, 5, 3)
        assert plan["tokens_min"] <= plan["tokens_mean"] <= plan["tokens_max"]
        assert float(plan["cost_usd"]["expected"]) < float(plan["sync_cost_usd"]["expected"])
        assert (await office.get("/api/v1/runs")).json()["runs"] == []


async def test_an_unknown_price_is_null(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        body = {"task": DECLARED | {"model": "our-own"}, "source": {"records": RECORDS}}
        plan = (await office.post("/api/v1/plans", json=body)).json()
        assert plan["cost_usd"] == {"low": None, "expected": None, "high": None}
        assert plan["models"][0]["exact"] is False


async def test_nobody_gets_more_of_a_queue_than_the_operator_has_set(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "nightmail.toml").write_text('[quotas]\n"gpt-4o-mini" = 1000\n')
    async with opened(tmp_path) as office:

        async def quota(asked: int) -> int:
            body = {"task": DECLARED, "source": {"records": RECORDS}, "quotas": {"gpt-4o-mini": asked}}
            return int((await office.post("/api/v1/plans", json=body)).json()["models"][0]["quota"])

        assert [await quota(asked) for asked in (500, 10**9)] == [500, 1000]
        body = {"task": DECLARED, "source": {"records": RECORDS}, "quotas": {"gpt-4o-mini": 10**9}}
        run = (await office.post("/api/v1/runs", json=body)).json()
        assert run["quotas"] == {"gpt-4o-mini": 1000}


async def test_who_may_only_read_makes_no_plan(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        key = await office.client.keys.add("ours", scope="read")
        headers = {"Authorization": f"Bearer {key}"}
        body = {"task": DECLARED, "source": {"records": RECORDS}}
        assert (await office.post("/api/v1/plans", json=body, headers=headers)).status_code == 403


async def test_a_plan_of_another_s_upload_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        keys = {name: await office.client.keys.add(name) for name in ("ours", "theirs")}
        ours, theirs = ({"Authorization": f"Bearer {key}"} for key in keys.values())
        kept = await office.post("/api/v1/uploads", content=b'{"text": "x"}\n', headers=ours)
        upload_id = kept.json()["upload_id"]
        where = f"/api/v1/uploads/{upload_id}"
        assert (await office.get(where, headers=ours)).json() == kept.json()
        assert (await office.get(where, headers=theirs)).status_code == 404
        body = {"task": DECLARED, "source": {"upload_id": upload_id}}
        assert (await office.post("/api/v1/plans", json=body, headers=ours)).status_code == 200
        assert (await office.post("/api/v1/plans", json=body, headers=theirs)).status_code == 422
