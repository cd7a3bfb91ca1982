"""A webhook arrives at a real server, and the batch that it names is polled at once."""

import asyncio
import json
import socket
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime

import httpx2
import pytest
import uvicorn

from nightmail.client import Client
from nightmail.core.run import RunState
from nightmail.core.webhook import headers_of
from nightmail.simulator.process import start
from tests.web.desk_app import app_of

pytestmark = pytest.mark.end_to_end
SECRET = "whsec_c2VjcmV0IG9mIHNvbWUgbGVuZ3Ro"
TASK = """
import nightmail

class Colour(nightmail.Task):
    model = "gpt-4o-mini"
    def build(self, record):
        return record["text"]
"""
NEVER = 3600.0  # seconds between looks, so that only a webhook makes one within the test


async def test_the_batch_is_polled_when_the_webhook_comes(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_WEBHOOK_SECRET", SECRET)
    (tmp_path / "task.py").write_text(TASK)
    (tmp_path / "rows.jsonl").write_text('{"id": 1, "text": "red or blue?"}\n')
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, start(options=("--timing", "realistic")) as simulator:
        async with Client(tmp_path / "home", base_url=simulator.url, api_key="sk-test") as client:
            config = uvicorn.Config(app_of(client), log_level="warning", lifespan="off")
            server = uvicorn.Server(config)
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            run = await client.start(str(tmp_path / "task.py"), tmp_path / "rows.jsonl", poll_interval=NEVER)
            working = asyncio.create_task(client.work(run.run_id))
            looks = await looked_at(client)
            ended = await provider_ends(simulator)
            seconds = time.monotonic()
            body = json.dumps({"type": "batch.completed", "data": {"id": ended}}).encode()
            headers = headers_of(SECRET, message_id="wh_1", at=datetime.now(UTC), body=body)
            async with httpx2.AsyncClient() as http:
                port = listener.getsockname()[1]
                url = f"http://127.0.0.1:{port}/webhooks/openai"
                answer = await http.post(url, content=body, headers=headers)
            assert answer.status_code == 204
            await looked_at(client, more_than=looks)
            print(f"looked at {time.monotonic() - seconds:.3f} s after the webhook")
            assert (await working).state is RunState.FINISHED
            server.should_exit = True
            await serving


async def looked_at(client, more_than=0):
    """Return when there has been another look, how many there were: the next would be in an hour."""
    with closing(sqlite3.connect(client.settings.home / "nightmail.db")) as database:
        while True:
            found = database.execute("SELECT polls FROM batches").fetchone()
            if found is not None and found[0] > more_than:
                return found[0]
            await asyncio.sleep(0.01)


async def provider_ends(simulator):
    """The id of the provider's batch, once it has ended there: hours pass at each look."""
    async with httpx2.AsyncClient(headers={"authorization": "Bearer sk-test"}) as http:
        while True:
            found = (await http.get(f"{simulator.url}/batches")).json()["data"]
            if found and found[0]["status"] == "completed":
                return found[0]["id"]
            await asyncio.to_thread(simulator.post, "/_simulator/clock", {"advance": 3600})
