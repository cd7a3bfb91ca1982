"""The service behind a socket, from its start to a graceful end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator

import msgspec
import uvicorn

from nightmail.client import Client
from nightmail.errors import ConfigError
from nightmail.network import is_this_machine
from nightmail.web.app import app
from nightmail.web.connections import bounded
from nightmail.web.loops import Loop, Work
from nightmail.web.pages import frame
from nightmail.web.settings import settings_of

BACKLOG = 512
# Answers that take longer than this when the service ends are cut; what they asked for is in the store.
GRACE = 10


class Service:
    """`serve` until `stop` is called. `url` is where, once the port is open. `hide_texts`: its pages do,
    whatever the settings say."""

    def __init__(
        self, client: Client, *, host: str, port: int, work: bool = True, hide_texts: bool = False
    ) -> None:
        self._listener = listening(host, port)
        loops: list[Loop] = [
            client.intakes,
            client.timetable,
            *client.hooks.loops(),
            *([Work(client)] if work else []),
        ]
        self._client = client
        self._host = host
        self._works = work
        # By the address that is listened at: what a name leads to is for the system to say.
        self._is_local = is_this_machine(self._listener.getsockname()[0])
        settings = settings_of(client.settings.serve, client.settings.home)
        settings = msgspec.structs.replace(settings, hide_texts=settings.hide_texts or hide_texts)
        self._app = app(client, loops=loops, settings=settings, local=self._is_local)
        self._server = _Server(
            uvicorn.Config(
                self._app,
                http=bounded(settings),
                ws="none",
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=GRACE,
            )
        )
        self._app.state.loops.on_failure = self.stop

    @property
    def url(self) -> str:
        host, port = self._listener.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def serve(self, *, on_start: Callable[[], None] = lambda: None) -> None:
        """Answer and work until `stop`. Raises what ended a loop before its time, and `ConfigError` where
        others could reach it and there is no key."""
        with contextlib.closing(self._listener):
            keys = await self._client.keys.list()
            if not self._is_local and all(key.revoked_at for key in keys):
                raise ConfigError(
                    f"others can reach {self._host}, so keys are needed, and there is none: "
                    "make one by nightmail keys add TENANT"
                )
            if self._works:
                await self._client.preload()
            await asyncio.to_thread(frame.load)
            on_start()
            await self._server.serve(sockets=[self._listener])
        failure = self._app.state.loops.failure
        if failure is not None:
            raise failure

    def stop(self) -> None:
        """Take no more connections, finish answers and the steps that loops are in; then `serve` returns."""
        # Set at once, not when the last answer is out: answers that watch a run end by it.
        self._app.state.loops.stopping.set()
        self._server.should_exit = True


def fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the event loop of a service: uvloop's, where it is installed: a request costs a quarter
    less on it."""
    try:
        import uvloop
    except ModuleNotFoundError:
        return None
    made: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return made


class _Server(uvicorn.Server):
    """Leaves signals to the command, which knows the exit code."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listening(host: str, port: int) -> socket.socket:
    """An open port; 0 is any free one. Raises `ConfigError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio turns Nagle's algorithm off only where it is; an answer's body
    # would else wait 40 ms for its header to be acknowledged.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"cannot listen on {host}:{port} ({error.strerror}); does a service run there already? "
            "--port N takes another port, 0 any free one"
        ) from error
    return listener
