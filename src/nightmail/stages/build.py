"""From the rows of one piece to request lines: the part of enqueueing that burns CPU.

A function of its arguments: it may run in any thread or process, and doing it again gives the same
bytes, so a crash anywhere in it costs nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from itertools import compress
from typing import Any, NamedTuple

import msgspec

from nightmail.core.failure import Reason
from nightmail.core.ids import RunId, custom_id
from nightmail.core.limits import Limits
from nightmail.core.request import Endpoint
from nightmail.errors import Rejected, TaskError
from nightmail.providers.base import Provider
from nightmail.sources.base import BadRow, Record
from nightmail.stages.digest import Digest, begun, completed
from nightmail.stages.keying import Keying, named
from nightmail.stages.raised import described
from nightmail.stores.base import FailedRow, Key
from nightmail.tasks.prepared import Draft, PreparedTask
from nightmail.tasks.template import Template
from nightmail.tokens.base import Counter

# Room left for the answer where the task names no cap; a request that leaves less is oversize.
ANSWER_ROOM = 256
MAX_TRUNCATIONS = 8
# Texts that go through all steps before the next ones do: so many stay in the processor's cache.
AT_ONCE = 256
# A number that no record has, by which the places of number and text are found in a template's line.
MARK = 10**18


class BuiltRows(msgspec.Struct, kw_only=True):
    """Requests before their models have group numbers: a column each, all of one length."""

    seqs: list[int] = []
    keys: list[Key] = []
    models: list[str] = []
    tokens: list[int] = []
    inputs: list[int] = []
    lengths: list[int] = []


class Built(NamedTuple):
    """What became of a piece: the request lines, what is known of each, and the records without one; where
    they are wanted, the requests' digests."""

    lines: list[bytes]
    rows: BuiltRows
    failed: list[FailedRow]
    digests: Sequence[bytes] = ()


class Made(NamedTuple):
    """One request line; what of it varies, which its digest is completed with."""

    line: bytes
    tokens: int
    inputs: int
    fixed: hashlib.blake2b
    varying: bytes


class Asked(NamedTuple):
    """Records of which the task has made something: a column each."""

    seqs: list[int]
    keys: list[Key]
    records: list[Record]
    values: list[Any]


class Frame(NamedTuple):
    """What every request of a template shares. A line is `head`, the record's number, `middle`, the text
    as a JSON string, `tail`; its tokens are `tokens` and those of the text, at most `room` in all; its
    digest is `digest`, completed with the text."""

    head: bytes
    middle: bytes
    tail: bytes
    tokens: int
    room: float
    max_bytes: int
    count: Callable[[str], int]
    digest: hashlib.blake2b

    def lines(self, seqs: Sequence[int], escaped: Sequence[bytes]) -> list[bytes]:
        """The lines of texts that are JSON strings already."""
        head, middle, tail, *_ = self
        return [
            b"%b%d%b%b%b" % (head, seq, middle, text, tail) for seq, text in zip(seqs, escaped, strict=True)
        ]


