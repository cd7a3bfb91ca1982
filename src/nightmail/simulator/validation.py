"""What the provider finds when it looks through an input file: line by line, without answering anything.

Codes are those that were seen in `errors.data[].code` of failed batches or are documented for the
same API (facts A.4); OpenAI publishes no list. Every function here runs in a worker process on one
piece of a file and is pure but for reading it.
"""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any

import msgspec
import orjson

from nightmail.core.request import Endpoint
from nightmail.simulator.asks import Ask, Reader, plain_type
from nightmail.simulator.frames import Frame, frame_of

MAX_ERRORS = 100
_TAIL = 4096


class LineFault(msgspec.Struct, frozen=True):
    """One entry of `errors.data`; `line` counts from 1, within the piece until `lines.combine`d."""

    line: int
    code: str
    message: str
    param: str | None = None


Wrong = tuple[str, str, str | None]  # code, message, param


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """A part of an input file that begins and ends at line boundaries."""

    path: Path
    offset: int
    length: int
    endpoint: Endpoint

    def lines(self) -> list[bytes]:
        """Its lines without their newlines."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            lines = file.read(self.length).split(b"\n")
        if lines[-1] == b"":
            lines.pop()
        return lines


class Inspected(msgspec.Struct, kw_only=True):
    """What is in a piece. `tokens` are unsigned 32-bit counts, one per line."""

    custom_ids: list[str]
    tokens: bytes
    token_total: int
    inputs: int
    models: list[tuple[str, int]]  # each model met, and the first line that names it
    faults: list[LineFault]

    @property
    def line_count(self) -> int:
        return len(self.custom_ids)


def inspect(piece: Piece) -> Inspected:
    """Everything the batch has to know about a piece before it may run."""
    reader = LineReader(piece.endpoint)
    inspecting = Inspecting()
    for line in piece.lines():
        inspecting.add(*reader.read(line))
    return inspecting.finish()


class Inspecting:
    """Gathers an `Inspected` line by line."""

    def __init__(self) -> None:
        self._custom_ids: list[str] = []
        self._tokens = array("I")
        self._inputs = 0
        self._models: dict[str, int] = {}
        self.faults: list[LineFault] = []

    def add(self, custom_id: str, ask: Ask | None, wrong: Wrong | None) -> None:
        self._custom_ids.append(custom_id)
        if ask is None or wrong is not None:
            self._tokens.append(0)
            if wrong is not None and len(self.faults) < MAX_ERRORS:
                self.faults.append(LineFault(len(self._custom_ids), *wrong))
            return
        self._tokens.append(ask.tokens)
        if ask.texts is not None:
            self._inputs += len(ask.texts)
        name = ask.recipe.model.name
        if name not in self._models:
            self._models[name] = len(self._custom_ids)

    def finish(self) -> Inspected:
        return Inspected(
            custom_ids=self._custom_ids,
            tokens=self._tokens.tobytes(),
            token_total=sum(self._tokens),
            inputs=self._inputs,
            models=list(self._models.items()),
            faults=self.faults,
        )


class LineReader:
    """Reads lines of one batch: who it is, what is asked, or what is wrong with the line as a line."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._url = endpoint.value
        self._reader = Reader(endpoint)
        plain = plain_type(endpoint)
        self._decode = None
        self._framed: tuple[Frame, Ask] | None = None  # the first plain line's frame, and what it asks
        self._is_first = True
        if plain is not None:
            line = msgspec.defstruct(
                "Line", [("custom_id", str), ("method", str), ("url", str), ("body", plain)], gc=False
            )
            self._decode = msgspec.json.Decoder(line).decode

    def read(self, line: bytes, tokens: int | None = None) -> tuple[str, Ask | None, Wrong | None]:
        """`(custom_id, ask, None)` for a good line, `(custom_id, None, wrong)` for a bad one."""
        if self._framed is not None:
            frame, like = self._framed
            if (parts := frame.parts(line)) is not None:
                return parts[0], like.saying(parts[1], tokens), None
        plain = self._plain(line, tokens)
        if plain is None:
            return self._whole(line, tokens)
        if self._is_first:
            self._is_first = False
            self._framed = self._learned(line, *plain)
        return *plain, None

    def _plain(self, line: bytes, tokens: int | None) -> tuple[str, Ask] | None:
        if self._decode is None:
            return None
        try:
            got: Any = self._decode(line)
            if got.method == "POST" and got.url == self._url and got.custom_id:
                ask = self._reader.plain(got.body, tokens)
                return None if ask is None else (got.custom_id, ask)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass  # the careful reading says whether it is wrong
        return None

    def _learned(self, line: bytes, custom_id: str, ask: Ask) -> tuple[Frame, Ask] | None:
        """The frame of a line that asks so, if another line made with it asks the same of another text."""
        if (frame := frame_of(line, self._endpoint)) is None:
            return None
        name, text = _other(custom_id), _other(ask.text)
        made = self._plain(frame.line(name.encode(), text.encode()), 0)
        same = made is not None and (made[0], vars(made[1])) == (name, vars(ask.saying(text, 0)))
        return (frame, ask) if same else None

    def _whole(self, line: bytes, tokens: int | None) -> tuple[str, Ask | None, Wrong | None]:
        try:
            value = orjson.loads(line)
        except orjson.JSONDecodeError:
            return "", None, ("invalid_json_line", "This line is not parseable as valid JSON.", None)
        if not isinstance(value, dict):
            return "", None, ("invalid_json_line", "This line is not a JSON object.", None)
        custom_id = value.get("custom_id")
        shown = custom_id if isinstance(custom_id, str) else ""
        wrong = self._wrong(value)
        if wrong is not None:
            return shown, None, wrong
        return shown, self._reader.whole(value["body"], tokens), None

    def _wrong(self, value: dict[str, Any]) -> Wrong | None:
        for name in ("custom_id", "method", "url", "body"):
            if value.get(name) is None or value[name] == "":
                return "missing_required_parameter", f"Missing required parameter: '{name}'.", name
        if not isinstance(value["custom_id"], str):
            return "invalid_custom_id", "The custom_id is not a string.", "custom_id"
        if value["method"] != "POST":
            return "invalid_method", f"The method {value['method']!r} is not supported; use POST.", "method"
        if value["url"] != self._url:
            message = (
                f"The URL provided for this request ({value['url']}) does not prefix-match the batch "
                f"endpoint ({self._url})."
            )
            return "url_mismatch", message, "url"
        body = value["body"]
        if not isinstance(body, dict):
            return "invalid_request", "The body is not a JSON object.", "body"
        if not isinstance(body.get("model"), str) and self._endpoint is not Endpoint.MODERATIONS:
            return "missing_required_parameter", "Missing required parameter: 'body.model'.", "body.model"
        if body.get("stream"):
            return "invalid_request", "Streaming is not supported in batches: 'stream' is set.", "body.stream"
        return None


def _other(text: str) -> str:
    return "b" if text == "a" else "a"


def pieces_of(path: Path, endpoint: Endpoint, size: int) -> list[Piece]:
    """A file cut into pieces of about `size` bytes, at line boundaries; its blank end is left out."""
    pieces: list[Piece] = []
    with path.open("rb") as file:
        total = file.seek(0, 2)
        while total > 0:
            tail = min(total, _TAIL)
            file.seek(total - tail)
            kept = len(file.read(tail).rstrip())
            total -= tail - kept
            if kept:
                break
        start = 0
        while start < total:
            file.seek(min(start + size, total))
            file.readline()
            end = min(file.tell(), total)
            pieces.append(Piece(path=path, offset=start, length=end - start, endpoint=endpoint))
            start = end
    return pieces
