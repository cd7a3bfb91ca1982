"""From the rows of one piece to request lines: the part of enqueueing that burns CPU.

A function of its arguments: it may run in any thread or process, and doing it again gives the same
bytes, so a crash anywhere in it costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from nightmail.core.failure import Reason
from nightmail.core.ids import RunId, custom_id
from nightmail.core.limits import Limits
from nightmail.core.request import Endpoint
from nightmail.core.run import KeyKind
from nightmail.errors import Rejected, TaskError
from nightmail.providers.base import Provider
from nightmail.sources.base import BadRow, Record
from nightmail.stores.base import FailedRow, Key
from nightmail.tasks.prepared import Draft, PreparedTask
from nightmail.tasks.template import Template
from nightmail.tokens.base import Counter

# Room left for the answer where the task names no cap; a request that leaves less is oversize.
ANSWER_ROOM = 256
MAX_TRUNCATIONS = 8


class BuiltRow(msgspec.Struct, frozen=True, gc=False):
    """A request, before its model has a group number."""

    seq: int
    key: Key
    model: str
    tokens: int
    inputs: int
    offset: int
    length: int


class Built(NamedTuple):
    """What became of a piece: the request lines joined, and one row per record."""

    lines: list[bytes]
    rows: list[BuiltRow]
    failed: list[FailedRow]


class Fixed(NamedTuple):
    """What every request of a template shares: the tokens around its text, and its output cap."""

    template: Template
    tokens: int
    cap: int | None


class Keying(NamedTuple):
    """How records are named: by a field, or by their number in the source."""

    kind: KeyKind
    name: str

    def key(self, record: Record, seq: int) -> Key:
        """The record's key; `ValueError` says what is wrong with it."""
        if self.kind is KeyKind.ROW:
            return seq
        try:
            key = record[self.name]
        except KeyError:
            raise ValueError(f"there is no {self.name!r} in this record (it has {_some(record)})") from None
        if self.kind is KeyKind.TEXT:
            if isinstance(key, str):
                if key.strip():
                    return key
                raise ValueError(f"{self.name!r} is empty")
        elif isinstance(key, int) and not isinstance(key, bool):
            return key
        if key is None:
            raise ValueError(f"{self.name!r} is empty")
        raise ValueError(
            f"{self.name!r} is {key!r}, but this run's keys are {self.kind.value}s (as in its first record)"
        )


