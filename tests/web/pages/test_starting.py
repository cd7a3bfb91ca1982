"""A run from a form: a file, a task, the plan, and only then the run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx2
import pytest

from nightmail.web.settings import Settings
from tests.web.desk import HOST, TASK, Office, opened
from tests.web.pages.visitor import HTML, actions, form_token, look, press, sign_in, words

ROWS = b'{"id": "a", "text": "moss"}\n{"id": "b", "text": "rust"}\n'
FIELDS = {
    "name": "Colours",
    "model": "gpt-4o-mini",
    "prompt": "Which colour\r\nhas {text}?",
    "output": "red, green\nblue",
}


async def planned(
    office: Office, *, file: tuple[str, bytes] | None = ("rows.jsonl", ROWS), **fields: str
) -> httpx2.Response:
    token = form_token(await look(office, "/runs/new"))
    return await office.post(
        "/runs/plan",
        data={"form_token": token, **fields},
        files={"file": file} if file else {"file": ("", b"")},
        headers={**HTML, "Origin": HOST},
    )


def carried(page: str) -> dict[str, str]:
    """The hidden fields of the page's first form that has an upload."""
    form = next(each for each in re.findall(r"<form.*?</form>", page, flags=re.S) if "upload_id" in each)
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))


async def test_the_plan_is_shown_and_nothing_is_started_before_somebody_says_so(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        plan = await planned(office, **FIELDS, budget="5", limit="2")
        assert plan.status_code == 200, plan.text
        said = words(plan.text)
        assert "Plan for Colours" in said
        assert "Records in rows.jsonl 2" in said
        assert re.search(r"Will cost about \$0\.0\d+", said)
        assert await office.client.runs() == []
        fields = {name: value for name, value in carried(plan.text).items() if name != "form_token"}
        answer = await press(office, plan.text, "/runs/new", **fields)
        (run,) = await office.client.runs()
        assert (answer.status_code, answer.headers["location"]) == (303, f"/runs/{run.run_id}")
        assert run.task_name == "Colours"
        spec = (await office.client.history.run(run.run_id)).spec
        assert (spec.budget_usd, spec.limit) == ("5", 2)
        declared = Path(spec.task).read_text()
        assert "Which colour\\nhas {text}?" in declared
        assert '"red"' in declared


async def test_a_plan_in_which_nothing_can_be_asked_has_no_cost_and_cannot_be_started(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        plan = await planned(office, **{**FIELDS, "prompt": "Which {nope}?"})
        said = words(plan.text)
        assert "Nothing would be sent" in said
        assert "no request can be made of 2 (build 2)" in said
        assert "Will cost" not in said
        assert actions(plan.text) == {"/runs/change"}


async def test_what_is_wrong_is_said_and_what_was_filled_in_stays(tmp_path: Path) -> None:
    async with opened(tmp_path) as office:
        wrong = await planned(office, **FIELDS, budget="a lot")
        assert wrong.status_code == 422
        assert "budget:" in words(wrong.text)
        assert "Which colour\nhas {text}?" in wrong.text
        assert "rows.jsonl is here already" in words(wrong.text)
        kept = carried(wrong.text)["upload_id"]
        again = await planned(office, file=None, **FIELDS, upload_id=kept, file_name="rows.jsonl")
        assert "Plan for Colours" in words(again.text)
        changed = await press(office, again.text, "/runs/change", **carried(again.text) | {"name": "Hues"})
        assert 'value="Hues"' in changed.text


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"file": None}, "choose a file"),
        ({"file": ("rows.xml", ROWS)}, "'rows.xml' is none of jsonl"),
        ({"file": ("rows.jsonl", b"")}, "the upload is empty"),
        ({"file": ("rows.jsonl", b"{")}, "not JSON"),
        ({"name": ""}, "name:"),
        ({"limit": "many"}, "limit:"),
        ({"mode": "fast"}, "mode:"),
        ({"output": "{"}, "output: not JSON"),
        ({"prompt": "{nothing}"}, "nothing"),
    ],
)
async def test_each_thing_that_can_be_wrong_is_named(
    tmp_path: Path, given: dict[str, Any], told: str
) -> None:
    async with opened(tmp_path) as office:
        answer = await planned(office, **{**FIELDS, **given})
        assert told in words(answer.text)
        assert await office.client.runs() == []


async def test_a_task_of_the_service_is_started_and_a_closed_one_is_not(tmp_path: Path) -> None:
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    (tasks / "colours.py").write_text(TASK)
    async with opened(tmp_path, settings=Settings(tasks=(str(tasks),))) as office:
        plan = await planned(office, task=f"{tasks}/colours.py")
        assert "Plan for Colours" in words(plan.text)
        closed = await planned(office, task=f"{office.task}")
        assert "is not there, or not open to runs" in words(closed.text)


async def test_another_tenant_s_upload_is_not_there_and_who_may_only_look_starts_nothing(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as office:
        ours, theirs = await office.client.keys.add("ours"), await office.client.keys.add("theirs")
        reader = await office.client.keys.add("ours", scope="read")
        await sign_in(office, ours)
        kept = carried((await planned(office, **FIELDS)).text)["upload_id"]
        await sign_in(office, theirs)
        answer = await planned(office, file=None, **FIELDS, upload_id=kept)
        assert "there is no upload" in words(answer.text)
        await sign_in(office, reader)
        assert (await office.get("/runs/new", headers=HTML)).status_code == 403
        token = form_token(await look(office, "/runs"))
        assert (await office.post("/runs/plan", data={"form_token": token})).status_code == 403
