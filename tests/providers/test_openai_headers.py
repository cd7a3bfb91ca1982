"""Our requests beside those of the official client, as a server sees them."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import openai
import pytest
from tests.providers.bare_server import KEY, http, opened, served

from nightmail.core.request import Endpoint
from nightmail.errors import ConfigError
from nightmail.providers.openai.adapter import OpenAIProvider
from nightmail.providers.openai.headers import headers_for

# Does for a batch, a list of none, and an answer.
BATCH = b'{"id":"batch_1","object":"batch","status":"validating","input_file_id":"file-1","data":[]}'
FILE = b'{"id":"file-1","object":"file","bytes":6,"filename":"in.jsonl","purpose":"batch"}'
CONTENT = '{"n":1,"t":"é"}\n'.encode() * 3
METADATA = {"nightmail_run": "r", "nightmail_batch": "r.b1"}
CUSTOM = "X-Gateway: a: b\nno line of this kind\n\nAUTHORIZATION: Basic YTpi\nOpenAI-Project: proj_2"
ENVIRONMENTS = {
    "nothing": {},
    "account": {"OPENAI_ORG_ID": "org-1", "OPENAI_PROJECT_ID": "proj_1"},
    "gateway": {"OPENAI_PROJECT_ID": "proj_1", "OPENAI_CUSTOM_HEADERS": CUSTOM},
}


def answer(head: bytes) -> bytes:
    return http(200, FILE if b"/files" in head else BATCH)


async def ours(url: str, folder: Path) -> None:
    async with opened(url) as provider:
        await provider.upload(io.BytesIO(CONTENT), filename='r.b"1é.jsonl')
        await provider.create(input_file_id="file-1", endpoint=Endpoint.CHAT, metadata=METADATA)
        await provider.poll("batch/1")
        await provider.cancel("batch_1")
        await provider.delete("file-1")
        _ = [batch async for batch in provider.find()]
        await provider.call(Endpoint.CHAT, b'{"messages":[],"model":"m"}')
        await provider.fetch("file-2", folder / "out")


async def theirs(url: str, folder: Path) -> None:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as client:
        file = ('r.b"1é.jsonl', io.BytesIO(CONTENT), "application/jsonl")
        await client.files.create(file=file, purpose="batch")
        await client.batches.create(
            input_file_id="file-1",
            endpoint="/v1/chat/completions",
            completion_window="24h",
            metadata=METADATA,
        )
        await client.batches.retrieve("batch/1")
        await client.batches.cancel("batch_1")
        await client.files.delete("file-1")
        await client.batches.list(limit=100)
        await client.chat.completions.create(messages=[], model="m")
        async with client.files.with_streaming_response.content("file-2") as file:
            await file.stream_to_file(folder / "out")
        await client.files.retrieve("file-2")


def seen(request: bytes) -> tuple[bytes, list[bytes], bytes]:
    """The first line, the headers but those in which two clients differ, and the body, JSON in order."""
    head, _, body = request.partition(b"\r\n\r\n")
    if boundary := re.search(rb"boundary=(\w+)", head):
        head, body = (part.replace(boundary[1], b"-boundary-") for part in (head, body))
    elif body:
        body = json.dumps(json.loads(body), sort_keys=True).encode()
    first, *lines = head.split(b"\r\n")
    pairs = (line.partition(b": ") for line in lines)
    named = sorted(name.lower() + b": " + value for name, _, value in pairs)
    return first, [line for line in named if not line.startswith((b"x-stainless-", b"user-agent"))], body


@pytest.mark.parametrize("environment", ENVIRONMENTS.values(), ids=list(ENVIRONMENTS))
async def test_requests_are_those_of_the_official_client(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    requests = []
    for program in (ours, theirs):
        async with served(answer) as (server, url):
            await program(url, tmp_path)
        host = url.removeprefix("http://").encode()
        requests.append(sorted(seen(request.replace(host, b"HOST")) for request in server.asked))

    assert len(requests[0]) == 9
    assert requests[0] == requests[1]
    said = {line for _, lines, _ in requests[0] for line in lines if line.startswith(b"authorization")}
    expected = b"Basic YTpi" if "OPENAI_CUSTOM_HEADERS" in environment else f"Bearer {KEY}".encode()
    assert said == {b"authorization: " + expected}


async def test_every_request_says_which_program_it_is(tmp_path: Path) -> None:
    async with served(answer) as (server, url):
        await ours(url, tmp_path)
    said = [
        re.findall(rb"(?i)\r\n(user-agent: [^\r]+|x-stainless[^\r]+)", request) for request in server.asked
    ]
    assert said == [[f"User-Agent: nightmail/{version('nightmail')}".encode()]] * 9


def test_what_is_empty_is_not_sent_and_what_is_of_one_request_is_left_to_it() -> None:
    environment = {
        "OPENAI_ORG_ID": " ",
        "OPENAI_PROJECT_ID": "",
        "OPENAI_CUSTOM_HEADERS": "Content-Type: text/plain\naccept: text/html\r\nX-A:1\nx-a: 2",
    }
    assert headers_for(KEY, environment) == {
        "User-Agent": f"nightmail/{version('nightmail')}",
        "Authorization": f"Bearer {KEY}",
        "x-a": "2",
    }


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OPENAI_ORG_ID", "org\nsecret"),
        ("OPENAI_PROJECT_ID", "próject-secret"),
        ("OPENAI_CUSTOM_HEADERS", "X-A: a\x00secret"),
        ("OPENAI_CUSTOM_HEADERS", "X A: secret"),
        ("OPENAI_CUSTOM_HEADERS", ": secret"),
    ],
)
def test_what_no_header_can_have_is_told_at_once_and_not_shown(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(variable, raising=False)
    try:
        monkeypatch.setenv(variable, value)
    except ValueError:  # no environment can have it either
        with pytest.raises(ConfigError, match=variable) as caught:
            headers_for(KEY, {variable: value})
    else:
        with pytest.raises(ConfigError, match=variable) as caught:
            OpenAIProvider.open(base_url="http://127.0.0.1:1/v1", api_key=KEY)
    assert "secret" not in str(caught.value)


async def test_another_server_to_which_we_are_sent_gets_no_key(tmp_path: Path) -> None:
    async with served(answer) as (other, elsewhere):
        # Another name of this machine is another server.
        location = elsewhere.replace("127.0.0.1", "localhost") + "/v1/batches"
        async with served(lambda _: http(307, b"", location=location)) as (first, url):
            await ours(url, tmp_path)

    assert len(other.asked) == 9
    assert all(KEY.encode() in request for request in first.asked)
    assert not any(KEY.encode() in request for request in other.asked)
    bodies = [{request.partition(b"\r\n\r\n")[2] for request in each.asked} for each in (first, other)]
    assert bodies[0] == bodies[1]


def test_a_call_loads_no_client_and_no_models() -> None:
    code = """if True:
        import asyncio, sys, threading
        from http.server import BaseHTTPRequestHandler, HTTPServer
        from nightmail.providers.openai.adapter import OpenAIProvider
        class Server(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
            def log_message(self, *_): pass
        server = HTTPServer(("127.0.0.1", 0), Server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        async def main():
            url = f"http://127.0.0.1:{server.server_port}/v1"
            provider = OpenAIProvider.open(base_url=url, api_key=None)
            await provider.check()
            await provider.close()
        asyncio.run(main())
        print(*sorted(name for name in sys.modules if "." not in name))"""
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "httpx2" in loaded.stdout.split()
    assert {"openai", "pydantic", "pyarrow", "numpy", "rich"} & set(loaded.stdout.split()) == set()
