"""An answer -> the task's output and its columns, one reader for each kind of endpoint and output.

A reader raises `Unreadable` with the reason, a short message without the answer's content for logs, and
a complaint for the model, which may quote the value that is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import is_dataclass
from enum import Enum
from typing import Any, Protocol

import msgspec

from nightmail.core.request import Endpoint
from nightmail.core.result import Rejection, Response
from nightmail.errors import TaskError
from nightmail.tasks.complaints import Problem, problems_of
from nightmail.tasks.output import WRAPPED_COLUMN, OutputForm, form_of
from nightmail.tasks.shape import Convert, Kind, Shape, converter, shape_of


class Unreadable(Exception):
    """An answer that is not of the task's output type."""

    def __init__(self, reason: Rejection, message: str, complaint: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.complaint = complaint or message


class Unread(Enum):
    """Stands for the output of an answer that only `Reader.read` can judge."""

    UNREAD = "unread"


UNREAD = Unread.UNREAD


class Reader(Protocol):
    """`shape` is the columns' shape (a struct), `form` the output type if the answer is JSON."""

    @property
    def shape(self) -> Shape: ...

    @property
    def form(self) -> OutputForm | None: ...

    def read(self, response: Response) -> Any:
        """The output. Raises `Unreadable`."""
        ...

    def read_all(self, contents: Sequence[Any]) -> list[Any]:
        """The outputs of complete answers by their contents (see `Answers`); `UNREAD` if `read` decides."""
        ...

    def rows(self, outputs: Sequence[Any]) -> list[dict[str, Any]]:
        """The outputs as rows of a table: its columns are found in each by their names. Not to be changed:
        they may be the outputs themselves."""
        ...


def reader_of(endpoint: Endpoint, output: Any) -> Reader:
    """The reader for a task. Raises `TaskError` if the output does not fit the endpoint."""
    if endpoint is Endpoint.EMBEDDINGS:
        if output not in (None, list):
            raise TaskError("for embeddings `output` is None (one vector) or `list` (several)")
        return VectorReader(several=output is list)
    if endpoint is Endpoint.MODERATIONS:
        if output is not None:
            raise TaskError("a moderations task has no `output`; its columns are those of the endpoint")
        return ModerationReader()
    return TextReader() if output is None else JsonReader(form_of(output))


class TextReader:
    """The answer is its text, in the column `output`."""

    shape = Shape(Kind.STRUCT, fields={WRAPPED_COLUMN: Shape(Kind.STRING)})
    form = None

    def read(self, response: Response) -> str:
        if response.text is None or not response.text.strip():
            raise Unreadable(Rejection.MALFORMED, "the answer is empty")
        return response.text

    def read_all(self, texts: Sequence[str]) -> list[Any]:
        return [text if text.strip() else UNREAD for text in texts]

    def rows(self, outputs: Sequence[Any]) -> list[dict[str, Any]]:
        return [{WRAPPED_COLUMN: output} for output in outputs]


class VectorReader:
    """One vector in `embedding`, or a list of them in `embeddings`."""

    form = None

    def __init__(self, *, several: bool) -> None:
        self._several = several
        vector = Shape(Kind.VECTOR)
        column = Shape(Kind.LIST, item=vector) if several else vector
        self._column = "embeddings" if several else "embedding"
        self.shape = Shape(Kind.STRUCT, fields={self._column: column})

    def read(self, response: Response) -> Any:
        vectors = response.vectors
        if not vectors:
            raise Unreadable(Rejection.MALFORMED, "the answer holds no vector")
        if self._several:
            return vectors
        if len(vectors) > 1:
            raise Unreadable(Rejection.SCHEMA, f"the answer holds {len(vectors)} vectors instead of one")
        return vectors[0]

    def read_all(self, contents: Sequence[Sequence[Any]]) -> list[Any]:
        return [each if self._several else each[0] if len(each) == 1 else UNREAD for each in contents]

    def rows(self, outputs: Sequence[Any]) -> list[dict[str, Any]]:
        return [{self._column: output} for output in outputs]


# The categories of omni-moderation-latest (API reference "Moderations", read 2026-11). The models before
# it know fewer, and then the rest is null.
CATEGORIES = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent",
    "self-harm", "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence",
    "violence/graphic",
)  # fmt: skip


class _Moderation(msgspec.Struct):
    flagged: bool
    categories: dict[str, bool | None]
    category_scores: dict[str, float | None]


class _Moderations(msgspec.Struct):
    results: list[_Moderation]


class ModerationReader:
    """`flagged`, and for each category whether and how strongly."""

    form = None
    shape = Shape(
        Kind.STRUCT,
        fields={
            "flagged": Shape(Kind.BOOLEAN),
            "categories": Shape(Kind.STRUCT, fields=dict.fromkeys(CATEGORIES, Shape(Kind.BOOLEAN))),
            "category_scores": Shape(Kind.STRUCT, fields=dict.fromkeys(CATEGORIES, Shape(Kind.NUMBER))),
        },
    )

    def __init__(self) -> None:
        self._decode = msgspec.json.Decoder(_Moderations).decode

    def read(self, response: Response) -> dict[str, Any]:
        try:
            results = self._decode(response.raw).results
        except msgspec.DecodeError as error:
            raise Unreadable(Rejection.MALFORMED, f"no moderation result: {error}") from error
        if len(results) != 1:
            raise Unreadable(Rejection.SCHEMA, f"the answer holds {len(results)} results instead of one")
        return msgspec.structs.asdict(results[0])

    def read_all(self, contents: Sequence[Any]) -> list[Any]:
        return [UNREAD] * len(contents)

    def rows(self, outputs: Sequence[Any]) -> list[dict[str, Any]]:
        return list(outputs)


