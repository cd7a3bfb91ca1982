"""The OpenAI provider: which calls are made for each verb, and what is made of the answers.

Works against any server that speaks the same API, also one that lacks metadata, lists or deletion. No call
is repeated, with one exception that is said where it is made.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from nightmail.core.limits import Limits
from nightmail.core.request import Endpoint
from nightmail.errors import (
    AuthenticationFailed,
    BillingBlocked,
    NotFound,
    ProviderUnavailable,
    RateLimited,
    RequestRefused,
    Unsupported,
)
from nightmail.providers.base import CallReply, Content, RemoteBatch, RemoteFile
from nightmail.providers.openai import lines, wire
from nightmail.providers.openai.account import account_of, host_of, key_for, url_for
from nightmail.providers.openai.columns import read_answers
from nightmail.providers.openai.complaints import blames, is_no_route, read_complaint
from nightmail.providers.openai.connection import Connection
from nightmail.providers.openai.facts import limits_for
from nightmail.providers.openai.failures import Call, Reply, refusal, unreadable
from nightmail.providers.openai.rates import read_rates

logger = logging.getLogger(__name__)

PAGE = 100  # the most that GET /batches gives at once
_FILE_PURPOSES = ("batch", "batch_output")

_T = TypeVar("_T")
_Listed = TypeVar("_Listed", RemoteBatch, RemoteFile)


class OpenAIProvider:
    """`nightmail.providers.base.Provider` for OpenAI and every server shaped like it.

    Opening it is cheap and touches no network: a process that only reads results may open one too.
    """

    name = "openai"

    def __init__(self, url: str, key: str) -> None:
        self.account = account_of(url, key)
        self._host = host_of(url)
        self._key = key
        self._connection = Connection(url, key)
        self._takes_metadata = True

    @classmethod
    def open(cls, *, base_url: str | None, api_key: str | None) -> OpenAIProvider:
        """Raises `ConfigError` for a URL that is none, or if a key is needed and there is none."""
        return cls(url_for(base_url), key_for(base_url, api_key))

    def limits(self, model: str, endpoint: Endpoint) -> Limits:
        return limits_for(model, endpoint)

    def request_line(self, custom_id: str, endpoint: Endpoint, body: bytes) -> bytes:
        return lines.request_line(custom_id, endpoint, body)

    def request_body(self, line: bytes) -> bytes:
        return lines.request_body(line)

    def result_line(self, custom_id: str, reply: CallReply) -> bytes:
        return lines.result_line(custom_id, reply)

    read_result = staticmethod(lines.read_result)
    read_answers = staticmethod(read_answers)

    async def check(self) -> None:
        """Asks for the models, which needs a key nearly everywhere; a key that may not see them may still
        do batches, so a 403 is not the last word."""
        models = self._call("use the server", "GET /models")
        reply = await self._connection.get(models, "/models")
        if reply.status in (403, 404, 405, 501):
            models = self._call("use the server", "GET /batches")
            reply = await self._connection.get(models, "/batches", {"limit": 1})
        if reply.ok:
            return
        error = refusal(models, reply, self._key)
        # Rate limited is reached and let in; a missing route says nothing about the others.
        if not isinstance(error, RateLimited | Unsupported):
            raise error

    async def upload(self, content: Content, *, filename: str) -> RemoteFile:
        call = self._call("upload a file", "POST /files")
        reply = await self._connection.upload(call, content, filename)
        return self._read(call, self._granted(call, reply), wire.read_file)

    async def create(
        self, *, input_file_id: str, endpoint: Endpoint, metadata: Mapping[str, str]
    ) -> RemoteBatch:
        call = self._call("create a batch of file", "POST /batches", input_file_id)
        sent = metadata if self._takes_metadata else {}
        reply = await self._connection.create(
            call, "/batches", wire.create_body(input_file_id, endpoint, sent)
        )
        if sent and reply.status in (400, 422) and blames(read_complaint(reply.body), "metadata"):
            # A refusal is definite: no batch exists, so this second call cannot pay twice.
            logger.warning("%s takes no metadata; batches are told apart by their input file", self._host)
            self._takes_metadata = False
            reply = await self._connection.create(
                call, "/batches", wire.create_body(input_file_id, endpoint, {})
            )
        return self._read(call, self._granted(call, reply), wire.read_batch)

    async def poll(self, provider_batch_id: str) -> RemoteBatch:
        call = self._call("look at batch", "GET /batches/{id}", provider_batch_id)
        reply = await self._connection.get(call, f"/batches/{_segment(provider_batch_id)}")
        return self._read(call, self._granted(call, reply), wire.read_batch)

    async def find(self) -> AsyncIterator[RemoteBatch]:
        call = self._call("list batches", "GET /batches")
        async for batch in self._pages(call, "/batches", {}, wire.read_batch):
            yield batch

    async def files(self) -> AsyncIterator[RemoteFile]:
        call = self._call("list files", "GET /files")
        queries: list[dict[str, Any]] = [{"purpose": purpose} for purpose in _FILE_PURPOSES]
        seen: set[str] = set()
        for query in queries:
            try:
                async for file in self._pages(call, "/files", query, wire.read_file):
                    # A server may ignore the filter, or keep no purposes at all.
                    if file.id not in seen and (file.purpose is None or file.purpose in _FILE_PURPOSES):
                        seen.add(file.id)
                        yield file
            except RequestRefused:
                if not query:
                    raise
                # It does not know the purpose: then once more, without the filter.
                queries.append({})

    async def cancel(self, provider_batch_id: str) -> RemoteBatch | None:
        call = self._call("cancel batch", "POST /batches/{id}/cancel", provider_batch_id)
        path = f"/batches/{_segment(provider_batch_id)}"
        reply = await self._connection.post(call, f"{path}/cancel")
        if reply.ok:
            try:
                return wire.read_batch(reply.body)
            except ValueError:
                return None
        if reply.status in (400, 409):
            error = refusal(call, reply, self._key)
            # "Cannot cancel a batch with status completed": it has ended, which is what was wanted.
            if isinstance(error, RequestRefused | ProviderUnavailable):
                return None
            raise error
        await self._complain_of_route(call, reply, path)
        raise refusal(call, reply, self._key)

    async def fetch(self, file_id: str, to: Path) -> int:
        call = self._call("download file", "GET /files/{id}/content", file_id)
        path = f"/files/{_segment(file_id)}"
        file = await asyncio.to_thread(to.open, "wb", 0)
        with file:
            reply = await self._connection.download(call, f"{path}/content", file.write)
            self._granted(call, reply)
            size = file.tell()
            await asyncio.to_thread(os.fsync, file.fileno())
        # What the connection says of its own length agrees with a file that was cut off behind it, and a
        # missing line is paid for a second time: the provider's own count decides.
        await self._measure(call, path, size, reply)
        return size

    async def delete(self, file_id: str) -> bool:
        call = self._call("delete file", "DELETE /files/{id}", file_id)
        path = f"/files/{_segment(file_id)}"
        reply = await self._connection.delete(call, path)
        if reply.status == 404:
            await self._complain_of_route(call, reply, path)
            return False
        return wire.read_deleted(self._granted(call, reply).body)

    async def call(self, endpoint: Endpoint, body: bytes, *, flex: bool = False) -> CallReply:
        path = endpoint.value.removeprefix("/v1")
        call = self._call("answer a request", f"POST {path}")
        reply = await self._connection.call(call, path, lines.with_flex(body) if flex else body)
        if flex and reply.status in (400, 422) and blames(read_complaint(reply.body), "service_tier"):
            raise Unsupported(f"{self._host}: {read_complaint(reply.body).message or 'there is no flex'}")
        if not reply.ok:
            error = refusal(call, reply, self._key)
            if isinstance(error, AuthenticationFailed | BillingBlocked):
                raise error
        return CallReply(
            status=reply.status,
            body=reply.body,
            rates=read_rates(reply.headers),
            request_id=reply.headers.get("x-request-id"),
        )

    async def close(self) -> None:
        await self._connection.close()

    def _call(self, what: str, route: str, about: str | None = None) -> Call:
        return Call(self._host, what, route, about)

    def _granted(self, call: Call, reply: Reply) -> Reply:
        if reply.ok:
            return reply
        raise refusal(call, reply, self._key)

    def _read(self, call: Call, reply: Reply, read: Callable[[bytes], _T]) -> _T:
        try:
            return read(reply.body)
        except ValueError as error:
            raise unreadable(call, reply, str(error), self._key) from error

    async def _pages(
        self, call: Call, path: str, query: Mapping[str, Any], read: Callable[[bytes], _Listed]
    ) -> AsyncIterator[_Listed]:
        """Every item once. Raises `Unsupported` after what could be had if the list has more that cannot."""
        seen: set[str] = set()
        after: str | None = None
        while True:
            params = {"limit": PAGE, **query, **({"after": after} if after else {})}
            reply = self._granted(call, await self._connection.get(call, path, params))
            page = self._read(call, reply, wire.read_page)
            fresh = 0
            for raw in page.items:
                item = self._read(call, reply._replace(body=bytes(raw)), read)
                if item.id not in seen:
                    seen.add(item.id)
                    fresh += 1
                    after = item.id
                    yield item
            if page.has_more is False or not page.items:
                return
            # Some servers do not say whether there is more; then a page that is not exactly full is the last.
            if page.has_more is None and len(page.items) != PAGE:
                return
            if not fresh:
                # The server ignores `after`. "Not in the list" would be no proof that a batch does not exist.
                raise Unsupported(f"{self._host}: cannot {call.what}: only the first {len(seen)} can be had")
            after = page.last_id or after

    async def _complain_of_route(self, call: Call, reply: Reply, path: str) -> None:
        """Raise `Unsupported` if a 404 was about the call, since the thing itself is there."""
        if reply.status != 404 or not is_no_route(read_complaint(reply.body)):
            return
        there = await self._connection.get(call, path)
        if there.ok:
            raise Unsupported(f"{self._host}: cannot {call.what} {call.about!r}: the server has no such call")

    async def _measure(self, call: Call, path: str, size: int, reply: Reply) -> None:
        known = await self._connection.get(call, path)
        if not known.ok:
            error = refusal(call, known, self._key)
            if isinstance(error, RequestRefused | Unsupported):
                return  # the server has no such call
            raise error
        try:
            expected = wire.read_file(known.body).bytes
        except ValueError:
            return
        if expected is not None and size < expected:
            raise unreadable(call, reply, f"only {size} of {expected} bytes came", self._key)


def _segment(remote_id: str) -> str:
    """An id as one segment of a path: ids of foreign servers may hold anything."""
    if not remote_id:
        raise NotFound("an empty id names nothing at the provider", status=404)
    return quote(remote_id, safe="")
