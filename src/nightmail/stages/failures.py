"""The failures file: one JSON line per record that failed for good, with its history and its last raw
answer. Written page by page: what is in memory does not grow with the number of failures."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from nightmail.core.failure import Reason
from nightmail.core.pricing import format_usd
from nightmail.core.run import KeyKind, Run
from nightmail.sinks.atomic import AtomicFile, blamed
from nightmail.spool import Spool
from nightmail.stages.ports import Ports
from nightmail.stores.base import Attempt, Failure

PAGE = 1_000


async def write_failures(ports: Ports, run: Run, path: Path) -> int:
    """Write the file, or remove an earlier one if nothing has failed; how many records are in it. A worker
    that has lost its lease, and still writes, writes a file of its own meanwhile."""
    count, after = 0, 0
    paths = await ports.store.requests.file_paths(run.run_no)
    if not (await ports.store.requests.count(run.run_no)).reasons:
        await asyncio.to_thread(_remove, path)
        return 0
    file = await asyncio.to_thread(AtomicFile, path)
    try:
        while page := await ports.store.requests.list_failures(run.run_no, after=after, limit=PAGE):
            await asyncio.to_thread(_add, file, path, _lines(ports.spool, run, page, paths))
            count, after = count + len(page), page[-1].seq
        await asyncio.to_thread(file.commit)
    finally:
        await asyncio.to_thread(file.abort)
    return count


async def list_failures(ports: Ports, run: Run) -> list[dict[str, Any]]:
    """All failures as they would be in the file."""
    paths = await ports.store.requests.file_paths(run.run_no)
    found: list[dict[str, Any]] = []
    after = 0
    while page := await ports.store.requests.list_failures(run.run_no, after=after, limit=PAGE):
        found += [failure_row(ports.spool, run, failure, paths) for failure in page]
        after = page[-1].seq
    return found


def failure_row(spool: Spool, run: Run, failure: Failure, paths: dict[int, str]) -> dict[str, Any]:
    """One failure: its key under its own name, its number in the source, what went wrong, what came."""
    answer = None
    if failure.answer is not None:
        raw = spool.read(paths[failure.answer.file_no], failure.answer.offset, failure.answer.length)
        answer = _readable(raw)
    # A row of which no key could be read is known by its number alone.
    keyless = (
        failure.reason is Reason.BAD_ROW and run.key_kind is not KeyKind.ROW and failure.key == failure.seq
    )
    return {
        run.key_name or "row": None if keyless else failure.key,
        "record": failure.seq,
        "reason": failure.reason.value,
        "message": failure.history[-1].message if failure.history else "",
        "attempts": failure.attempts,
        "history": [attempt_row(each) for each in failure.history],
        "answer": answer,
    }


def attempt_row(attempt: Attempt) -> dict[str, Any]:
    """One attempt that did not succeed: when it was judged, where it travelled, what came, what it cost."""
    return {
        "number": attempt.number,
        "at": attempt.ended_at.isoformat(timespec="seconds"),
        "model": attempt.model,
        "batch_id": attempt.batch_id,
        "outcome": attempt.outcome,
        "reason": attempt.reason.value,
        "message": attempt.message,
        "finish": attempt.finish,
        "input_tokens": attempt.input_tokens,
        "output_tokens": attempt.output_tokens,
        "cost_usd": format_usd(attempt.cost_pusd),
    }


def _readable(raw: bytes) -> Any:
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return raw.decode(errors="replace")


def _lines(spool: Spool, run: Run, page: Iterable[Failure], paths: dict[int, str]) -> Iterator[bytes]:
    return (msgspec.json.encode(failure_row(spool, run, each, paths)) + b"\n" for each in page)


def _add(file: AtomicFile, path: Path, lines: Iterable[bytes]) -> None:
    together = b"".join(lines)
    with blamed(path):
        file.file.write(together)


def _remove(path: Path) -> None:
    with blamed(path):
        path.unlink(missing_ok=True)
