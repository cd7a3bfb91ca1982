"""A process that carries out orders ends with who gives them, and may be started before it is known which."""

import os

import pytest

from nightmail import processes
from nightmail.processes import WORTH_ONE, Died, OrderProcess


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_process_ends_when_nobody_gives_orders_any_more():
    process = OrderProcess()
    child = process._process
    assert child.stdin is not None

    child.stdin.close()

    assert child.wait(timeout=60) == 0
    process.close()


def test_one_that_is_gone_is_told_as_such():
    process = OrderProcess()
    process.close()

    with pytest.raises(Died):
        process.ask(b"")


def test_a_process_is_started_ahead_once_and_for_enough_work():
    processes.start_ahead(WORTH_ONE)
    assert processes.taken_ahead() is None

    processes.start_ahead(WORTH_ONE + 1)
    processes.start_ahead(WORTH_ONE + 1)

    process = processes.taken_ahead()
    assert process is not None
    assert processes.taken_ahead() is None
    process.close()


def test_one_that_nobody_needs_is_ended():
    processes.start_ahead(WORTH_ONE + 1)
    (ahead,) = processes._ahead

    processes.drop_ahead()

    assert not is_there(ahead.pid)
    processes.drop_ahead()


def test_one_that_is_gone_is_told_nothing():
    processes.start_ahead(WORTH_ONE + 1)
    (ahead,) = processes._ahead
    assert ahead._process.stdin is not None
    ahead._process.kill()
    ahead._process.wait()

    processes.tell_ahead("task.py", None)

    processes.drop_ahead()