class JsonReader:
    """The answer is JSON of the output type."""

    def __init__(self, form: OutputForm) -> None:
        self.form: OutputForm = form
        inner = shape_of(form.column_schema)
        fields = {WRAPPED_COLUMN: inner} if form.wrapper else inner.fields
        self.shape = Shape(Kind.STRUCT, fields=fields)
        self._decode = form.decode
        self._pairs: list[tuple[str, Convert | None]] = [(name, converter(f)) for name, f in fields.items()]
        self._converts = any(convert for _, convert in self._pairs)
        self._has_integers = _has_integers(self.shape)

    def read(self, response: Response) -> Any:
        text = response.text
        if text is None:
            raise Unreadable(Rejection.MALFORMED, "the answer has no text")
        try:
            output = self._decode(text)
        except Exception as error:  # a type's own validators may raise anything
            output = self._without_fence(text, error)
        if self._has_integers and _maybe_huge(text) and (path := self._huge(output)):
            raise Unreadable(Rejection.SCHEMA, f"{path}: the number does not fit into 64 bits")
        return output

    def read_all(self, texts: Sequence[str]) -> list[Any]:
        if self._has_integers and _maybe_huge("\n".join(texts)):
            return [UNREAD] * len(texts)
        decode = self._decode
        try:
            return [decode(text) for text in texts]
        except Exception:  # as in `read`, which says of which it is
            return [self._read_or_not(text) for text in texts]

    def _read_or_not(self, text: str) -> Any:
        try:
            return self._decode(text)
        except Exception:
            return UNREAD

    def _without_fence(self, text: str, error: Exception) -> Any:
        """Models without strict mode like to put their JSON into a Markdown fence: that is forgiven."""
        fenced = _FENCE.fullmatch(text)
        if fenced is None:
            raise self._unreadable(text, error) from error
        try:
            return self._decode(fenced[1])
        except Exception as inner:
            raise self._unreadable(fenced[1], inner) from inner

    def _unreadable(self, text: str, error: Exception) -> Unreadable:
        if not text.strip():
            return Unreadable(Rejection.MALFORMED, "the answer is empty")
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError) as malformed:
            return Unreadable(Rejection.MALFORMED, f"the answer is not JSON: {malformed}")
        problems = problems_of(error, value, self.form.schema)
        if not problems:
            raised = f"{type(error).__name__}: {error}"
            return Unreadable(Rejection.MALFORMED, f"reading the answer raised {raised}")
        return Unreadable(Rejection.SCHEMA, _joined(problems), _joined(problems, quoting=True))

    def rows(self, outputs: Sequence[Any]) -> list[dict[str, Any]]:
        plain = self.form.plain(outputs)
        if self.form.wrapper:
            plain = [{WRAPPED_COLUMN: each} for each in plain]
        if not self._converts:
            return plain
        return [
            {name: convert(row.get(name)) if convert else row.get(name) for name, convert in self._pairs}
            for row in plain
        ]

    def _huge(self, output: Any) -> str | None:
        return _huge_at(self.rows([output])[0], self.shape, "")


def free_columns(output: Any) -> dict[str, Any]:
    """The columns of a value whose type nobody declared: what a task's own `parse` returned."""
    if hasattr(output, "model_dump"):
        plain: Any = output.model_dump(mode="json")
    elif isinstance(output, (msgspec.Struct, Enum)) or is_dataclass(output):
        plain = msgspec.to_builtins(output)
    else:
        plain = output
    return plain if isinstance(plain, dict) else {WRAPPED_COLUMN: plain}


_FENCE = re.compile(r"\s*```[A-Za-z]*\s*\n(.*)\n?\s*```\s*", re.DOTALL)

_DIGITS_ALIKE = bytes.maketrans(b"123456789E", b"000000000e")


def _maybe_huge(text: str) -> bool:
    """Whether an integer beyond 64 bits can be in it: 19 digits or an exponent.

    Ten times as fast as a regular expression, which would cost more than reading the answer does.
    """
    flat = text.encode("utf-8", "surrogatepass").translate(_DIGITS_ALIKE)
    return b"0" * 19 in flat or b"0e" in flat


def _joined(problems: list[Problem], *, quoting: bool = False) -> str:
    return "; ".join(problem.complaint if quoting else problem.message for problem in problems)


def _has_integers(shape: Shape) -> bool:
    inner = [*shape.fields.values(), *([shape.item] if shape.item else ())]
    return shape.kind is Kind.INTEGER or any(map(_has_integers, inner))


def _huge_at(value: Any, shape: Shape, path: str) -> str | None:
    if value is None:
        return None
    if shape.kind is Kind.INTEGER and not -(2**63) <= value < 2**63:
        return path
    if shape.kind is Kind.LIST and shape.item:
        found = (_huge_at(item, shape.item, f"{path}[{at}]") for at, item in enumerate(value))
    else:
        fields = shape.fields.items()
        found = (_huge_at(value.get(name), inner, f"{path}.{name}".lstrip(".")) for name, inner in fields)
    return next((place for place in found if place), None)
