"""The failures file appears whole, also where two workers write it at once: one has lost its lease, and does
not know it yet."""

import asyncio
import json
from dataclasses import replace

from nightmail.stages import failures
from nightmail.testing.desk import Desk
from nightmail.testing.provider import ScriptedProvider, row


def refused(custom_id, body, times):
    return row(custom_id, status=400, body={"error": {"message": "no", "code": "bad"}})


async def test_two_who_write_it_at_once_write_it_whole_and_leave_nothing_beside_it(tmp_path, monkeypatch):
    monkeypatch.setattr(failures, "PAGE", 2)
    desk = Desk(tmp_path, ScriptedProvider(refused))
    kept = []
    await desk.drive(wrap=lambda ports: kept.append(ports) or ports)
    store = await desk.store()
    ports = replace(kept[0], store=store)
    run = await store.runs.read(ports.run_id)
    before = sorted(path.name for path in tmp_path.iterdir())

    path = tmp_path / "out.failures.jsonl"
    path.unlink()
    counts = await asyncio.gather(*(failures.write_failures(ports, run, path) for _ in range(3)))
    await store.close()

    assert counts == [6, 6, 6]
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == [f"r{n}" for n in range(6)]
    assert sorted(path.name for path in tmp_path.iterdir()) == before
