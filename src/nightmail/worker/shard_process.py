"""The other end of `pool.py`: a process that is given a kit and then carries out one order after the other.

It reads its standard input and ends with it, so it never outlives the process that started it, whatever
becomes of that one. What the user's code prints goes to the standard error output.
"""

from __future__ import annotations

import gc
import os
import signal
import struct
import traceback
from collections.abc import Callable
from typing import IO

import msgspec

from nightmail.memory import work_in_bulk
from nightmail.stages.shards import BuildOrder, JudgeOrder, Tools, build_piece, judge_batch
from nightmail.worker.kit import Kit, tools_of

HEAD = struct.Struct("<cQ")  # a mark and the number of bytes that follow
DONE, FAILED = b"+", b"!"


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """An exception that ended an order. `kind` is the name of its class."""

    kind: str
    message: str
    trace: str


def main() -> None:
    """Serve orders until there are no more."""
    # The pipe's descriptors are taken away from what the user's code may read or print.
    orders, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.close(nowhere)
    os.dup2(2, 1)
    # Ctrl-C is for the process that started this one: it ends its orders, then closes the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    work_in_bulk()
    try:
        serve(orders, answers)
    except BrokenPipeError:
        os._exit(1)


def serve(orders: IO[bytes], answers: IO[bytes]) -> None:
    """The first message is the kit; each other an order, which has one answer."""
    first = receive(orders)
    if first is None:
        return
    try:
        tools = tools_of(msgspec.msgpack.decode(first[1], type=Kit))
    except BaseException as error:  # the user's module may raise anything while it is imported
        send(answers, FAILED, _failed(error))
        return
    send(answers, DONE, b"")
    carry_out = _carrier(tools)
    gc.freeze()  # the imports stay: they are not looked through again
    while (message := receive(orders)) is not None:
        try:
            answer = carry_out(message[1])
        except Exception as error:
            send(answers, FAILED, _failed(error))
        else:
            send(answers, DONE, answer)


def _carrier(tools: Tools) -> Callable[[bytes], bytes]:
    decode = msgspec.msgpack.Decoder(BuildOrder | JudgeOrder).decode

    def carry_out(message: bytes) -> bytes:
        order = decode(message)
        if isinstance(order, BuildOrder):
            return msgspec.msgpack.encode(build_piece(tools, order))
        return msgspec.msgpack.encode(judge_batch(tools, order))

    return carry_out


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


def _failed(error: BaseException) -> bytes:
    return msgspec.msgpack.encode(
        Failed(kind=type(error).__name__, message=str(error), trace=traceback.format_exc())
    )
