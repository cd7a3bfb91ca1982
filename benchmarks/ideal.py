"""How fast it could be: the same job written by hand from the fastest pieces, and nothing kept.

One or two processes read JSON lines, splice each request from a fixed beginning, the escaped text and a fixed
end, count its tokens exactly with the tokenizer that nightmail uses (the fixed part once), upload by file
object with the official client, create, poll, stream the result file, check each answer's type while parsing
it, and hand columns to the first process, which writes one Parquet file.

What it does not have: a store, a spool, keys checked for duplicates, limits other than the batch's own, an
answer that is asked again, a failures file, a cost. A crash of it loses everything; any failed line ends it.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import gigatoken
import job
import msgspec
import openai
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from nightmail.tokens.vocabulary import vocabulary_file

BATCH = 50_000
CHUNK = 1 << 20
POLL_SECONDS = 0.1
PROCESSES = min(2, os.cpu_count() or 1)

ENCODING = "o200k_base"  # of gpt-4o-mini
ENDPOINT: Any = "/v1/chat/completions"
ENDED = ("completed", "failed", "expired", "cancelled")
COLUMNS = pa.schema(
    {"id": pa.string(), "section": pa.string(), "why": pa.string(), "input": pa.int64(), "output": pa.int64()}
)


class Record(msgspec.Struct, gc=False):
    id: str
    description: str


class Filed(msgspec.Struct, gc=False):
    section: Literal[job.LABELS]  # type: ignore[valid-type]
    why: str


class Message(msgspec.Struct, gc=False):
    content: str


class Choice(msgspec.Struct, gc=False):
    message: Message
    finish_reason: Literal["stop"]


class Usage(msgspec.Struct, gc=False):
    prompt_tokens: int
    completion_tokens: int


class Body(msgspec.Struct, gc=False):
    choices: tuple[Choice]
    usage: Usage


class Response(msgspec.Struct, gc=False):
    status_code: Literal[200]
    body: Body


class Line(msgspec.Struct, gc=False):
    custom_id: str
    response: Response


class Piece(NamedTuple):
    """Bytes of the input that make one batch; ends at the end of a line."""

    number: int
    first: int
    end: int


class Sent(NamedTuple):
    number: int
    batch_id: str
    requests: int
    tokens: int


def pieces(source: Path) -> Iterator[Piece]:
    """The input cut into batches: at most 50,000 lines, and work for every process."""
    size = source.stat().st_size
    most_bytes = -(-size // PROCESSES)
    first = lines = number = 0
    with source.open("rb") as file:
        while chunk := file.read(CHUNK):
            begins = file.tell() - len(chunk)
            cut = -1
            while (at := chunk.find(b"\n", cut + 1)) >= 0:
                lines += 1
                cut = at
                if lines == BATCH or begins + cut + 1 - first >= most_bytes:
                    yield Piece(number, first, begins + cut + 1)
                    number, first, lines = number + 1, begins + cut + 1, 0
    if first < size:
        yield Piece(number, first, size)


class Worker:
    """One process's client, tokenizer and coders."""

    def __init__(self, source: Path, home: Path, base_url: str) -> None:
        self.source, self.home = source, home
        self.client = openai.OpenAI(base_url=base_url, api_key="none")
        self.encode = _tokenizer().encode
        # The rule is nightmail's (tokens/messages.py, tokens/tools.py).
        schema = json.dumps(job.SCHEMA, separators=(",", ":"))
        fixed = ("system", job.SYSTEM, "user", f"# Response Formats\n\n## {job.NAME}\n\n// \n", schema)
        self.fixed_tokens = sum(len(self.encode(text)) for text in fixed) + 3 + 3 + 3

    def send(self, piece: Piece) -> Sent:
        """A piece of the input to a batch at the provider."""
        decode = msgspec.json.Decoder(Record).decode
        encode = msgspec.json.Encoder().encode
        tokens_of, question = self.encode, job.QUESTION
        beginning, end = _frame()
        requests = tokens = 0
        path = self.home / f"batch-{piece.number}.jsonl"
        with self.source.open("rb") as source, path.open("wb", buffering=CHUNK) as target:
            source.seek(piece.first)
            left = piece.end - piece.first
            for line in source:
                record = decode(line)
                text = question + record.description
                tokens += len(tokens_of(text))
                target.write(b'{"custom_id":' + encode(record.id) + beginning + encode(text) + end)
                requests += 1
                left -= len(line)
                if not left:
                    break
        with path.open("rb") as file:
            uploaded = self.client.files.create(file=file, purpose="batch")
        batch = self.client.batches.create(
            input_file_id=uploaded.id, endpoint=ENDPOINT, completion_window="24h"
        )
        return Sent(piece.number, batch.id, requests, tokens + requests * self.fixed_tokens)

    def fetch(self, sent: Sent) -> tuple[Sent, Path]:
        """A batch to columns in a file of its own."""
        batch = self.client.batches.retrieve(sent.batch_id)
        while batch.status not in ENDED:
            time.sleep(POLL_SECONDS)
            batch = self.client.batches.retrieve(sent.batch_id)
        assert batch.output_file_id, batch
        columns: tuple[list[Any], ...] = ([], [], [], [], [])
        ids, sections, reasons, given, got = (column.append for column in columns)
        read_line = msgspec.json.Decoder(Line).decode
        read_answer = msgspec.json.Decoder(Filed).decode
        for line in self._lines(batch.output_file_id):
            result = read_line(line)
            body = result.response.body
            answer = read_answer(body.choices[0].message.content)
            ids(result.custom_id)
            sections(answer.section)
            reasons(answer.why)
            given(body.usage.prompt_tokens)
            got(body.usage.completion_tokens)
        path = self.home / f"answers-{sent.number}.arrow"
        with pa.ipc.new_file(path, COLUMNS) as writer:
            writer.write_batch(pa.record_batch(list(map(pa.array, columns)), schema=COLUMNS))
        return sent, path

    def _lines(self, file_id: str) -> Iterator[bytes]:
        rest = b""
        with self.client.files.with_streaming_response.content(file_id) as reply:
            for chunk in reply.iter_bytes(CHUNK):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from lines
        if rest:
            yield rest


