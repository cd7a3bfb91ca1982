"""A desk's clock that does not jump: for tests in which a thread or another task is at work all the while,
beside which no other's time would pass."""

from contextlib import AbstractContextManager, nullcontext

from nightmail.worker.clock import RealClock


class OnTime(RealClock):
    """The real clock, as a `Faulty` port wants it."""

    def at_work(self) -> AbstractContextManager[None]:
        return nullcontext()