class Workshop:
    """What building needs beside the rows; made once per run, used by one thread at a time."""

    def __init__(
        self, *, task: PreparedTask, provider: Provider, counter: Callable[[str], Counter], run_id: RunId
    ) -> None:
        self._task = task
        self._provider = provider
        self._counter = counter
        self._run_id = run_id
        self._limits: dict[str, Limits] = {}
        self._frames: dict[str, Frame | None] = {}
        self._whole_digest = begun(task.endpoint)

    def prepare(self) -> None:
        """Load what requests of the task's own model are counted with, which takes 0.3 s."""
        if self._task.template is not None:
            self._framed(self._task.template)

    def build(
        self, rows: Sequence[Record | BadRow], *, first_seq: int, keying: Keying, digest: Digest | None = None
    ) -> Built:
        """Requests for `rows`, numbered from `first_seq`, with digests if one is named. Bad rows and
        records of which no request can be made become failures; nothing is raised for a single record."""
        failed: list[FailedRow] = []
        asked = self._asked(rows, first_seq, keying, failed)
        built = self._spliced(asked, failed, digest) or self._one_by_one(asked, failed, digest)
        failed.sort(key=lambda each: each.seq)
        return built

    def _asked(
        self, rows: Sequence[Record | BadRow], first_seq: int, keying: Keying, failed: list[FailedRow]
    ) -> Asked:
        """What the task makes of each record; those of which it makes nothing are put to `failed`."""
        seqs, keys, records = named(rows, first_seq, keying, failed)
        build, unmade, known = self._task.build, object(), len(failed)
        values: list[Any] = []
        for record in records:
            try:
                values.append(build(record))
            except Exception as error:  # the user's code may raise anything
                at = len(values)
                failed.append(FailedRow(seqs[at], keys[at], Reason.BUILD, _why(error)))
                values.append(unmade)
        if len(failed) == known:
            return Asked(seqs, keys, records, values)
        kept = [value is not unmade for value in values]
        return Asked(*(list(compress(column, kept)) for column in (seqs, keys, records, values)))

    def _spliced(self, asked: Asked, failed: list[FailedRow], digest: Digest | None) -> Built | None:
        """All at once, if each is a text that fits into the task's one template; else None. Column by column
        takes half the time of one by one."""
        template = self._task.template
        frame = self._framed(template) if template is not None else None
        if template is None or frame is None or not {str}.issuperset(map(type, asked.values)):
            return None
        lines: list[bytes] = []
        tokens: list[int] = []
        found: list[bytes] = []
        for first in range(0, len(asked.values), AT_ONCE):
            texts = asked.values[first : first + AT_ONCE]
            try:
                escaped = self._task.escaped(texts)
            except (TaskError, ValueError):
                return None
            lines += frame.lines(asked.seqs[first : first + AT_ONCE], escaped)
            tokens += [frame.tokens + n for n in map(frame.count, texts)]
            if digest is not None:
                found += completed(frame.digest, escaped, digest)
        lengths = list(map(len, lines))
        if max(tokens, default=0) > frame.room or max(lengths, default=0) > frame.max_bytes:
            return None
        models, inputs = [template.model] * len(lines), [1] * len(lines)
        rows = BuiltRows(
            seqs=asked.seqs, keys=asked.keys, models=models, tokens=tokens, inputs=inputs, lengths=lengths
        )
        return Built(lines, rows, failed, found)

    def _one_by_one(self, asked: Asked, failed: list[FailedRow], digest: Digest | None) -> Built:
        lines: list[bytes] = []
        found: list[bytes] = []
        built = BuiltRows()
        for seq, key, record, value in zip(*asked, strict=True):
            try:
                draft = self._task.draft(value, record)
            except Exception as error:  # a `model_for` of the user's may raise anything
                failed.append(FailedRow(seq, key, Reason.BUILD, _why(error)))
                continue
            made = self._by_frame(draft, seq) or self._whole(draft, seq)
            if isinstance(made, str):
                failed.append(FailedRow(seq, key, Reason.OVERSIZE, f"record {key!r} {made}"))
                continue
            line, tokens, inputs, fixed, varying = made
            lines.append(line)
            if digest is not None:
                found += completed(fixed, [varying], digest)
            built.seqs.append(seq)
            built.keys.append(key)
            built.models.append(draft.model)
            built.tokens.append(tokens)
            built.inputs.append(inputs)
            built.lengths.append(len(line))
        return Built(lines, built, failed, found)

    def limits(self, model: str) -> Limits:
        if model not in self._limits:
            self._limits[model] = self._provider.limits(model, self._task.endpoint)
        return self._limits[model]

    def _by_frame(self, draft: Draft, seq: int) -> Made | None:
        """The line by the frame of the draft's template; None if it has none, or does not fit."""
        if draft.text is None or draft.template is None or (frame := self._framed(draft.template)) is None:
            return None
        tokens = frame.tokens + frame.count(draft.text)
        [line] = frame.lines([seq], [draft.escaped])
        if tokens > frame.room or len(line) > frame.max_bytes:
            return None
        return Made(line, tokens, 1, frame.digest, draft.escaped)

    def _framed(self, template: Template) -> Frame | None:
        if template.model not in self._frames:
            self._frames[template.model] = self._frame(template.model, template)
        return self._frames[template.model]

    def _frame(self, model: str, template: Template) -> Frame | None:
        """A provider's line holds a request's name and its body as they are: where, a marked one shows."""
        name = custom_id(self._run_id, MARK).encode()
        body = template.prefix + b'"%b"' % name + template.suffix
        line = self._provider.request_line(name.decode(), self._task.endpoint, body)
        parts = line.split(name)
        if len(parts) != 3:
            return None
        head, middle, tail = parts
        counter = self._counter(model)
        cap = self._task.capped(template.prefix + b'""' + template.suffix)
        return Frame(
            head=head + name.removesuffix(b"%d" % MARK),
            middle=middle.removesuffix(b'"'),
            tail=tail.removeprefix(b'"'),
            tokens=counter.body(self._task.endpoint, template.body_without_text),
            room=self._room(model, 1, cap),
            max_bytes=self.limits(model).max_batch_bytes,
            count=counter.text,
            digest=begun(self._task.endpoint, template.prefix, template.suffix),
        )

    def _room(self, model: str, inputs: int, cap: int | None) -> float:
        """How many input tokens a request may have."""
        window = self.limits(model).context_window
        if window is None:
            return float("inf")
        if self._task.endpoint in (Endpoint.EMBEDDINGS, Endpoint.MODERATIONS):
            # The window is per input there, and the provider says which one is too long.
            return window * max(1, inputs)
        return window - min(cap or ANSWER_ROOM, window // 2)

    def _whole(self, draft: Draft, seq: int) -> Made | str:
        """The line of any body, shortened if it must be and may be; or what is wrong with its size."""
        model, body = draft.model, draft.body
        tokens, inputs = self._count(model, body)
        room = self._room(model, inputs, self._task.capped(body))
        if tokens > room and self._task.task.on_oversize == "truncate":
            for _ in range(MAX_TRUNCATIONS):
                shorter = self._task.truncate(body, int(tokens - room))
                if shorter is None:
                    break
                body = shorter
                tokens, inputs = self._count(model, body)
                if tokens <= room:
                    break
        if tokens > room:
            return (
                f"needs {tokens:,} tokens; {model} takes {self.limits(model).context_window:,}, the answer "
                'included. Set Task.on_oversize = "fail" | "truncate", or build a shorter request.'
            )
        line = self._provider.request_line(custom_id(self._run_id, seq), self._task.endpoint, body)
        if len(line) > self.limits(model).max_batch_bytes:
            return f"makes a request of {len(line):,} bytes; a whole batch takes less"
        return Made(line, tokens, inputs, self._whole_digest, body)

    def _count(self, model: str, body: bytes) -> tuple[int, int]:
        """Input tokens of a body, and how many inputs it counts for."""
        counter, value = self._counter(model), msgspec.json.decode(body)
        return counter.body(self._task.endpoint, value), counter.inputs(self._task.endpoint, value)


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, (TaskError, Rejected)) else f"build raised {described(error)}"
