"""What is asked again, what is not, and what is left when the network breaks."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nightmail.config import Server
from nightmail.errors import (
    ConfigError,
    NotNow,
    ServiceUnreachable,
    SourceError,
    TaskError,
    UnknownRun,
)
from nightmail.remote.calls import TRIES
from nightmail.remote.client import Remote
from nightmail.remote.files import CHUNK
from nightmail.testing import ManualClock
from nightmail.web.api.views import run_shown
from tests.cli.made import finished, status
from tests.remote.script import Script, answer, playing, problem, told

RUN_ID = "topics-7f3a"
OPEN = json.loads(run_shown(status(output=None, failures=None)).model_dump_json())
DONE = json.loads(run_shown(finished(output=None, failures=None)).model_dump_json())
KEY = "nm_0f0f_" + "5" * 64


@asynccontextmanager
async def asking(*lines: bytes | int | None) -> AsyncIterator[tuple[Remote, Script, list[str]]]:
    said: list[str] = []
    async with (
        playing(*lines) as script,
        Remote(Server(url=script.url, api_key=KEY), told=said.append, clock=ManualClock()) as remote,
    ):
        yield remote, script, said


async def test_a_question_without_an_answer_is_asked_again() -> None:
    away = (None, problem(503, "store"), answer(502, b"<html>", content_type="text/html"))
    async with asking(*away, answer(200, OPEN)) as (remote, script, _):
        assert (await remote.status(RUN_ID)).run_id == RUN_ID
        assert [each.path for each in script.asked] == [f"/api/v1/runs/{RUN_ID}"] * 4
        assert {each.headers["authorization"] for each in script.asked} == {f"Bearer {KEY}"}


async def test_after_some_tries_it_is_given_up() -> None:
    async with asking(*[None] * TRIES) as (remote, script, _):
        with pytest.raises(ServiceUnreachable, match="does not answer"):
            await remote.status(RUN_ID)
        assert len(script.asked) == TRIES


async def test_what_would_be_done_twice_is_sent_once() -> None:
    for wish in ("retry", "revalidate"):
        async with asking(None) as (remote, script, _):
            with pytest.raises(ServiceUnreachable, match="may have been done"):
                await getattr(remote, wish)(RUN_ID)
            assert len(script.asked) == 1
    async with asking(None) as (remote, script, _):
        with pytest.raises(ServiceUnreachable, match="may have been done"):
            await remote.keys.add("ours")
        assert len(script.asked) == 1


async def test_what_can_be_done_twice_is_sent_again() -> None:
    async with asking(None, answer(200, OPEN)) as (remote, script, _):
        await remote.pause(RUN_ID)
        assert [each.method for each in script.asked] == ["POST", "POST"]


async def test_who_was_one_of_too_many_waits_as_long_as_told_whatever_it_was() -> None:
    async with asking(problem(429, "rate", retry_after="7"), answer(200, {"records": 3, "run": DONE})) as (
        remote, _, _,
    ):  # fmt: skip
        before = remote._clock.now()
        assert await remote.retry(RUN_ID) == 3
        assert (remote._clock.now() - before).total_seconds() == 7


async def test_nobody_waits_for_an_hour() -> None:
    async with asking(problem(429, "rate", retry_after="3600")) as (remote, _, _):
        with pytest.raises(ServiceUnreachable, match="it is rate"):
            await remote.status(RUN_ID)


async def test_a_key_that_was_deleted_without_an_answer_is_deleted() -> None:
    async with asking(None, problem(404, "not-found")) as (remote, _, _):
        await remote.keys.revoke("0f0f")
    async with asking(problem(404, "not-found")) as (remote, _, _):
        with pytest.raises(ConfigError, match="0f0f"):
            await remote.keys.revoke("0f0f")


async def test_the_key_goes_to_no_other_address() -> None:
    async with playing() as other, asking(answer(307, b"", location=other.url)) as (remote, _, _):
        with pytest.raises(ServiceUnreachable, match="answers 307"):
            await remote.status(RUN_ID)
        assert other.asked == []


async def test_a_page_of_something_else_is_no_service() -> None:
    async with asking(answer(200, b"<html>hello</html>")) as (remote, _, _):
        with pytest.raises(ServiceUnreachable, match="not answer as a nightmail service"):
            await remote.status(RUN_ID)


async def test_what_is_not_there_is_named() -> None:
    async with asking(*[problem(404, "not-found")] * 3) as (remote, script, _):
        with pytest.raises(UnknownRun, match=f"'a/b' at {script.url}"):
            await remote.status("a/b")
        assert script.asked[0].path == "/api/v1/runs/a%2Fb"
        with pytest.raises(ConfigError, match="no schedule 'nightly'"):
            await remote.schedules.pause("nightly")


async def test_an_upload_that_is_cut_is_sent_again_whole(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_bytes(b'{"id": 1, "text": "x"}\n' * 40_000)
    digest = hashlib.sha256(rows.read_bytes()).hexdigest()[:32]
    task = tmp_path / "task.json"
    task.write_text(json.dumps({"name": "t", "model": "m", "prompt": "{text}"}))
    kept = answer(201, {"upload_id": f"{digest}.jsonl", "bytes": rows.stat().st_size})
    lines = (problem(404, "not-found"), CHUNK, kept, answer(201, OPEN), answer(200, {}), answer(201, OPEN))
    async with asking(*lines) as (remote, script, said):
        await remote.start(str(task), rows)
        _, cut, whole, start = script.asked
        assert len(cut.body) < len(whole.body) == rows.stat().st_size
        assert (whole.path, whole.body) == ("/api/v1/uploads?format=jsonl", rows.read_bytes())
        assert msgspec.json.decode(start.body)["source"] == {"upload_id": [f"{digest}.jsonl"]}
        assert len(said) == 1
        await remote.start(str(task), rows)
        assert [each.method for each in script.asked[4:]] == ["GET", "POST"], "it is there already"


async def test_a_file_that_is_cut_is_brought_again_and_leaves_nothing(tmp_path: Path) -> None:
    whole = answer(200, b"line\n" * 1000)
    output = tmp_path / "out.jsonl"
    (tmp_path / "out.failures.jsonl").write_text("of an earlier time")
    async with asking(answer(200, DONE), whole[:-7], None, whole, answer(200, b"")) as (remote, _, _):
        await remote.export(output, RUN_ID)
    assert output.read_bytes() == b"line\n" * 1000
    assert list(tmp_path.iterdir()) == [output]

    async with asking(answer(200, DONE), *[whole[:-7]] * TRIES) as (remote, _, _):
        with pytest.raises(ServiceUnreachable, match="could not be brought"):
            await remote.export(tmp_path / "other.csv", RUN_ID)
    assert list(tmp_path.iterdir()) == [output]


async def test_what_is_wrong_with_a_file_is_said_with_its_name_here(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("{}\n")
    there = f"/srv/spool/uploads/ours/{hashlib.sha256(rows.read_bytes()).hexdigest()[:32]}.jsonl"
    said = {"type": "urn:nightmail:problem:source", "detail": f"{there}:1: no text"}
    async with asking(answer(200, {"upload_id": Path(there).name}), answer(422, said)) as (remote, _, _):
        with pytest.raises(SourceError) as refused:
            await remote.plan("tasks:Colours", rows)
    assert str(refused.value).startswith(f"{rows}:1: no text")


async def watched(remote: Remote) -> list[str]:
    async with asyncio.timeout(30):
        return [each.state.value async for each in remote.watch(RUN_ID)]


async def test_a_watch_goes_on_when_the_service_is_back() -> None:
    lines = [
        answer(200, OPEN), told(("run", OPEN)), None, answer(502, b""), problem(503, "store"),
        told(("run", OPEN), ("run", DONE), ("end", {})),
    ]  # fmt: skip
    async with asking(*lines) as (remote, _, said):
        assert await watched(remote) == ["draining", "draining", "draining", "finished"]
        assert len(said) == 1, "it is said once"
        assert "trying again" in said[0]


async def test_a_service_that_is_away_for_long_is_given_up() -> None:
    async with asking(answer(200, OPEN), *[None] * 200) as (remote, script, said):
        with pytest.raises(ServiceUnreachable, match="has not answered for 10 minutes"):
            await watched(remote)
        assert 100 < len(script.asked) < 200
        assert len(said) == 1


async def test_a_watch_ends_at_a_pause_and_at_a_run_that_is_gone() -> None:
    paused = {**OPEN, "state": "paused", "pause_reason": "user"}
    async with asking(answer(200, OPEN), told(("run", paused))) as (remote, _, _):
        assert await watched(remote) == ["draining", "paused"]
    async with asking(answer(200, DONE)) as (remote, _, _):
        assert await watched(remote) == ["finished"]
    async with asking(answer(200, OPEN), problem(404, "not-found")) as (remote, _, _):
        with pytest.raises(UnknownRun):
            await watched(remote)


async def test_a_run_that_is_put_off_ends_a_watch_if_somebody_here_has_to_mend_it() -> None:
    later = {"error": "ProviderUnavailable", "message": "no connection"}
    wrong = {"error": "TaskError", "message": "no such class"}
    lines = (answer(200, OPEN), told(("run", OPEN), ("put_off", later), ("put_off", wrong)))
    async with asking(*lines) as (remote, script, said):
        with pytest.raises(TaskError, match=f"no such class .*cancel {RUN_ID} --server {script.url}"):
            await watched(remote)
        assert "no connection" in said[0]
    ending = (answer(200, OPEN), *lines[:1], told(("put_off", wrong), ("run", DONE), ("end", {})))
    async with asking(*ending) as (remote, _, _):
        await remote.cancel(RUN_ID)
        assert (await watched(remote))[-1] == "finished"


async def test_a_refused_wish_is_the_home_s_own_error() -> None:
    async with asking(problem(409, "not-now")) as (remote, _, _):
        with pytest.raises(NotNow):
            await remote.retry(RUN_ID)


async def test_of_a_long_list_every_page_is_asked_for() -> None:
    pages: list[Any] = [
        {"runs": [{**OPEN, "run_id": f"r-{n}"}], "next": f"r-{n}" if n else None} for n in (2, 1, 0)
    ]
    async with asking(*[answer(200, page) for page in pages]) as (remote, script, _):
        assert [each.run_id for each in await remote.runs()] == ["r-0", "r-1", "r-2"]
        assert [each.path for each in script.asked][1:] == [
            f"/api/v1/runs?limit=500&before=r-{n}" for n in (2, 1)
        ]
