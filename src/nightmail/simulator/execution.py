"""Pieces of a batch, answered: input lines in, output and error lines out.

Runs in a worker process. The result depends on nothing but the job, so a piece may be done twice,
after a crash or because the batch ended in the middle of it, and comes out the same.
"""

from __future__ import annotations

import random
from array import array
from operator import itemgetter
from pathlib import Path

import msgspec
import orjson

from nightmail.simulator.answers import Answer, Given, answer
from nightmail.simulator.asks import Ask
from nightmail.simulator.dialect import Dialect
from nightmail.simulator.faults import Fault, Plan, RequestFaults
from nightmail.simulator.ledger import Lost
from nightmail.simulator.replies import body_of
from nightmail.simulator.spoiling import REFUSED, Failure, line_failure, spoil
from nightmail.simulator.validation import Inspected, Inspecting, LineReader, Piece

_BLOCK = 128
_NOTHING: dict[str, Fault] = {}


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A piece to answer: its first `done` lines, before the batch ends; the rest get `ending`."""

    piece: Piece
    number: int  # of the piece
    name: str  # hexadecimal; names the lines of this batch
    model: str = ""
    batch: int | None = None
    created: int
    seed: int
    plan: Plan
    dialect: Dialect
    output: Path
    errors: Path
    done: int = 2**31
    ending: tuple[str, str] = ("", "")
    first: int = 0  # how many lines of the batch come before
    tokens: bytes | None = None  # as `inspect` counted them
    attempts: bytes | None = None  # how often each line was executed before, one byte each


class Answered(msgspec.Struct, kw_only=True):
    """What came of a job: lines per outcome, tokens as billed."""

    completed: int = 0
    failed: int = 0
    output_lines: int = 0
    error_lines: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    failed_ids: list[str] = []
    struck: dict[str, int] = {}  # request faults, by kind
    lost: Lost = msgspec.field(default_factory=Lost)
    unanswered_ids: list[tuple[bytes, str]] = []  # only of upstream work: lines still to be written


def execute(job: Job) -> Answered:
    """Write the output and error lines of an inspected piece; the files are there even if they are empty."""
    reader = LineReader(job.piece.endpoint)
    answering = _Answering(job)
    counts = array("I", job.tokens or b"")
    for index, line in enumerate(job.piece.lines()):
        custom_id, ask, _ = reader.read(line, counts[index])
        if index >= job.done:
            answering.leave(index, custom_id)
        elif ask is not None:
            answering.answer(index, custom_id, ask)
    return answering.finish()


def inspect_and_execute(job: Job) -> tuple[Inspected, Answered]:
    """Both in one reading; the answers are void if the batch may not run."""
    reader = LineReader(job.piece.endpoint)
    inspecting, answering = Inspecting(), _Answering(job)
    for index, line in enumerate(job.piece.lines()):
        custom_id, ask, wrong = reader.read(line)
        inspecting.add(custom_id, ask, wrong)
        if ask is not None and not inspecting.faults:
            answering.answer(index, custom_id, ask)
    return inspecting.finish(), answering.finish()


class _Answering:
    """Answers the lines of one job and writes them at the end, in another order."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._name = b"%b%04x" % (job.name.encode(), job.number)
        self._endpoint = job.piece.endpoint
        self._success = job.dialect.success_line
        self._given = Given(job.plan.answers)
        faults = RequestFaults(
            job.plan, job.seed, model=job.model, endpoint=job.piece.endpoint.value, batch=job.batch
        )
        self._faults = faults if faults else None
        self._output: list[bytes] = []
        self._errors: list[bytes] = []
        self._result = Answered()

    def leave(self, index: int, custom_id: str) -> None:
        """The batch ended before this line was reached."""
        line_id = b"batch_req_%b%06x" % (self._name, index)
        self._errors.append(
            self._job.dialect.unanswered_line(line_id, orjson.dumps(custom_id), *self._job.ending)
        )

    def answer(self, index: int, custom_id: str, ask: Ask) -> None:
        job, result = self._job, self._result
        name = b"%b%06x" % (self._name, index)
        attempt, struck = 1, _NOTHING
        if job.attempts is not None:
            attempt = 1 + job.attempts[index]
        if self._faults is not None:
            struck = self._faults.on(custom_id, attempt, job.first + index + 1)
        failure = line_failure(struck) if struck else None
        if failure is not None:
            self._count("line_error")
        elif ask.refusal is not None:
            refused = ask.refusal
            failure = Failure(refused.status, refused.body(), "", "")
        if failure is not None:
            self._fail(name, custom_id, failure)
            return
        if struck:
            for kind in struck:
                self._count(kind)
        if struck and "refusal" in struck:
            made = Answer("", ask.recipe.count(REFUSED), "stop", struck["refusal"].message or REFUSED)
        else:
            made = answer(ask, job.seed, self._given, attempt)
            if struck:
                made = spoil(struck, ask, made)
        body = body_of(self._endpoint, ask, made, name, job.created, job.seed)
        result.completed += 1
        result.input_tokens += ask.tokens
        result.output_tokens += made.tokens * ask.choices
        self._output.append(self._success(name, orjson.dumps(custom_id), body))
        if struck:
            self._misdeliver(struck, custom_id, name, body)
            if "missing_lines" in struck and "duplicate_lines" not in struck:
                result.lost.add(1, ask.tokens, made.tokens * ask.choices)

    def _count(self, kind: str) -> None:
        self._result.struck[kind] = self._result.struck.get(kind, 0) + 1

    def _fail(self, name: bytes, custom_id: str, failure: Failure) -> None:
        dialect, line_id, quoted = self._job.dialect, b"batch_req_" + name, orjson.dumps(custom_id)
        self._result.failed_ids.append(custom_id)
        if failure.status is None:
            self._errors.append(dialect.unanswered_line(line_id, quoted, failure.code, failure.message))
        else:
            self._errors.append(dialect.error_line(line_id, quoted, name, failure.status, failure.body))

    def _misdeliver(self, struck: dict[str, Fault], custom_id: str, name: bytes, body: bytes) -> None:
        """Lost, doubled and foreign lines: the answer was made and billed, the file is wrong."""
        written = self._output[-1]
        if "missing_lines" in struck:
            self._output.pop()
        if "duplicate_lines" in struck:
            self._output.append(written)
        if "unknown_lines" in struck:
            self._output.append(self._success(b"u" + name, orjson.dumps(f"unknown-{custom_id}"), body))

    def finish(self) -> Answered:
        seed = self._job.seed + self._job.number
        self._result.failed = len(self._result.failed_ids)
        self._result.output_lines = len(self._output)
        self._result.error_lines = len(self._errors)
        _write(self._job.output, _shuffled(self._output, seed))
        _write(self._job.errors, _shuffled(self._errors, seed))
        return self._result


def _shuffled(lines: list[bytes], seed: int) -> list[bytes]:
    """Another order, the same for the same seed: the provider promises none."""
    if len(lines) < 2:
        return lines
    order = list(range(_BLOCK))
    random.Random(seed).shuffle(order)
    pick = itemgetter(*order)
    whole = len(lines) - len(lines) % _BLOCK
    mixed = lines[whole:][::-1]
    for start in range(0, whole, _BLOCK):
        mixed += pick(lines[start : start + _BLOCK])
    return mixed


def _write(path: Path, lines: list[bytes]) -> None:
    # In one: a buffered file takes a system call for every dozen lines.
    path.write_bytes(b"".join(lines))
