"""Starts `poor_server.py` as a process of its own; what it lacks is each test's choice."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from nightmail.providers.openai.adapter import OpenAIProvider

PROGRAM = Path(__file__).with_name("poor_server.py")
KEY = "sk-test-0123456789abcdefghij"


class PoorServer:
    def __init__(self, *lacks: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-S", str(PROGRAM), *lacks], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.root = self.process.stdout.readline().strip()
        assert self.root, "the poor server did not start"
        self.url = f"{self.root}/v1"

    def script(self, method: str, path: str, **answer: Any) -> None:
        """The next request with that method and path (a regular expression) gets this answer."""
        body = answer.pop("body", "")
        text = body if isinstance(body, str) else json.dumps(body)
        entry = {"method": method, "path": path, "status": 200, "body": text, **answer}
        urllib.request.urlopen(f"{self.root}/_script", json.dumps(entry).encode()).close()

    def log(self, method: str, path: str) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{self.root}/_log") as answer:
            return [e for e in json.load(answer) if e["method"] == method and e["path"] == path]

    def stop(self) -> None:
        self.process.kill()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process.wait()


@pytest.fixture
def start_poor() -> Iterator[Callable[..., PoorServer]]:
    started: list[PoorServer] = []

    def start(*lacks: str) -> PoorServer:
        started.append(PoorServer(*lacks))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def poor(start_poor: Callable[..., PoorServer]) -> PoorServer:
    return start_poor()


@pytest.fixture
async def provider(poor: PoorServer) -> AsyncIterator[OpenAIProvider]:
    opened = OpenAIProvider.open(base_url=poor.url, api_key=KEY)
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> Iterator[ssl.SSLContext]:
    """What a server speaks whose certificate is trusted here."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with authority.cert_pem.tempfile() as pem:
        monkeypatch.setenv("SSL_CERT_FILE", pem)
        yield context
