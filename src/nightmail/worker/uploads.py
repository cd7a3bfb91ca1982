"""Inputs that come over the network: each a file of the spool, named by its content.

The same bytes of the same tenant are the same upload, so that sending them again, after an answer that was
lost, changes nothing, and a run over them is the same run.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import AsyncIterable
from pathlib import Path
from typing import BinaryIO, Literal, get_args

from nightmail.core import disk
from nightmail.errors import ConfigError, DiskFull, SourceError, StoreError
from nightmail.stages.ports import Clock
from nightmail.worker.begin import INTAKE

Format = Literal[
    "jsonl", "csv", "tsv", "parquet", "jsonl.gz", "csv.gz", "tsv.gz", "jsonl.zst", "csv.zst", "tsv.zst"
]
ENDINGS: tuple[str, ...] = get_args(Format)
NAME = re.compile(rf"[0-9a-f]{{32}}\.(?:{'|'.join(re.escape(each) for each in ENDINGS)})", re.ASCII)
NOBODY = "_"  # the folder of what belongs to no tenant


class Uploads:
    """Reached as `client.uploads`."""

    def __init__(self, spool: Path, clock: Clock) -> None:
        self._folder = spool / INTAKE / "uploads"
        self._clock = clock

    async def receive(
        self, pieces: AsyncIterable[bytes], ending: str, *, tenant: str | None
    ) -> tuple[str, int]:
        """Write an upload down, whole or not at all; its id and its size in bytes."""
        if ending not in ENDINGS:
            raise ConfigError(f"there is no format {ending!r}; there is: {', '.join(ENDINGS)}")
        folder = self._folder / (tenant or NOBODY)
        hidden = folder / f".{self._clock.token()}.part"
        try:
            await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
            with await asyncio.to_thread(hidden.open, "wb") as file:
                digest, size = await _written(file, pieces)
            if not size:
                raise SourceError("the upload is empty")
            upload_id = f"{digest}.{ending}"
            # A run knows its input again by its time, too, and what is sent again is the same input. When it
            # came can still be seen by the time of this change, which the system notes.
            await asyncio.to_thread(os.utime, hidden, (0, 0))
            await asyncio.to_thread(hidden.replace, folder / upload_id)
        except OSError as error:
            if disk.is_full(error):
                raise DiskFull(disk.full(folder, error)) from error
            raise StoreError(disk.refused(folder, "written", error)) from error
        finally:
            await asyncio.to_thread(hidden.unlink, missing_ok=True)
        return upload_id, size

    def temporary(self, ending: str) -> Path:
        """A path beside the uploads at which nothing is, for a file that somebody takes with them."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder / f"out-{self._clock.token()}{ending}"

    async def path(self, upload_id: str, *, tenant: str | None) -> Path:
        """The file of an upload. Raises `SourceError` if this tenant has none of that id."""
        path = self._folder / (tenant or NOBODY) / upload_id
        if not NAME.fullmatch(upload_id) or not await asyncio.to_thread(path.is_file):
            raise SourceError(f"there is no upload {upload_id!r}")
        return path


async def _written(file: BinaryIO, pieces: AsyncIterable[bytes]) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    async for piece in pieces:
        digest.update(piece)
        size += len(piece)
        await asyncio.to_thread(file.write, piece)

    def sync() -> None:
        file.flush()
        os.fsync(file.fileno())

    await asyncio.to_thread(sync)
    return digest.hexdigest()[:32], size
