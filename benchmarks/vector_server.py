"""A provider of embeddings: as much of the batch API as a run needs, and answers as large as real ones.

The simulator's vectors are mostly zeros, which are short. These are 1,536 numbers of nine digits, about 20 KB
of JSON. No batch ends before all answers of the run are made, so that the moment is known from which on
they only have to be taken in; `/made` says how many there are.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
from pathlib import Path
from typing import Any

DIMENSIONS = 1_536
POOL = 1 << 16
MODEL = "text-embedding-3-small"
_HEAD = (
    '{"id": "%s_%d", "custom_id": "%s", "response": {"status_code": 200, "request_id": "none", "body": '
    '{"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": ['
)
_TAIL = f']}}], "model": "{MODEL}", "usage": {{"prompt_tokens": 8, "total_tokens": 8}}}}}}, "error": null}}\n'


class Provider:
    """Files and batches in one folder; what is not kept in it is gone with the process."""

    def __init__(self, folder: Path, expected: int) -> None:
        self._folder = folder
        self._expected = expected
        self._numbers = itertools.count(1)
        self._batches: dict[str, dict[str, Any]] = {}
        self._answered: dict[str, dict[str, Any]] = {}
        self._chance = random.Random(1)
        self._pool = [f"{self._chance.gauss(0, 0.0255):.9f}" for _ in range(POOL)]
        self._work: set[asyncio.Task[None]] = set()
        self._one = asyncio.Lock()
        self.made = 0

    def path(self, file_id: str) -> Path:
        """Where a file is."""
        return self._folder / file_id

    def batches(self) -> list[dict[str, Any]]:
        """Every batch, the newest first."""
        return list(reversed(self._batches.values()))

    def batch(self, batch_id: str) -> dict[str, Any]:
        """One batch as the API tells it."""
        return self._batches[batch_id]

    def file(self, file_id: str) -> dict[str, Any]:
        """One file as the API tells it."""
        size = self.path(file_id).stat().st_size
        return {"id": file_id, "object": "file", "bytes": size, "created_at": 1, "filename": "input.jsonl",
                "purpose": "batch"}  # fmt: skip

    def new_id(self, kind: str) -> str:
        """A name that was not given before."""
        return f"{kind}-{next(self._numbers)}"

    def create(self, given: dict[str, Any]) -> dict[str, Any]:
        """Accept a batch; its answers are made after the call has returned."""
        batch = {
            "id": self.new_id("batch"), "object": "batch", "endpoint": given["endpoint"],
            "input_file_id": given["input_file_id"], "completion_window": "24h", "status": "in_progress",
            "created_at": 1, "output_file_id": None, "error_file_id": None, "metadata": given["metadata"],
        }  # fmt: skip
        self._batches[batch["id"]] = batch
        task = asyncio.create_task(self._answer(batch))
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        return batch

    async def _answer(self, batch: dict[str, Any]) -> None:
        async with self._one:
            output = self.new_id("file")
            count = await asyncio.to_thread(
                self._write, self.path(batch["input_file_id"]), self.path(output), batch["id"]
            )
        self._answered[batch["id"]] = {
            "status": "completed",
            "output_file_id": output,
            "request_counts": {"total": count, "completed": count, "failed": 0},
        }
        self.made += count
        if self.made >= self._expected:
            for batch_id, fields in self._answered.items():
                self._batches[batch_id] |= fields

    def _write(self, source: Path, target: Path, batch_id: str) -> int:
        count = 0
        with source.open("rb") as lines, target.open("w", encoding="ascii", newline="\n") as output:
            for count, line in enumerate(lines, 1):
                name = json.loads(line)["custom_id"]
                vector = ", ".join(self._chance.choices(self._pool, k=DIMENSIONS))
                output.write(_HEAD % (batch_id, count, name) + vector + _TAIL)
        return count


def app(provider: Provider) -> Any:
    """The provider over HTTP."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import FileResponse, JSONResponse
    from starlette.routing import Route

    async def upload(request: Request) -> JSONResponse:
        form = await request.form()
        file_id = provider.new_id("file")
        provider.path(file_id).write_bytes(await form["file"].read())
        return JSONResponse(provider.file(file_id))

    async def create(request: Request) -> JSONResponse:
        return JSONResponse(provider.create(await request.json()))

    def listed(items: list[dict[str, Any]]) -> JSONResponse:
        return JSONResponse({"object": "list", "data": items, "has_more": False})

    async def batches(_: Request) -> JSONResponse:
        return listed(provider.batches())

    async def nothing(_: Request) -> JSONResponse:
        return listed([])

    async def batch(request: Request) -> JSONResponse:
        return JSONResponse(provider.batch(request.path_params["id"]))

    async def file(request: Request) -> JSONResponse:
        return JSONResponse(provider.file(request.path_params["id"]))

    async def content(request: Request) -> FileResponse:
        return FileResponse(provider.path(request.path_params["id"]))

    async def delete(request: Request) -> JSONResponse:
        return JSONResponse({"id": request.path_params["id"], "object": "file", "deleted": True})

    async def made(_: Request) -> JSONResponse:
        return JSONResponse(provider.made)

    return Starlette(
        routes=[
            Route("/v1/files", upload, methods=["POST"]),
            Route("/v1/files", nothing),
            Route("/v1/models", nothing),
            Route("/v1/files/{id}", file),
            Route("/v1/files/{id}", delete, methods=["DELETE"]),
            Route("/v1/files/{id}/content", content),
            Route("/v1/batches", create, methods=["POST"]),
            Route("/v1/batches", batches),
            Route("/v1/batches/{id}", batch),
            Route("/made", made),
        ]
    )


def main() -> None:
    import uvicorn

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="for uploads and answers; must be there")
    parser.add_argument("--expected", type=int, required=True, help="answers of the run")
    given = parser.parse_args()
    provider = Provider(given.folder, given.expected)
    uvicorn.run(app(provider), host="127.0.0.1", port=given.port, log_level="warning")


if __name__ == "__main__":
    main()
