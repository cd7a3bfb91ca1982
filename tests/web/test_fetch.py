"""A URL leads to the internet or nowhere."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from nightmail.web.fetch import fetch, is_public
from nightmail.web.problems import Problem
from nightmail.web.settings import Settings


@contextmanager
def site(status: int, body: bytes, **headers: str) -> Iterator[tuple[str, list[str]]]:
    """A server of this machine: where, and what it was asked for."""
    asked: list[str] = []

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.headers['Host']}{self.path}")
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing on the terminal."""

    server = HTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://localhost:{server.server_port}/rows.jsonl", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def fetched(url: str, **settings: Any) -> bytes:
    return b"".join([piece async for piece in fetch(url, Settings(**settings))])


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8686/api/v1/runs", "http://localhost/", "http://[::1]/", "http://0.0.0.0/",
        "http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://10.0.0.1/",
        "http://192.168.1.1/", "http://172.16.0.1/", "http://100.64.0.1/", "http://2130706433/",
        "http://0x7f000001/", "http://127.1/", "http://[::ffff:127.0.0.1]/", "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/", "file:///etc/passwd", "ftp://example.com/x", "http://user@127.0.0.1/",
        "gopher://127.0.0.1/", "http://", "http://[", "http://127.0.0.1:99999/", "//127.0.0.1/", "",
    ],
)  # fmt: skip
async def test_no_url_leads_into_our_own_networks(url: str) -> None:
    with pytest.raises(Problem) as refused:
        await fetched(url)
    assert refused.value.status == 422


async def test_a_public_name_with_a_private_address_among_its_own_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with site(200, b"secret") as (url, asked):
        port = int(url.split(":")[2].split("/")[0])

        async def answers(*_: Any, **__: Any) -> Any:
            return [
                (socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port))
                for ip in ("93.184.216.34", "127.0.0.1")
            ]

        monkeypatch.setattr("asyncio.base_events.BaseEventLoop.getaddrinfo", answers)
        with pytest.raises(Problem, match="private address"):
            await fetched(f"http://rebound.example:{port}/")
        assert asked == []


async def test_a_name_that_leads_elsewhere_at_the_second_look_up_is_looked_up_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with site(200, b"what was checked") as (url, asked):
        port = int(url.split(":")[2].split("/")[0])
        looked_up: list[str] = []

        async def answers(_: Any, host: str, *__: Any, **___: Any) -> Any:
            # 127.0.0.1 stands for an address of the internet, 127.0.0.2 for one of ours.
            looked_up.append(host)
            address = "127.0.0.1" if len(looked_up) == 1 or host == "127.0.0.1" else "127.0.0.2"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        monkeypatch.setattr("asyncio.base_events.BaseEventLoop.getaddrinfo", answers)
        monkeypatch.setattr("nightmail.web.fetch.is_public", lambda address: address == "127.0.0.1")
        assert await fetched(f"http://rebound.example:{port}/") == b"what was checked"
        assert looked_up.count("rebound.example") == 1
        assert asked == [f"rebound.example:{port}/"]


async def test_what_is_there_is_read_under_its_own_name() -> None:
    with site(200, b'{"id": 1}\n') as (url, asked):
        assert await fetched(url, fetch_from_private=True) == b'{"id": 1}\n'
        assert asked == [url.removeprefix("http://")]


async def test_a_redirect_is_not_followed() -> None:
    with site(200, b"secret") as (inner, asked), site(302, b"", Location=inner) as (url, _):
        with pytest.raises(Problem, match="answered 302"):
            await fetched(url, fetch_from_private=True)
        assert asked == []


async def test_a_file_that_is_too_large_is_left_in_the_middle() -> None:
    with site(200, b"x" * 100_000) as (url, _):
        with pytest.raises(Problem) as refused:
            await fetched(url, fetch_from_private=True, max_upload=1000)
        assert refused.value.status == 413


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "64:ff9b::101:101"])
def test_the_internet_is_open(address: str) -> None:
    assert is_public(address)
