"""Connections that take their time, or too much room: closed, with a word, while others are answered."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.command import Folder
from tests.end_to_end.test_serve import get, served

pytestmark = pytest.mark.end_to_end

PATIENCE = 30.0
PAUSE = 0.01
IMPATIENT = "[serve]\nhead_timeout = 0.5\nbody_timeout = 0.5\n"
NARROW = "[serve]\nmax_connections = 4\nmax_head = 4096\nmax_body = 1000\n"


@contextlib.contextmanager
def serving(folder: Path, settings: str) -> Iterator[str]:
    home = folder / ".nightmail"
    home.mkdir()
    (home / "nightmail.toml").write_text(settings)
    with served(Folder(folder, server="http://127.0.0.1:9"), "--no-work") as (_, where):
        yield where


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("impatient"), IMPATIENT) as url:
        yield url


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("narrow"), NARROW) as url:
        yield url


@contextlib.contextmanager
def connected(url: str) -> Iterator[socket.socket]:
    port = int(url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        yield connection


def until_closed(connection: socket.socket) -> bytes:
    """What is said until the other end closes."""
    said = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            said += piece
    return said


def trickle(connection: socket.socket, byte: bytes) -> bytes:
    """Send one byte after the other until there is an answer; the answer."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if select.select([connection], [], [], PAUSE)[0]:
            return until_closed(connection)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(byte)
    raise AssertionError("it is still being listened to")


def status_of(answer: bytes) -> int:
    return int(answer.split()[1])


def test_a_head_that_comes_byte_by_byte_is_not_waited_for(impatient: str) -> None:
    with connected(impatient) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        answer = trickle(connection, b"a")
    assert status_of(answer) == 408
    assert b"urn:nightmail:problem:too-slow" in answer


def test_the_second_request_of_a_connection_has_no_more_time_than_the_first(impatient: str) -> None:
    with connected(impatient) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert status_of(connection.recv(65536)) == 200
        connection.sendall(b"GET /healthz HT")
        assert status_of(until_closed(connection)) == 408


def test_a_connection_that_says_nothing_is_closed(impatient: str) -> None:
    with connected(impatient) as connection:
        assert until_closed(connection) == b""


def test_a_body_that_comes_byte_by_byte_is_not_waited_for(impatient: str) -> None:
    with connected(impatient) as connection:
        connection.sendall(
            b"POST /api/v1/runs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: 900\r\n\r\n{"
        )
        answer = trickle(connection, b" ")
    assert status_of(answer) == 408


def test_a_body_that_nobody_wants_is_not_listened_to_for_ever(impatient: str) -> None:
    with connected(impatient) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 900\r\n\r\n")
        assert status_of(connection.recv(65536)) == 200
        trickle(connection, b" ")


@pytest.mark.parametrize(
    "head",
    [
        b"GET /healthz?" + b"x" * 5000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Large: " + b"x" * 5000 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Endless: " + b"x" * 5000,
        b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X: y\r\n" * 3000 + b"\r\n",
    ],
    ids=["address", "header", "header without end", "many headers"],
)
def test_a_head_that_is_too_large_is_refused(narrow: str, head: bytes) -> None:
    with connected(narrow) as connection:
        connection.sendall(head)
        assert status_of(until_closed(connection)) == 431


def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes(narrow: str) -> None:
    with connected(narrow) as connection:
        connection.sendall(
            b"POST /api/v1/runs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: 1001\r\n\r\n"
        )
        assert status_of(until_closed(connection)) == 413


def test_what_is_no_http_is_refused(narrow: str) -> None:
    with connected(narrow) as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        assert status_of(until_closed(connection)) == 400


def test_one_connection_too_many_is_told_to_come_back_and_can(narrow: str) -> None:
    with contextlib.ExitStack() as open_ones:
        for _ in range(4):
            connection = open_ones.enter_context(connected(narrow))
            # Answered, so that it is counted by now.
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert status_of(connection.recv(65536)) == 200
            connection.sendall(b"GET /healthz HT")
        with connected(narrow) as fifth:
            answer = until_closed(fifth)
        assert status_of(answer) == 503
        assert b"retry-after: 1" in answer.lower()
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(OSError):
            assert get(f"{narrow}/healthz") == {"status": "ok"}
            return
        assert time.monotonic() < deadline