@cache
def _tokenizer() -> Any:
    return gigatoken.Tokenizer.from_tiktoken(vocabulary_file(ENCODING), "o200k").backend


def _frame() -> tuple[bytes, bytes]:
    """What stands before and after the text in every request."""
    mark = "\x00"
    body = {
        "model": job.MODEL,
        "messages": job.messages({"description": ""}),
        "response_format": job.RESPONSE_FORMAT,
    }
    body["messages"][1]["content"] = mark
    line = msgspec.json.encode({"method": "POST", "url": ENDPOINT, "body": body})
    beginning, end = line.split(msgspec.json.encode(mark))
    return b"," + beginning[1:], end + b"\n"


_worker: Worker


def _begin(source: Path, home: Path, base_url: str) -> None:
    global _worker
    _worker = Worker(source, home, base_url)


def _send(piece: Piece) -> Sent:
    return _worker.send(piece)


def _fetch(sent: Sent) -> tuple[Sent, Path]:
    return _worker.fetch(sent)


def main() -> None:
    given = job.arguments(__doc__).parse_args()
    rows = requests = tokens = 0
    # A forked process has what this one has loaded: the vocabulary, and what the first array looks for.
    _tokenizer()
    pa.array([""])
    # Elsewhere than on Linux forking is not safe.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    with context.Pool(PROCESSES, _begin, (given.input, given.home, given.base_url)) as pool:
        sent = pool.imap(_send, pieces(given.input))
        with pq.ParquetWriter(given.output, COLUMNS, compression="zstd") as writer:
            # Every batch is on its way before the first is asked for; the provider works meanwhile.
            for each, path in pool.imap(_fetch, sent):
                with pa.memory_map(str(path)) as file:
                    table = pa.ipc.open_file(file).read_all()
                    writer.write_table(table)
                rows += table.num_rows
                requests, tokens = requests + each.requests, tokens + each.tokens
        pool.close()
        pool.join()
    told = {"records": requests, "succeeded": rows, "input_tokens": tokens}
    given.told.write_text(json.dumps(told))


if __name__ == "__main__":
    main()
