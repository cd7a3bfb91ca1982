"""Processes that carry out orders, as those see them who give the orders.

Over two pipes go an order and its answer, in turns. A process ends when nobody can give it orders any more,
whatever becomes of the one that started it.
"""

from __future__ import annotations

import atexit
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import IO

HEAD = struct.Struct("<cQ")  # a mark and the number of bytes that follow
DONE, FAILED, HINT = b"+", b"!", b"?"
# Bytes of records or results for which one is worth starting.
WORTH_ONE = 6_000_000
# Ctrl-C is for the process that started this one: it ends its orders, then closes the pipe.
START = (
    "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    "from nightmail.worker.shard_process import main; main()"
)

_ahead: list[OrderProcess] = []


class Died(Exception):
    """A process ended in the middle of an order."""


class OrderProcess:
    """One process, used by one thread at a time. Raises `OSError` if none can be started."""

    def __init__(self) -> None:
        path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-c", START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # There is a process for each processor: threads of a numeric library, which it starts as soon
            # as it is imported, would only be in each other's way.
            env={"OPENBLAS_NUM_THREADS": "1", **os.environ, "PYTHONPATH": path},
        )
        self.pid = self._process.pid

    def ask(self, message: bytes) -> tuple[bytes, bytes]:
        """The answer's mark and body. Raises `Died` if there is none."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            send(self._process.stdin, DONE, message)
            answer = receive(self._process.stdout)
        except (OSError, ValueError) as error:
            raise Died(str(error)) from error
        if answer is None:
            raise Died(f"it ended with code {self._process.wait()}")
        return answer

    def hint(self, message: bytes) -> None:
        """Say something that has no answer."""
        assert self._process.stdin is not None
        try:
            send(self._process.stdin, HINT, message)
        except OSError:
            # Whoever asks next meets the same.
            return

    def close(self) -> None:
        """End it; an order that is under way is lost."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            try:
                pipe.close()
            except OSError:
                continue


def start_ahead(size: int) -> None:
    """Start a process now if so many bytes are worth one: it imports what it needs while this process finds
    out what is to be done. Whoever needs one first takes it."""
    if size <= WORTH_ONE or _ahead:
        return
    try:
        process = OrderProcess()
    except OSError:
        # Whoever needs one will meet the same and say so.
        return
    atexit.register(process.close)
    _ahead.append(process)


def tell_ahead(task: str, model: str | None) -> None:
    """Tell a process that was started ahead which task it will probably be for, and `--model` if given."""
    for process in _ahead:
        process.hint(os.fsencode("\0".join((task, model or ""))))


def taken_ahead() -> OrderProcess | None:
    """A process that was started ahead, from now on the caller's."""
    try:
        process = _ahead.pop()
    except IndexError:
        return None
    atexit.unregister(process.close)
    return process


def drop_ahead() -> None:
    """End a process that was started ahead and that nobody needs."""
    if (process := taken_ahead()) is not None:
        process.close()


def send(to: IO[bytes], mark: bytes, body: bytes) -> None:
    """Write one message."""
    to.write(HEAD.pack(mark, len(body)))
    to.write(body)
    to.flush()


def receive(source: IO[bytes]) -> tuple[bytes, bytes] | None:
    """The next message: its mark and its body; None at the end, also in the middle of one."""
    head = source.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    mark, length = HEAD.unpack(head)
    body = source.read(length)
    return (mark, body) if len(body) == length else None
