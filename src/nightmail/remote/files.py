"""Files on their way to a service and back: inputs sent once, outputs written whole."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2

from nightmail.errors import ServiceUnreachable, UnknownRun
from nightmail.remote.calls import TRIES, Calls
from nightmail.sinks.atomic import AtomicFile, blamed, check_target
from nightmail.sinks.files import compression_of, sink_format
from nightmail.sources.files import FORMATS, ending, resolve
from nightmail.stages.deliver import failures_path

CHUNK = 1 << 18
Told = Callable[[str], None]


async def send(calls: Calls, given: Any, told: Told) -> list[tuple[str, Path]]:
    """The files of an input, each with its upload id at the service. What it has already is not sent again.
    Raises `SourceError` for what cannot be read here."""
    _, paths = await asyncio.to_thread(resolve, given)
    return [(await _send(calls, path, told), path) for path in paths]


async def _send(calls: Calls, path: Path, told: Told) -> str:
    digest, size = await asyncio.to_thread(_digest, path)
    format = _format_of(path)
    upload_id = f"{digest}.{format}"
    try:
        await calls.get(f"/uploads/{upload_id}")
    except UnknownRun:
        told(f"sending {path} ({size:,} bytes)")
        kept = await calls.post("/uploads", sent=lambda: _pieces(path), patient=True, format=format)
        # It may have been written to since its digest was taken: what has arrived is what counts.
        upload_id = kept["upload_id"]
    return upload_id


def _digest(path: Path) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            digest.update(piece)
            size += len(piece)
    return digest.hexdigest()[:32], size


def _format_of(path: Path) -> str:
    """What a service calls the file's format: `jsonl`, `csv.gz`."""
    kind, compression = ending(path)
    return ("tsv" if kind == ".tsv" else FORMATS[kind]) + compression


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(path.open, "rb") as file:
        while piece := await asyncio.to_thread(file.read, CHUNK):
            yield piece


async def bring(calls: Calls, run_id: str, output: Path) -> None:
    """Write what has succeeded so far to `output`, and what has failed beside it, or remove an earlier
    failures file if nothing has."""
    await _bring(calls, f"/runs/{run_id}/output", output, format=_format_for(output))
    failures = failures_path(output)
    await _bring(calls, f"/runs/{run_id}/failures", failures, unless_empty=True)


async def _bring(calls: Calls, path: str, target: Path, *, unless_empty: bool = False, **params: Any) -> None:
    """The file appears whole or not at all, and nothing is left of a try that was cut."""
    failure: Exception | None = None
    for _ in range(TRIES):
        file, size = await asyncio.to_thread(AtomicFile, target), 0
        try:
            async for piece in calls.download(path, **params):
                with blamed(target):
                    await asyncio.to_thread(file.file.write, piece)
                size += len(piece)
            if size or not unless_empty:
                await asyncio.to_thread(file.commit)
            else:
                with blamed(target):
                    await asyncio.to_thread(target.unlink, missing_ok=True)
            return
        except httpx2.TransportError as error:
            failure = error
        finally:
            await asyncio.to_thread(file.abort)
    raise ServiceUnreachable(f"{calls.url}: {target} could not be brought ({failure})") from failure


def _format_for(output: Path) -> str:
    """What a service calls the format of a file that it is to write: `jsonl`, `tsv.gz`."""
    compression = compression_of(output)
    is_tsv = output.name.lower().removesuffix(compression).endswith(".tsv")
    return ("tsv" if is_tsv else sink_format(output)) + compression


def target_of(output: str | Path) -> Path:
    """The whole path of an output. Raises `ConfigError` for an ending that tells no format, `SinkError` for a
    place that takes no file: better before anything is sent than after the run."""
    target = Path(output).expanduser().absolute()
    sink_format(target)
    check_target(target)
    return target
