"""A server for synchronous calls: each is answered after 50 ms, and so many at once are let in.

Written on the bare protocol, so that it takes little of the processors that the client is measured on. GET
/told says how many calls were answered and refused, and how many there were at most at once.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json

LATENCY = 0.05
WORDS = '{"section":"games","why":"it is one"}'
ANSWER = json.dumps(
    {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini-2024-07-18",
        "choices": [
            {
                "index": 0, "finish_reason": "stop",
                "message": {"role": "assistant", "refusal": None, "content": WORDS},
            }
        ],
        "usage": {"prompt_tokens": 50, "completion_tokens": 10, "total_tokens": 60},
    }
).encode()  # fmt: skip
REFUSAL = b'{"error":{"message":"Rate limit reached","type":"requests","code":"rate_limit_exceeded"}}'
NOTHING = b'{"object":"list","data":[]}'


class Door:
    """Who is inside, and the counts of all who came."""

    def __init__(self, room: int) -> None:
        self.room = room  # 0: for everybody
        self.inside = self.most = self.answered = self.refused = 0

    def enters(self) -> bool:
        """Is there room for one more?"""
        if self.room and self.inside >= self.room:
            self.refused += 1
            return False
        self.inside += 1
        self.most = max(self.most, self.inside)
        return True

    def leaves(self) -> None:
        """One has been answered."""
        self.inside -= 1
        self.answered += 1

    def told(self) -> bytes:
        """The counts, as JSON."""
        return json.dumps({"most": self.most, "answered": self.answered, "refused": self.refused}).encode()


class Connection(asyncio.Protocol):
    """One connection, on which one request follows the other."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end].lower()
            _, named, length = head.partition(b"content-length:")
            whole = end + 4 + (int(length.split(b"\r\n", 1)[0]) if named else 0)
            if len(self._received) < whole:
                return
            self._received = self._received[whole:]
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        if head.startswith(b"get /told"):
            self._send(b"200 OK", self._door.told())
        elif not head.startswith(b"post"):
            self._send(b"200 OK", NOTHING)
        elif self._door.enters():
            asyncio.get_running_loop().call_later(LATENCY, self._done)
        else:
            self._send(b"429 Too Many Requests", REFUSAL)

    def _done(self) -> None:
        self._door.leaves()
        self._send(b"200 OK", ANSWER)

    def _send(self, status: bytes, body: bytes) -> None:
        head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        self._transport.write(head % (status, len(body)) + body)


async def serve(port: int, room: int) -> None:
    """Answer until the process is ended."""
    door = Door(room)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(door), "127.0.0.1", port, backlog=1_000)
    print(f"listening on http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    async with server:
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--room", type=int, default=0, help="calls let in at once (0: all)")
    given = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(given.port, given.room))


if __name__ == "__main__":
    main()