class Workshop:
    """What building needs beside the rows; made once per run, used by one thread at a time."""

    def __init__(
        self, *, task: PreparedTask, provider: Provider, counter: Callable[[str], Counter], run_id: RunId
    ) -> None:
        self._task = task
        self._provider = provider
        self._counter = counter
        self._run_id = run_id
        self._counters: dict[str, Counter] = {}
        self._limits: dict[str, Limits] = {}
        self._fixed: dict[int, Fixed] = {}

    def build(self, rows: Sequence[Record | BadRow], *, first_seq: int, keying: Keying) -> Built:
        """Requests for `rows`, numbered from `first_seq`. Bad rows and records of which no request can
        be made become failures; nothing is raised for a single record."""
        lines: list[bytes] = []
        built: list[BuiltRow] = []
        failed: list[FailedRow] = []
        offset = 0
        for seq, row in enumerate(rows, first_seq):
            if isinstance(row, BadRow):
                failed.append(FailedRow(seq, seq, Reason.BAD_ROW, f"line {row.row}: {row.message}"))
                continue
            try:
                key = keying.key(row, seq)
            except ValueError as error:
                failed.append(FailedRow(seq, seq, Reason.BAD_ROW, str(error)))
                continue
            try:
                draft = self._task.request(row)
            except (TaskError, Rejected) as error:
                failed.append(FailedRow(seq, key, Reason.BUILD, str(error)))
                continue
            except Exception as error:  # the user's code may raise anything
                failed.append(FailedRow(seq, key, Reason.BUILD, f"build raised {described(error)}"))
                continue
            fitted = self._fit(draft)
            if isinstance(fitted, str):
                failed.append(FailedRow(seq, key, Reason.OVERSIZE, f"record {key!r} {fitted}"))
                continue
            body, tokens, inputs = fitted
            line = self._provider.request_line(custom_id(self._run_id, seq), self._task.endpoint, body)
            if len(line) > self.limits(draft.model).max_batch_bytes:
                message = f"record {key!r} makes a request of {len(line):,} bytes; a whole batch takes less"
                failed.append(FailedRow(seq, key, Reason.OVERSIZE, message))
                continue
            lines.append(line)
            built.append(BuiltRow(seq, key, draft.model, tokens, inputs, offset, len(line)))
            offset += len(line)
        return Built(lines, built, failed)

    def limits(self, model: str) -> Limits:
        if model not in self._limits:
            self._limits[model] = self._provider.limits(model, self._task.endpoint)
        return self._limits[model]

    def counter(self, model: str) -> Counter:
        if model not in self._counters:
            self._counters[model] = self._counter(model)
        return self._counters[model]

    def count(self, draft: Draft) -> tuple[int, int]:
        """Input tokens of a draft, and how many inputs it counts for."""
        counter = self.counter(draft.model)
        if draft.template is None or draft.text is None:
            body = msgspec.json.decode(draft.body)
            return counter.body(self._task.endpoint, body), counter.inputs(self._task.endpoint, body)
        return self._shared(draft.template, draft).tokens + counter.text(draft.text), 1

    def _shared(self, template: Template, draft: Draft) -> Fixed:
        known = self._fixed.get(id(template))
        if known is None:
            tokens = self.counter(draft.model).body(self._task.endpoint, template.body_without_text)
            # The template is kept beside what is known of it, so that its id stays its own.
            known = self._fixed[id(template)] = Fixed(template, tokens, self._task.capped(draft.body))
        return known

    def _cap(self, draft: Draft) -> int | None:
        if draft.template is None:
            return self._task.capped(draft.body)
        return self._shared(draft.template, draft).cap

    def _fit(self, draft: Draft) -> tuple[bytes, int, int] | str:
        """The body to send with its counts, or what is wrong with its size."""
        tokens, inputs = self.count(draft)
        window = self.limits(draft.model).context_window
        if window is None:
            return draft.body, tokens, inputs
        if self._task.endpoint in (Endpoint.EMBEDDINGS, Endpoint.MODERATIONS):
            # The window is per input there, and the provider says which one is too long.
            room = window * max(1, inputs)
        else:
            room = window - min(self._cap(draft) or ANSWER_ROOM, window // 2)
        if tokens <= room:
            return draft.body, tokens, inputs
        if self._task.task.on_oversize == "truncate":
            body = draft.body
            for _ in range(MAX_TRUNCATIONS):
                shorter = self._task.truncate(body, tokens - room)
                if shorter is None:
                    break
                body = shorter
                tokens, inputs = self.count(Draft(draft.model, body, None, None))
                if tokens <= room:
                    return body, tokens, inputs
        return (
            f"needs {tokens:,} tokens; {draft.model} takes {window:,}, the answer included. "
            'Set Task.on_oversize = "fail" | "truncate", or build a shorter request.'
        )


def keying_for(record: Record, wanted: str | None) -> Keying:
    """How this source's records are named, judged by its first record: `wanted`, else `id` if there is
    one, else the row number. Raises `ValueError` with what is wrong."""
    name = wanted or ("id" if "id" in record else None)
    if name is None:
        return Keying(KeyKind.ROW, "row")
    if name not in record:
        raise ValueError(f"there is no field {name!r} to be the key; the first record has {_some(record)}")
    value = record[name]
    if isinstance(value, int) and not isinstance(value, bool):
        return Keying(KeyKind.INTEGER, name)
    if isinstance(value, str):
        return Keying(KeyKind.TEXT, name)
    raise ValueError(
        f"the key {name!r} must be a text or a whole number, but is {value!r} in the first record"
    )


def described(error: BaseException) -> str:
    """An exception of the user's code in one line."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _some(record: Record) -> str:
    names = ", ".join(map(str, list(record)[:12]))
    return names if len(record) <= 12 else f"{names}, ..."
