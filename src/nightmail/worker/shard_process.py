"""What an `OrderProcess` runs: it is given a kit and then carries out one order after the other.

It reads its standard input and ends with it. What the user's code prints goes to the standard error output.
"""

from __future__ import annotations

import gc
import os
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import IO

import msgspec

from nightmail.bulk import work_in_bulk
from nightmail.processes import DONE, FAILED, HINT, receive, send
from nightmail.stages.shards import (
    BuildOrder,
    JudgeOrder,
    PrepareOrder,
    Tools,
    build_piece,
    judge_batch,
)
from nightmail.tasks.load import load
from nightmail.tasks.prepared import PreparedTask
from nightmail.tokens.counter import counter_for
from nightmail.worker.kit import Kit, tools_of


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
    work_in_bulk()
    try:
        serve(orders, answers)
    except BrokenPipeError:
        os._exit(1)


def serve(orders: IO[bytes], answers: IO[bytes]) -> None:
    """The first message is the kit, behind a hint perhaps; each other an order, which has one answer."""
    while (first := receive(orders)) is not None and first[0] == HINT:
        _take(first[1])
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


def _take(hint: bytes) -> None:
    """Load a task and what its requests are counted with, which takes half a second, before it is sure that
    it will be done here. What is wrong with it is for the order to say."""
    reference, model = os.fsdecode(hint).split("\0")
    with suppress(BaseException):  # the user's module may raise anything while it is imported
        task = PreparedTask(load(reference), model=model or None)
        if task.template is not None:
            counter_for(task.template.model).text("")


def _carrier(tools: Tools) -> Callable[[bytes], bytes]:
    decode = msgspec.msgpack.Decoder(PrepareOrder | BuildOrder | JudgeOrder).decode

    def carry_out(message: bytes) -> bytes:
        order = decode(message)
        if isinstance(order, BuildOrder):
            return msgspec.msgpack.encode(build_piece(tools, order))
        if isinstance(order, JudgeOrder):
            return msgspec.msgpack.encode(judge_batch(tools, order))
        tools.workshop.prepare()
        return b""

    return carry_out


def _failed(error: BaseException) -> bytes:
    return msgspec.msgpack.encode(
        Failed(kind=type(error).__name__, message=str(error), trace=traceback.format_exc())
    )
