"""Uploads, downloads and deletions over real HTTP."""

from __future__ import annotations

import errno
import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nightmail.errors import NotFound, ProviderUnavailable, RequestRefused, StoreError, Unsupported
from nightmail.providers.openai import connection
from nightmail.providers.openai.adapter import OpenAIProvider


async def test_an_upload_arrives_byte_for_byte(poor: Any, provider: OpenAIProvider, tmp_path: Path) -> None:
    content = "".join(f'{{"n":{n},"t":"\u2028é"}}\n' for n in range(20_000)).encode()
    path = tmp_path / "in.jsonl"
    path.write_bytes(content)
    with path.open("rb") as opened:
        file = await provider.upload(opened, filename="r.b1.jsonl")
    assert (file.bytes, file.filename, file.purpose) == (len(content), "r.b1.jsonl", "batch")
    copy = tmp_path / "copy.jsonl"
    assert await provider.fetch(file.id, copy) == len(content)
    assert copy.read_bytes() == content


async def test_a_refused_upload_says_why(poor: Any, provider: OpenAIProvider, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"x\n")
    poor.script("POST", "/files", status=413, body="too large")
    with path.open("rb") as content, pytest.raises(RequestRefused, match="too large") as caught:
        await provider.upload(content, filename="in.jsonl")
    assert caught.value.status == 413


class Torn(io.BytesIO):
    """A file of which only the first part can be read."""

    def __init__(self, trouble: Exception) -> None:
        super().__init__(b"x" * 100)
        self.trouble = trouble

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell():
            raise self.trouble
        return super().read(10)


class Endless(io.BytesIO):
    """A large file that takes no room itself, and notes how much was asked for at a time."""

    def __init__(self, size: int) -> None:
        self.size, self.at = size, 0
        self.sizes: list[int | None] = []

    def read(self, size: int | None = -1, /) -> bytes:
        self.sizes.append(size)
        piece = b"x" * min(self.size - self.at, self.size if size is None or size < 0 else size)
        self.at += len(piece)
        return piece

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self.at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: self.size}[whence]
        return self.at

    def tell(self) -> int:
        return self.at


@pytest.mark.parametrize(
    "trouble",
    [
        StoreError("requests/000001.jsonl is shorter than the database says"),
        TimeoutError(errno.ETIMEDOUT, "the file system's server is away"),
        OSError(errno.EIO, "Input/output error"),
        ProviderUnavailable("another's", ambiguous=True),
    ],
    ids=lambda trouble: type(trouble).__name__,
)
async def test_what_reading_the_file_raised_is_not_taken_for_the_network(
    poor: Any, provider: OpenAIProvider, trouble: Exception
) -> None:
    with pytest.raises(type(trouble)) as caught:
        await provider.upload(Torn(trouble), filename="in.jsonl")
    assert caught.value is trouble


async def test_an_upload_is_never_whole_in_memory(poor: Any, provider: OpenAIProvider) -> None:
    content = Endless(24 << 20)
    tracemalloc.start()
    try:
        await provider.upload(content, filename="in.jsonl")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert content.tell() == 24 << 20
    assert set(content.sizes) == {connection.READ_BYTES}
    assert peak < 6 << 20


async def test_a_download_that_ends_early_is_no_download(
    poor: Any, provider: OpenAIProvider, tmp_path: Path
) -> None:
    poor.script("GET", "/files/f/content", body="half", headers={"Content-Length": "8"}, close=True)
    with pytest.raises(ProviderUnavailable, match="'f'"):
        await provider.fetch("f", tmp_path / "out")


async def test_a_download_without_a_length_is_measured_against_the_file(
    start_poor: Callable[..., Any], tmp_path: Path
) -> None:
    server = start_poor("lengths")
    provider = OpenAIProvider.open(base_url=server.url, api_key=None)
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"whole\n")
    with path.open("rb") as content:
        file = await provider.upload(content, filename="in.jsonl")
    assert await provider.fetch(file.id, tmp_path / "out") == 6
    server.script("GET", f"/files/{file.id}", body={"id": file.id, "bytes": 9})
    with pytest.raises(ProviderUnavailable, match="6 of 9 bytes"):
        await provider.fetch(file.id, tmp_path / "out")
    await provider.close()


async def test_a_file_that_is_not_there_is_not_found(provider: OpenAIProvider, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        await provider.fetch("file-x", tmp_path / "out")
    with pytest.raises(NotFound):
        await provider.fetch("", tmp_path / "out")


async def test_deleting_tells_a_file_that_is_gone_from_a_missing_call(
    poor: Any, provider: OpenAIProvider
) -> None:
    assert await provider.delete("file-gone") is False
    poor.script("DELETE", "/files/f", status=404, body={"detail": "Not Found"}, times=2)
    poor.script("GET", "/files/f", body={"id": "f"})
    with pytest.raises(Unsupported):
        await provider.delete("f")
    assert await provider.delete("f") is False
