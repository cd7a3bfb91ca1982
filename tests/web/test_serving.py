"""The socket under the service."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing

import pytest

from nightmail.errors import ConfigError
from nightmail.simulator import serving as simulator
from nightmail.web.serving import listening


@pytest.mark.parametrize("listen", [listening, simulator._listening], ids=["service", "simulator"])
async def test_an_answer_s_body_does_not_wait_for_its_header_s_acknowledgement(listen) -> None:
    found = asyncio.get_running_loop().create_future()

    class Connection(asyncio.Protocol):
        def connection_made(self, transport) -> None:
            accepted = transport.get_extra_info("socket")
            found.set_result(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            transport.close()

    listener = listen("127.0.0.1", 0)
    server = await asyncio.get_running_loop().create_server(Connection, sock=listener)
    with closing(socket.create_connection(listener.getsockname())):
        assert await found
    server.close()
    await server.wait_closed()


def test_a_host_that_is_not_ours_is_a_clear_error() -> None:
    with pytest.raises(ConfigError, match=r"cannot listen on 192\.0\.2\.1:0 .*--port N"):
        listening("192.0.2.1", 0)
