"""The application behind a socket."""

from __future__ import annotations

import signal
import socket
import sys

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from nightmail.errors import ConfigError
from nightmail.simulator.app import create_app
from nightmail.simulator.settings import Settings


class _Protocol(HttpToolsProtocol):
    """Gives routes their connection, so that a fault can cut it."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        own: dict[object, object] = {"transport": self.transport}
        self.scope["extensions"] = {"nightmail.transport": own}


def serve(settings: Settings) -> None:
    """Serve until a signal says otherwise. One line on standard output says where, once the port is open."""
    listener = _listening(settings.host, settings.port)
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    sys.stdout.write(f"simulator listening on http://{shown}:{port}\n")
    sys.stdout.flush()
    config = uvicorn.Config(
        create_app(settings),
        http=_Protocol,
        ws="none",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    # uvicorn raises the signal again after its own shutdown; by default that would skip Python's.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    uvicorn.Server(config).run(sockets=[listener])


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Only where the protocol is named does asyncio turn Nagle's algorithm off: else 40 ms for an answer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(512)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"cannot listen on {host}:{port} ({error.strerror}); does a simulator run there already? "
            "--port N takes another port, 0 any free one"
        ) from error
    return listener
