"""Processes for large work, a thread for small, so that polling is answered meanwhile.

A process that dies takes its pool with it (that is how `concurrent.futures` is made); then the pool
is replaced and the work that was under way is done again, which is safe because jobs are pure.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import TypeVar

Given = TypeVar("Given")
Got = TypeVar("Got")

_MAX_DEATHS = 3


class Pool:
    """Runs pure functions outside the event loop."""

    def __init__(self, processes: int) -> None:
        self._count = processes
        self._processes: ProcessPoolExecutor | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="simulator")

    async def run(self, work: Callable[[Given], Got], job: Given, *, large: bool) -> Got:
        """`work(job)`, in a process if it is large. Starting processes takes longer than small work does."""
        loop = asyncio.get_running_loop()
        if not large:
            return await loop.run_in_executor(self._thread, work, job)
        deaths = 0
        while True:
            pool = self._started()
            try:
                return await loop.run_in_executor(pool, work, job)
            except BrokenProcessPool:
                deaths += 1
                if self._processes is pool:
                    self._processes = None
                    pool.shutdown(wait=False, cancel_futures=True)
                if deaths > _MAX_DEATHS:
                    raise

    def _started(self) -> ProcessPoolExecutor:
        if self._processes is None:
            self._processes = ProcessPoolExecutor(
                self._count, mp_context=multiprocessing.get_context("spawn"), initializer=_follow_parent
            )
        return self._processes

    def close(self) -> None:
        """Let go of everything; work under way is abandoned."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._processes is not None:
            self._processes.shutdown(wait=False, cancel_futures=True)


def _follow_parent() -> None:
    """End with the parent. A pool's process waits for work on a pipe that it holds open itself, so it
    would outlive a parent that was killed."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
