"""Schedules by their page: made, changed, paused, started, removed; by administrators only."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from nightmail.core.scope import Scope
from nightmail.web.settings import Settings
from tests.web.desk import Office, opened
from tests.web.pages.test_visit import HTML, form_token


@asynccontextmanager
async def office_with_folders(tmp_path: Path) -> AsyncIterator[Office]:
    for name in ("in", "out", "tasks"):
        (tmp_path / name).mkdir()
    (tmp_path / "in" / "rows.jsonl").write_text(json.dumps({"id": "a", "text": "b"}) + "\n")
    settings = Settings(
        sources=(str(tmp_path / "in"),), outputs=(str(tmp_path / "out"),), tasks=(str(tmp_path / "tasks"),)
    )
    async with opened(tmp_path, settings=settings) as office:
        office.http.headers.update(HTML)
        (tmp_path / "tasks" / "colours.py").write_text(office.task.read_text())
        yield office


def nightly(tmp_path: Path, **changes: str) -> dict[str, str]:
    return {
        "name": "nightly",
        "task": str(tmp_path / "tasks" / "colours.py"),
        "when": "times",
        "cron": "0 2 * * *",
        "time_zone": "Europe/Berlin",
        "place": str(tmp_path / "in" / "rows.jsonl"),
        "output": str(tmp_path / "out" / "{date}.jsonl"),
        "budget": "5",
        **changes,
    }


async def sent(office: Office, path: str, fields: dict[str, str]) -> httpx2.Response:
    """The form, as a browser sends it from its page."""
    token = form_token((await office.get("/schedules/new")).text)
    return await office.post(path, data={**fields, "form_token": token})


async def test_a_schedule_is_made_changed_paused_started_and_removed(tmp_path: Path) -> None:
    async with office_with_folders(tmp_path) as office:
        made = await sent(office, "/schedules/new", nightly(tmp_path))
        assert (made.status_code, made.headers["location"]) == (303, "/schedules#nightly"), made.text
        page = (await office.get("/schedules")).text
        assert "0 2 * * *" in page
        assert "Nothing yet." in page

        form = (await office.get("/schedules/nightly/edit")).text
        assert re.search(r'name="budget" value="5"', form)
        assert re.search(r'name="time_zone" value="Europe/Berlin"', form)
        changed = nightly(tmp_path, cron="30 3 * * *", budget="", limit="7")
        assert (await sent(office, "/schedules/nightly/edit", changed)).status_code == 303
        spec = (await office.client.schedules.read("nightly")).spec
        assert (spec.cron, spec.options.get("budget"), spec.options["limit"]) == ("30 3 * * *", None, 7)

        for verb, paused in (("pause", True), ("resume", False)):
            assert (await sent(office, f"/schedules/nightly/{verb}", {})).status_code == 303
            assert (await office.client.schedules.read("nightly")).paused is paused
        started = await sent(office, "/schedules/nightly/run", {})
        (occurrence,) = (await office.client.schedules.read("nightly")).occurrences
        assert started.headers["location"] == f"/runs/{occurrence.run_id}"
        assert f'href="/runs/{occurrence.run_id}"' in (await office.get("/schedules")).text
        assert (await sent(office, "/schedules/nightly/remove", {})).status_code == 303
        assert "There are none." in (await office.get("/schedules")).text


async def test_what_is_wrong_with_it_is_told_on_the_form_with_what_was_filled_in(tmp_path: Path) -> None:
    async with office_with_folders(tmp_path) as office:
        wrongs: list[tuple[dict[str, str], str]] = [
            ({"cron": "not cron"}, "has 2 fields, not 5"),
            ({"output": str(tmp_path / "out" / "same.jsonl")}, "put {date} into its name"),
            ({"time_zone": "Middle/Earth"}, "there is no time zone"),
            ({"limit": "many"}, "the limit is a number of records"),
            ({"budget": "much"}, "is no amount of US dollars"),
            ({"place": str(tmp_path / "home" / "nightmail.db")}, "not open to runs"),
            ({"output": str(tmp_path / "in" / "{date}.jsonl")}, "not open to runs"),
            ({"task": str(tmp_path / "colours.py")}, "not open to runs"),
        ]
        for change, words in wrongs:
            answer = await sent(office, "/schedules/new", nightly(tmp_path, **change))
            assert answer.status_code in (404, 422), answer.text
            (said,) = re.findall(r'role="alert">(.*)</p>', answer.text)
            assert words in said.replace("&#39;", "'")
            assert 'value="nightly"' in answer.text
        assert (await office.post("/schedules/new", data=nightly(tmp_path))).status_code == 403
        assert await office.client.schedules.list() == []
        assert (await sent(office, "/schedules/new", nightly(tmp_path))).status_code == 303
        again = await sent(office, "/schedules/new", nightly(tmp_path))
        assert again.status_code == 409
        assert (await office.get("/schedules/nobody/edit")).status_code == 404


async def test_what_a_schedule_has_already_may_stay_and_what_the_form_has_not_stays(tmp_path: Path) -> None:
    async with office_with_folders(tmp_path) as office:
        options: dict[str, Any] = {"quotas": {"gpt-4o-mini": 5000}, "priority": 3}
        await office.client.schedules.add(
            "shut", str(office.task), tmp_path / "{date}.csv", source=office.rows(), cron="0 2 * * *",
            base_url="http://elsewhere", **options,
        )  # fmt: skip
        before = (await office.client.schedules.read("shut")).spec
        kept = nightly(
            tmp_path, task=before.task, place=before.source, output=before.output, cron="0 4 * * *", budget=""
        )
        assert (await sent(office, "/schedules/shut/edit", kept)).status_code == 303
        after = (await office.client.schedules.read("shut")).spec
        assert (after.cron, after.task, after.base_url) == ("0 4 * * *", before.task, "http://elsewhere")
        assert after.options["quotas"] == {"gpt-4o-mini": 5000}
        assert after.options["priority"] == 3


async def test_only_an_administrator_with_a_form_of_ours_changes_anything(tmp_path: Path) -> None:
    async with office_with_folders(tmp_path) as office:
        key = await office.client.keys.add("ours", scope=Scope.SUBMIT)
        await office.post("/sign-in", data={"key": key})
        for path in ("/schedules", "/schedules/new", "/schedules/nightly/edit"):
            assert (await office.get(path)).status_code == 403, path
        token = form_token((await office.get("/")).text)
        fields = {**nightly(tmp_path), "form_token": token}
        assert (await office.post("/schedules/new", data=fields)).status_code == 403
        assert await office.client.schedules.list() == []
        assert 'href="/schedules"' not in (await office.get("/")).text
