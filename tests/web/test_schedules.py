"""Schedules by the API: made, looked at, changed, within the folders that the operator has opened."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nightmail.core.scope import Scope
from nightmail.web.settings import Settings
from tests.web.desk import Office, opened
from tests.web.test_start import DECLARED, RECORDS


@asynccontextmanager
async def office_with_folders(tmp_path: Path) -> AsyncIterator[Office]:
    for name in ("in", "out", "shut"):
        (tmp_path / name).mkdir()
    (tmp_path / "in" / "rows.jsonl").write_text("".join(json.dumps(each) + "\n" for each in RECORDS))
    settings = Settings(sources=(str(tmp_path / "in"),), outputs=(str(tmp_path / "out"),))
    async with opened(tmp_path, settings=settings) as office:
        yield office


def nightly(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    return {
        "name": "nightly",
        "task": DECLARED,
        "source": str(tmp_path / "in" / "rows.jsonl"),
        "output": str(tmp_path / "out" / "colours-{date}.jsonl"),
        "cron": "0 2 * * *",
        "time_zone": "Europe/Berlin",
        "budget": "5",
        **changes,
    }


async def test_a_schedule_is_made_read_paused_started_and_removed(tmp_path: Path) -> None:
    async with office_with_folders(tmp_path) as office:
        where = "/api/v1/schedules"
        made = await office.post(where, json=nightly(tmp_path))
        assert made.status_code == 201, made.text
        assert made.json()["options"]["budget"] == "5"
        assert (await office.get(where)).json()["schedules"] == [made.json()]
        assert (await office.post(where, json=nightly(tmp_path))).status_code == 409
        changed = await office.post(where, json=nightly(tmp_path, cron="0 3 * * *", replace=True))
        assert changed.json()["cron"] == "0 3 * * *"

        one = f"{where}/nightly"
        assert (await office.post(f"{one}/pause")).json()["next_due_at"] is None
        assert (await office.post(f"{one}/resume")).json()["next_due_at"] is not None
        run = (await office.post(f"{one}/run")).json()
        assert run["state"] == "open"
        assert (await office.post(f"{one}/run")).json()["run_id"] == run["run_id"]
        (occurrence,) = (await office.get(one)).json()["occurrences"]
        assert (occurrence["run_id"], occurrence["is_open"]) == (run["run_id"], True)
        assert (await office.http.delete(one)).status_code == 204
        for gone in (await office.get(one), await office.post(f"{one}/pause")):
            assert (gone.status_code, gone.json()["detail"]) == (404, "there is no such schedule")


async def test_a_folder_can_be_watched(tmp_path: Path) -> None:
    async with office_with_folders(tmp_path) as office:
        asked = nightly(tmp_path, source=None, cron=None, watch=str(tmp_path / "in"))
        made = await office.post("/api/v1/schedules", json=asked)
        assert (made.status_code, made.json()["cron"]) == (201, None)


@pytest.mark.parametrize(
    "place",
    ["/etc/passwd", "{shut}/rows.jsonl", "{in}/../shut/rows.jsonl", "{in}/*/../../shut/*.jsonl", "rows.jsonl",
     "{in}/way/*.jsonl", "{in}/\0.jsonl"],
)  # fmt: skip
async def test_it_reads_and_writes_only_where_the_operator_lets_it(tmp_path: Path, place: str) -> None:
    async with office_with_folders(tmp_path) as office:
        for name in ("in", "out"):
            (tmp_path / name / "way").symlink_to(tmp_path / "shut")
            folders = {"in": str(tmp_path / name), "shut": str(tmp_path / "shut")}
            where = place.format(**folders)
            asked = nightly(tmp_path, **({"source": where} if name == "in" else {"output": where}))
            answer = await office.post("/api/v1/schedules", json=asked)
            # A zero byte is refused by its form already.
            assert answer.status_code in (404, 422), answer.text
        assert (await office.get("/api/v1/schedules")).json() == {"schedules": []}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"cron": "0 2 * *"}, "5"),
        ({"time_zone": "Mars/Olympus"}, "time zone"),
        ({"cron": None}, "either a source"),
        ({"deadline": "soon"}, "like 6h"),
    ],
)
async def test_what_is_wrong_with_it_is_said(tmp_path: Path, wrong: dict[str, Any], said: str) -> None:
    async with office_with_folders(tmp_path) as office:
        answer = await office.post("/api/v1/schedules", json=nightly(tmp_path, **wrong))
        assert (answer.status_code, said in answer.json()["detail"]) == (422, True), answer.text


async def test_they_are_for_administrators(tmp_path: Path) -> None:
    async with office_with_folders(tmp_path) as office:
        key = await office.client.keys.add("ours")
        admin = await office.client.keys.add("house", scope=Scope.ADMIN)

        async def status(shown: str) -> int:
            return (
                await office.get("/api/v1/schedules", headers={"Authorization": f"Bearer {shown}"})
            ).status_code

        assert [await status(key), await status(admin)] == [403, 200]
