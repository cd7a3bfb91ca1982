"""An upload, streamed from the request's body to disk.

Starlette's own form parser holds each part in a spooled file and copies it once more; 200 MB uploads
are everyday here, so the parts are followed as they come and the file's bytes go straight to its place.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from email.message import Message
from io import FileIO
from pathlib import Path

import msgspec
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from nightmail.simulator.refusal import Refusal

_MAX_FIELD = 64 << 10


class Upload(msgspec.Struct, kw_only=True):
    """A read form: its fields, and how many bytes of its file were written."""

    fields: dict[str, str]
    filename: str | None
    size: int


async def read_upload(content_type: str, stream: AsyncIterator[bytes], to: Path, max_bytes: int) -> Upload:
    """Write the part named `file` to `to`.

    Raises `Refusal` for a body that is no form or a file over `max_bytes`; the body is then read to its
    end all the same, because clients write before they listen.
    """
    boundary = _boundary(content_type)
    with to.open("wb", buffering=0) as target:
        form = _Form(target, max_bytes)
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": form.begin,
                "on_header_field": form.header_field,
                "on_header_value": form.header_value,
                "on_header_end": form.header_end,
                "on_headers_finished": form.headers_finished,
                "on_part_data": form.data,
                "on_end": form.end,
            },
        )
        async for chunk in stream:
            if form.broken is None and chunk:
                try:
                    parser.write(chunk)
                except FormParserError as error:
                    form.broken = Refusal(400, f"The multipart body cannot be read: {error}.")
    if form.broken is not None:
        raise form.broken
    if not form.ended:
        raise Refusal(400, "The multipart body ended early.")
    fields = {name: bytes(value).decode("utf-8", "replace") for name, value in form.fields.items()}
    return Upload(fields=fields, filename=form.filename, size=form.size)


def _boundary(content_type: str) -> bytes:
    message = Message()
    message["content-type"] = content_type
    boundary = message.get_param("boundary")
    if message.get_content_type() != "multipart/form-data" or not isinstance(boundary, str):
        raise Refusal(400, "The request has to be multipart/form-data with a boundary.")
    return boundary.encode("latin-1")


class _Form:
    """What the parser's callbacks gather; bytes of the file are written on."""

    def __init__(self, target: FileIO, max_bytes: int) -> None:
        self._write = target.write
        self._max = max_bytes
        self._name = ""
        self._in_file = False
        self._field = bytearray()
        self._header = bytearray()
        self._value = bytearray()
        self.fields: dict[str, bytearray] = {}
        self.filename: str | None = None
        self.size = 0
        self.ended = False
        self.broken: Refusal | None = None

    def begin(self) -> None:
        self._name, self._in_file = "", False

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        if bytes(self._header).lower() == b"content-disposition":
            message = Message()
            message["content-disposition"] = bytes(self._value).decode("utf-8", "replace")
            name = message.get_param("name", header="content-disposition")
            self._name = name if isinstance(name, str) else ""
            self._in_file = self._name == "file"
            if self._in_file:
                self.filename = message.get_filename() or "file"
        self._header.clear()
        self._value.clear()

    def headers_finished(self) -> None:
        if not self._in_file:
            self.fields.setdefault(self._name, bytearray())

    def data(self, data: bytes, start: int, end: int) -> None:
        if not self._in_file:
            field = self.fields[self._name]
            if len(field) + end - start > _MAX_FIELD:
                self.broken = Refusal(400, f"The form field '{self._name}' is too long.", param=self._name)
                return
            field += data[start:end]
            return
        self.size += end - start
        if self.size > self._max:
            self.broken = Refusal(
                413,
                f"File is too large. The maximum size of a file with this purpose is {self._max} bytes.",
                param="file",
                code="file_too_large",
            )
            return
        self._write(memoryview(data)[start:end])

    def end(self) -> None:
        self.ended = True
