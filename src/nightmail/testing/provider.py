"""A provider without a network: somebody else's computer, kept in this process, for tests of the engine.

It outlives a crash of the engine, as a real one does, and its books say what was paid. It speaks the
lines of OpenAI's batch API. For tests of tasks use `nightmail.testing.simulator`, which is a server.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from nightmail.core.batch import ENDED_PHASES, Phase
from nightmail.core.limits import Limits
from nightmail.core.request import Endpoint
from nightmail.core.result import Answers, Result
from nightmail.errors import NotFound, Unsupported
from nightmail.providers.base import BatchError, CallReply, Content, Rates, RemoteBatch, RemoteFile
from nightmail.providers.openai import lines
from nightmail.providers.openai.columns import read_answers

Answer = Callable[[str, dict[str, Any], int], Mapping[str, Any]]


def completion(text: str | None, *, finish: str = "stop", refusal: str | None = None) -> dict[str, Any]:
    """The body of a chat answer; ten tokens in, five out."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish,
                "message": {"role": "assistant", "content": text, "refusal": refusal},
            }
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }


def row(
    custom_id: str, *, status: int = 200, body: Any = None, error: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """A result line; with an `error` there is no response."""
    response = None if error else {"status_code": status, "request_id": "req", "body": body}
    return {"id": "batch_req_1", "custom_id": custom_id, "response": response, "error": error}


def answers_ok(custom_id: str, body: dict[str, Any], times: int) -> Mapping[str, Any]:
    """The default: every request gets the same short text."""
    return row(custom_id, body=completion("fine"))


@dataclass
class ScriptedBatch:
    """What the provider knows of a batch; `phase` may be set from outside."""

    remote: RemoteBatch
    lines: list[dict[str, Any]]
    polls: int = 0


@dataclass
class ScriptedProvider:
    """`answer(custom_id, body, times)` gives the result line of a request that is executed for the
    `times`-th time; a batch ends at poll number `polls`, as `ends`."""

    answer: Answer = answers_ok
    polls: int = 1
    ends: Phase = Phase.COMPLETED
    errors: tuple[BatchError, ...] = ()
    known_limits: Limits = field(default_factory=Limits)
    searchable: bool = True
    share_done: float = 1.0
    name: str = "scripted"
    account: str = "desk:00000000"
    uploads: dict[str, bytes] = field(default_factory=dict)
    filenames: dict[str, str] = field(default_factory=dict)
    batches: dict[str, ScriptedBatch] = field(default_factory=dict)
    executed: Counter[str] = field(default_factory=Counter)
    calls: int = 0
    flex_calls: int = 0
    files_made: int = 0

    def limits(self, model: str, endpoint: Endpoint) -> Limits:
        return self.known_limits

    def request_line(self, custom_id: str, endpoint: Endpoint, body: bytes) -> bytes:
        return lines.request_line(custom_id, endpoint, body)

    def request_body(self, line: bytes) -> bytes:
        return lines.request_body(line)

    def result_line(self, custom_id: str, reply: CallReply) -> bytes:
        return lines.result_line(custom_id, reply)

    def read_result(self, line: bytes, endpoint: Endpoint) -> Result:
        return lines.read_result(line, endpoint)

    def read_answers(self, lines: Sequence[bytes], endpoint: Endpoint) -> Answers | None:
        return read_answers(lines, endpoint)

    async def check(self) -> None: ...
    async def close(self) -> None: ...

    async def upload(self, content: Content, *, filename: str) -> RemoteFile:
        given = content.read()
        file_id = self._keep(given)
        self.filenames[file_id] = filename
        return RemoteFile(id=file_id, bytes=len(given), filename=filename)

    async def create(
        self, *, input_file_id: str, endpoint: Endpoint, metadata: Mapping[str, str]
    ) -> RemoteBatch:
        if input_file_id not in self.uploads:
            raise NotFound(f"no file {input_file_id}", status=404)
        requests = [json.loads(line) for line in self.uploads[input_file_id].splitlines()]
        remote = RemoteBatch(
            id=f"batch_{len(self.batches) + 1}",
            status="validating",
            phase=Phase.VALIDATING,
            endpoint=endpoint,
            input_file_id=input_file_id,
            total=len(requests),
            metadata=dict(metadata),
        )
        self.batches[remote.id] = ScriptedBatch(remote, requests)
        return remote

    async def poll(self, provider_batch_id: str) -> RemoteBatch:
        batch = self._batch(provider_batch_id)
        batch.polls += 1
        if batch.polls >= self.polls and batch.remote.phase not in ENDED_PHASES:
            self._end(batch)
        return batch.remote

    async def find(self) -> AsyncIterator[RemoteBatch]:
        if not self.searchable:
            raise Unsupported("no list here")
        for provider_batch_id in reversed(list(self.batches)):
            yield await self.poll(provider_batch_id)

    async def files(self) -> AsyncIterator[RemoteFile]:
        if not self.searchable:
            raise Unsupported("no list here")
        for file_id, content in list(self.uploads.items()):
            yield RemoteFile(id=file_id, bytes=len(content), filename=self.filenames.get(file_id))

    async def cancel(self, provider_batch_id: str) -> RemoteBatch | None:
        batch = self._batch(provider_batch_id)
        if batch.remote.phase not in ENDED_PHASES:
            batch.remote = _now(batch.remote, Phase.CANCELLED)
        return batch.remote

    async def fetch(self, file_id: str, to: Path) -> int:
        if file_id not in self.uploads:
            raise NotFound(f"no file {file_id}", status=404)
        to.write_bytes(self.uploads[file_id])  # noqa: ASYNC240
        return len(self.uploads[file_id])

    async def delete(self, file_id: str) -> bool:
        return self.uploads.pop(file_id, None) is not None

    async def call(self, endpoint: Endpoint, body: bytes, *, flex: bool = False) -> CallReply:
        self.calls += 1
        self.flex_calls += flex
        if flex and not self.known_limits.flex:
            raise Unsupported("no flex for this model")
        request = json.loads(body) | ({"service_tier": "flex"} if flex else {})
        said = self.answer(f"call-{self.calls}", request, 1)
        response = said["response"]
        return CallReply(
            status=response["status_code"], body=json.dumps(response["body"]).encode(), rates=Rates()
        )

    def _batch(self, provider_batch_id: str) -> ScriptedBatch:
        if provider_batch_id not in self.batches:
            raise NotFound(f"no batch {provider_batch_id}", status=404)
        return self.batches[provider_batch_id]

    def _keep(self, content: bytes) -> str:
        # An id is never given twice, also when its file is gone.
        self.files_made += 1
        file_id = f"file-{self.files_made}"
        self.uploads[file_id] = content
        return file_id

    def _end(self, batch: ScriptedBatch) -> None:
        """Execute the batch, or the share of it that gets done, and write its files."""
        if self.ends is Phase.FAILED:
            batch.remote = msgspec.structs.replace(_now(batch.remote, Phase.FAILED), errors=self.errors)
            return
        good, bad = b"", b""
        done = round(len(batch.lines) * self.share_done)
        for request in batch.lines[:done]:
            custom_id = request["custom_id"]
            self.executed[custom_id] += 1
            said = self.answer(custom_id, request["body"], self.executed[custom_id])
            if not said:
                continue
            line = json.dumps(said).encode() + b"\n"
            if said.get("error") or said["response"]["status_code"] != 200:
                bad += line
            else:
                good += line
        for request in batch.lines[done:]:
            expired = {"code": "batch_expired", "message": "not reached"}
            bad += json.dumps(row(request["custom_id"], error=expired)).encode() + b"\n"
        batch.remote = msgspec.structs.replace(
            _now(batch.remote, self.ends),
            output_file_id=self._keep(good) if good else None,
            error_file_id=self._keep(bad) if bad else None,
        )


def _now(remote: RemoteBatch, phase: Phase) -> RemoteBatch:
    return msgspec.structs.replace(remote, phase=phase, status=phase.value)
