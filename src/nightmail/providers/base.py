"""The provider port: somebody else's computer that runs batches.

An implementation is three files: `adapter.py` makes the calls and turns every failure into one of
`nightmail.errors` in one place, `wire.py` turns bytes into nouns and back and is pure, `facts.toml`
holds the numbers with where each is from. The verbs below are all that the engine knows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

import msgspec

from nightmail.core.batch import Phase
from nightmail.core.limits import Limits
from nightmail.core.request import Endpoint
from nightmail.core.result import Answers, Result
from nightmail.core.usage import Usage


class BatchError(msgspec.Struct, frozen=True, kw_only=True):
    """One reason why a whole batch failed. `line` counts from 1 in the input file, if it was said."""

    code: str | None = None
    message: str | None = None
    line: int | None = None
    param: str | None = None
    limit: int | None = None  # the account's queue limit, where the message names it


class RemoteFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file at the provider. `bytes` is the provider's own count, None if it gave none."""

    id: str
    bytes: int | None = None
    filename: str | None = None
    purpose: str | None = None
    created_at: datetime | None = None


class RemoteBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch as the provider tells it now. Empty strings have become None; nothing is inferred.

    `status` is the provider's own word, `phase` what it means to us. The counts are the provider's
    and may be wrong or absent: nothing is decided from them.
    """

    id: str
    status: str
    phase: Phase
    endpoint: str | None = None
    model: str | None = None
    input_file_id: str | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    total: int | None = None
    completed: int | None = None
    failed: int | None = None
    errors: tuple[BatchError, ...] = ()
    usage: Usage | None = None  # what the provider says it has billed for the whole batch
    metadata: Mapping[str, str] = {}
    created_at: datetime | None = None
    raw: msgspec.Raw = msgspec.Raw(b"{}")


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """What the headers of a synchronous answer say about the account's rate limits; seconds."""

    limit_requests: int | None = None
    remaining_requests: int | None = None
    reset_requests: float | None = None
    limit_tokens: int | None = None
    remaining_tokens: int | None = None
    reset_tokens: float | None = None
    retry_after: float | None = None


class CallReply(msgspec.Struct, frozen=True, kw_only=True):
    """The HTTP answer to one synchronous call, whatever its status."""

    status: int
    body: bytes
    rates: Rates
    request_id: str | None = None


class Content(Protocol):
    """The bytes of an input file, read as an open file is."""

    def read(self, size: int = -1, /) -> bytes: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...
    def tell(self) -> int: ...


class Provider(Protocol):
    """Opened with `open(base_url, api_key)`, used from one event loop, closed with `close()`.

    Every call may raise `ProviderError`. No call repeats itself: who calls decides whether a
    repetition is safe.
    """

    name: str
    account: str  # whose limits these are: host and a short digest of the key, never the key

    # pure
    def limits(self, model: str, endpoint: Endpoint) -> Limits:
        """What this provider accepts for the model; unknown models get the provider's general limits."""
        ...

    def request_line(self, custom_id: str, endpoint: Endpoint, body: bytes) -> bytes:
        """One line of an input file, with its newline; `body` is the JSON of the request's body."""
        ...

    def request_body(self, line: bytes) -> bytes:
        """The body inside a line that `request_line` made."""
        ...

    def result_line(self, custom_id: str, reply: CallReply) -> bytes:
        """The line that a batch would have given for this synchronous answer, with its newline."""
        ...

    def read_result(self, line: bytes, endpoint: Endpoint) -> Result:
        """One line of an output or error file. Raises `ValueError` if it is no result line at all."""
        ...

    def read_answers(self, lines: Sequence[bytes], endpoint: Endpoint) -> Answers | None:
        """What `read_result` says of those lines that are complete answers, all at once; None if there is
        no faster way to it than line by line."""
        ...

    # calls
    async def check(self) -> None:
        """Return if the server is reachable and does not refuse the key; else raise why."""
        ...

    async def upload(self, content: Content, *, filename: str) -> RemoteFile:
        """Put an input file there, read from its beginning. Streams; safe to repeat (an unused copy costs
        nothing). What reading it raises goes through."""
        ...

    async def create(
        self, *, input_file_id: str, endpoint: Endpoint, metadata: Mapping[str, str]
    ) -> RemoteBatch:
        """Start a batch: the call that costs money, made once. `ProviderUnavailable.ambiguous` means
        that it may have been started. `NotFound` means that the file is not visible (yet)."""
        ...

    async def poll(self, provider_batch_id: str) -> RemoteBatch: ...

    def find(self) -> AsyncIterator[RemoteBatch]:
        """Every batch of the account, newest first where the provider sorts, page by page.
        Raises `Unsupported` where there is no such list."""
        ...

    def files(self) -> AsyncIterator[RemoteFile]:
        """Every batch input, output and error file of the account. May raise `Unsupported`."""
        ...

    async def cancel(self, provider_batch_id: str) -> RemoteBatch | None:
        """Ask for an end; an ended batch is left alone. None if the provider told nothing back."""
        ...

    async def fetch(self, file_id: str, to: Path) -> int:
        """Stream a file to `to` (created or overwritten), return its bytes. A download that ends
        early raises `ProviderUnavailable`."""
        ...

    async def delete(self, file_id: str) -> bool:
        """Delete a file; False if it was gone already. May raise `Unsupported`."""
        ...

    async def call(self, endpoint: Endpoint, body: bytes, *, flex: bool = False) -> CallReply:
        """One synchronous request, by the cheap and slow tier if `flex`. HTTP errors are replies, not
        exceptions, but for a bad key, blocked billing and a model without flex (`Unsupported`); no answer
        at all raises `ProviderUnavailable`."""
        ...

    async def close(self) -> None: ...
