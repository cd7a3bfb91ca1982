"""Another server answers: every line of a batch becomes a synchronous call to it.

This makes a Batch API for any OpenAI-compatible server (vLLM, Ollama, llama.cpp). What it answers is
put into the lines as it comes; usage is its own.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson

from nightmail.simulator.execution import Answered, Job
from nightmail.simulator.refusal import Refusal

if TYPE_CHECKING:
    import httpx2

_TRIES = 4
_SECONDS = 600.0  # for each step of a call; a model that is loaded first takes minutes
_RETRIED = (408, 409, 429, 500, 502, 503, 504)


class Upstream:
    """Calls to one server, a bounded number at a time. The key is read from NIGHTMAIL_UPSTREAM_API_KEY."""

    def __init__(self, url: str, concurrency: int) -> None:
        self._url = url.rstrip("/").removesuffix("/v1")
        self._concurrency = concurrency
        self._turns = asyncio.Semaphore(concurrency)
        self._client: httpx2.AsyncClient | None = None

    async def call(self, path: str, body: bytes) -> tuple[int, bytes]:
        """The status and body that the server gives to a POST. Raises `Refusal` (502) if it gives none."""
        import httpx2

        headers = {"content-type": "application/json"}
        if key := os.environ.get("NIGHTMAIL_UPSTREAM_API_KEY"):
            headers["authorization"] = f"Bearer {key}"
        client = self._connected()
        failure: Exception | None = None
        async with self._turns:
            for attempt in range(_TRIES):
                if attempt:
                    await asyncio.sleep(0.1 * 4 ** (attempt - 1))
                try:
                    reply = await client.post(self._url + path, content=body, headers=headers)
                except (httpx2.HTTPError, ssl.SSLError) as error:
                    failure = error
                    continue
                if reply.status_code in _RETRIED and attempt + 1 < _TRIES:
                    continue
                return reply.status_code, reply.content
        raise Refusal(
            502, f"The upstream server {self._url} did not answer: {failure}.", type="server_error",
            code="upstream_unreachable",
        )  # fmt: skip

    def _connected(self) -> httpx2.AsyncClient:
        if self._client is None:
            import httpx2

            # No connection is waited for: how many there are at once is decided by the turns.
            limits = httpx2.Limits(max_connections=None, max_keepalive_connections=self._concurrency)
            self._client = httpx2.AsyncClient(timeout=_SECONDS, limits=limits, follow_redirects=True)
        return self._client

    async def execute(self, job: Job, over: asyncio.Event, tick: Callable[[], None]) -> Answered:
        """Answer a piece; after `over` no further call begins and the lines that are left are unanswered."""
        result = Answered()
        lines = iter(enumerate(await asyncio.to_thread(job.piece.lines), 1))
        with job.output.open("wb") as output, job.errors.open("wb") as errors:

            async def work() -> None:
                for index, line in lines:
                    value = orjson.loads(line)
                    name = b"%b%04x%06x" % (job.name.encode(), job.number, index)
                    if over.is_set() or index > job.done:
                        result.unanswered_ids.append((b"batch_req_" + name, value["custom_id"]))
                        continue
                    await self._line(job, value, name, result, output, errors)
                    tick()

            await asyncio.gather(*(work() for _ in range(self._concurrency)))
        result.failed = len(result.failed_ids)
        return result

    async def _line(
        self, job: Job, value: dict[str, Any], name: bytes, result: Answered, output: Any, errors: Any
    ) -> None:
        try:
            status, body = await self.call(value["url"], orjson.dumps(value["body"]))
        except Refusal as refusal:
            status, body = refusal.status, orjson.dumps(refusal.body())
        custom_id, line_id = value["custom_id"], b"batch_req_" + name
        quoted = orjson.dumps(custom_id)
        read = _read(body)
        if status == 200 and read is not None:
            output.write(job.dialect.success_line(name, quoted, orjson.dumps(read)))
            usage = read.get("usage") or {}
            result.completed += 1
            result.output_lines += 1
            result.input_tokens += int(usage.get("prompt_tokens") or usage.get("input_tokens") or 0)
            result.output_tokens += int(usage.get("completion_tokens") or usage.get("output_tokens") or 0)
            return
        if read is None or "error" not in read:
            read = Refusal(status, body[:500].decode("utf-8", "replace"), type="server_error").body()
        errors.write(job.dialect.error_line(line_id, quoted, name, status, read))
        result.failed_ids.append(custom_id)
        result.error_lines += 1

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()


def _read(body: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
