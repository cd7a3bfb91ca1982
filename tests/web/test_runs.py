"""What the API says of runs."""

from __future__ import annotations

from pathlib import Path

from tests.web.desk import opened


async def test_a_run_is_listed_and_read_as_the_command_line_has_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        run_id = await office.start(priority=2)
        listed = (await office.get("/api/v1/runs")).json()
        read = (await office.get(f"/api/v1/runs/{run_id}")).json()
        assert listed == {"runs": [read], "next": None}
        assert read["run_id"] == run_id
        assert (read["state"], read["mode"], read["priority"], read["open"]) == ("open", "batch", 2, 0)


async def test_runs_come_in_pages_the_newest_first(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        started = [await office.start(f"rows{n}.jsonl") for n in range(5)]
        first = (await office.get("/api/v1/runs?limit=2")).json()
        second = (await office.get(f"/api/v1/runs?limit=2&before={first['next']}")).json()
        third = (await office.get(f"/api/v1/runs?limit=2&before={second['next']}")).json()
        pages = [[run["run_id"] for run in page["runs"]] for page in (first, second, third)]
        assert pages == [started[:2:-1], started[2:0:-1], started[:1]]
        assert third["next"] is None


async def test_what_is_not_there_is_a_problem_that_tells_of_no_other_run(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        other = await office.start()
        answer = await office.get("/api/v1/runs/nobody-0000")
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json() == {
            "type": "urn:nightmail:problem:not-found",
            "title": "Not Found",
            "status": 404,
            "detail": "there is no such run",
        }
        assert other not in answer.text


async def test_a_wrong_argument_is_named_and_not_repeated(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        answer = await office.get("/api/v1/runs?limit=sk-secret")
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["at"] == "query.limit"
        assert "sk-secret" not in answer.text


async def test_an_unknown_path_and_a_wrong_method_are_problems_too(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        assert (await office.get("/api/v1/nothing")).json()["status"] == 404
        refused = await office.http.put("/api/v1/runs")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, POST")
        assert refused.json()["type"] == "urn:nightmail:problem:method-not-allowed"
