"""Requests that are sent when they are due, whatever became of those before them.

A load that waits for answers slows down with the service that it measures. This one does not: request
number n is due at a fixed time, waits in a queue of ours if every connection is taken, and its latency
counts from the time at which it was due. It costs little, since it shares the machine with what it measures.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable

CONNECTIONS = 64
RECONNECT = 0.05
# A service that is only just coming up, or has too much to do, is asked again; one that says "later" is not.
AGAIN = (500, 502, 503, 507)


class Connection(asyncio.Protocol):
    """One HTTP connection with one request on it at a time."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._transport: asyncio.Transport | None = None
        self._number: int | None = None
        self._seen = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]
        self._load.idle(self)

    def send(self, number: int, request: bytes) -> None:
        assert self._transport is not None
        self._number = number
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._seen += data
        head = self._seen.find(b"\r\n\r\n")
        if head < 0:
            return
        at = self._seen.find(b"content-length: ")
        length = int(self._seen[at + 16 : self._seen.index(b"\r\n", at)])
        if len(self._seen) < head + 4 + length:
            return
        status, number = int(self._seen[9:12]), self._number
        self._seen, self._number = b"", None
        assert number is not None
        self._load.answered(number, status)
        self._load.idle(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._load.lost(self, self._number)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Load:
    """`total` requests, `rate` a second. `request` makes the bytes of number n. `statuses` counts answers,
    `acknowledged` are the numbers that were answered 202, `took` their seconds from when they were due."""

    def __init__(self, port: int, *, total: int, rate: float, request: Callable[[int], bytes]) -> None:
        self._port, self._total, self._rate, self._request = port, total, rate, request
        self._idle: deque[Connection] = deque()
        self._waiting: deque[int] = deque()
        self._open = total
        self._done = asyncio.Event()
        self._connecting: set[asyncio.Task[None]] = set()
        self.began_at = 0.0
        self.statuses: Counter[int] = Counter()
        self.acknowledged: list[int] = []
        self.took: dict[int, float] = {}
        self.reconnects = 0
        self.most_waiting = 0

    async def run(self) -> None:
        """Returns when each request has its answer."""
        loop = asyncio.get_running_loop()
        for _ in range(CONNECTIONS):
            await loop.create_connection(lambda: Connection(self), "127.0.0.1", self._port)
        self.began_at = time.monotonic()
        self._arrive(0)
        await self._done.wait()
        while self._idle:
            self._idle.pop().close()
        for task in self._connecting:
            task.cancel()

    def due(self, number: int) -> float:
        """When it is due, by the monotonic clock."""
        return self.began_at + number / self._rate

    @property
    def is_caught_up(self) -> bool:
        """Does no request wait for a connection, and are connections free?"""
        return not self._waiting and len(self._idle) > CONNECTIONS // 2

    def _arrive(self, number: int) -> None:
        """Send what is due by now, and come back when the next is."""
        now = time.monotonic()
        while number < self._total and self.due(number) <= now:
            self._waiting.append(number)
            number += 1
        self._send()
        if number < self._total:
            delay = max(0.0, self.due(number) - time.monotonic())
            asyncio.get_running_loop().call_later(delay, self._arrive, number)

    def _send(self) -> None:
        while self._waiting and self._idle:
            number = self._waiting.popleft()
            self._idle.popleft().send(number, self._request(number))
        self.most_waiting = max(self.most_waiting, len(self._waiting))

    def idle(self, connection: Connection) -> None:
        self._idle.append(connection)
        self._send()

    def answered(self, number: int, status: int) -> None:
        self.statuses[status] += 1
        if status in AGAIN:
            self._waiting.append(number)
            return
        if status == 202:
            self.acknowledged.append(number)
            self.took[number] = time.monotonic() - self.due(number)
        self._open -= 1
        if not self._open:
            self._done.set()

    def lost(self, connection: Connection, number: int | None) -> None:
        """The service went away. Whether it took the request in is not known: it is sent again as it is."""
        if connection in self._idle:
            self._idle.remove(connection)
        if number is not None:
            self._waiting.appendleft(number)
        if not self._done.is_set():
            task = asyncio.get_running_loop().create_task(self._reconnect())
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    async def _reconnect(self) -> None:
        while not self._done.is_set():
            self.reconnects += 1
            try:
                await asyncio.get_running_loop().create_connection(
                    lambda: Connection(self), "127.0.0.1", self._port
                )
            except OSError:
                await asyncio.sleep(RECONNECT)
            else:
                return
