"""A task as the engine uses it: its attributes read once, its mistakes found before anything is sent.

Nothing here is shared between processes: each makes its own from the same task. What a user's method
raises goes through unchanged, except where a method judges an answer: there it becomes a rejection.
"""

from __future__ import annotations

import typing
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from nightmail.core.request import Endpoint
from nightmail.core.result import Rejection, Response
from nightmail.errors import Rejected, TaskError
from nightmail.tasks import amend
from nightmail.tasks.attributes import checked_endpoint, instance_of
from nightmail.tasks.base import RejectedAnswer, Task
from nightmail.tasks.bodies import NOTHING_TO_EMBED, Frame
from nightmail.tasks.fingerprint import digest, fingerprint
from nightmail.tasks.judge import Judged, judge
from nightmail.tasks.output_format import OutputFormat
from nightmail.tasks.reading import Reader, free_columns, reader_of
from nightmail.tasks.shape import arrow_type
from nightmail.tasks.template import Template, compile_template, json_body, json_string, json_strings

if TYPE_CHECKING:
    import pyarrow as pa


class Draft(msgspec.Struct, frozen=True, gc=False):
    """A request: either a text in a template (`escaped` is the text as a JSON string), or a `whole` body."""

    model: str
    whole: bytes = b""
    template: Template | None = None
    text: str | None = None
    escaped: bytes = b""

    @property
    def body(self) -> bytes:
        """The body as it will be sent, as JSON."""
        if self.template is None:
            return self.whole
        return self.template.prefix + self.escaped + self.template.suffix


class PreparedTask:
    """`model`, if given, is used for every request, whatever the task says. Raises `TaskError`."""

    def __init__(self, task: Task | type[Task], *, model: str | None = None) -> None:
        self.task = instance_of(task)
        task = self.task
        self.name = type(task).__name__
        self.description = (type(task).__doc__ or "").strip().partition("\n")[0]
        self.endpoint = checked_endpoint(task)
        self._model = model or task.model
        self._forced_model = model
        overrides = type(task)
        self._chooses_model = model is None and overrides.model_for is not Task.model_for
        self.calls_on_output = overrides.on_output is not Task.on_output
        self.checks = overrides.check is not Task.check
        # Does an answer, or the way to it, depend on more than the request?
        self.sees_record = self.checks or overrides.repair is not Task.repair
        self.needs_record = self.sees_record or self.calls_on_output
        if not self._model and not self._chooses_model:
            raise TaskError(f'{self.name} names no model. Set `model = "..."` on the class, or give --model')

        self._reader = task._reader
        self._columns = self._columns_reader()
        self.answer_schema = self._reader.form.schema if self._reader.form else None
        self.output_name = self._reader.form.name if self._reader.form else None
        self._output_format = OutputFormat(self.endpoint, self._reader.form)
        self.schema = self._output_format.schema(self._model)
        self._frame = Frame(
            endpoint=self.endpoint,
            system=task.system,
            parameters=task.parameters,
            max_output_tokens=task.max_output_tokens,
            output_format=self._output_format,
            several_inputs=task.output is list,
        )
        self.build = task.build
        # Does nothing of the task's own see an answer that is as its output says?
        self.only_reads = not (self.checks or self.calls_on_output) and overrides.parse is Task.parse
        self._parse = self._reader.read if overrides.parse is Task.parse else task.parse
        self._refuses_empty_text = self.endpoint is Endpoint.EMBEDDINGS
        self._templates: dict[str, Template] = {}
        fixed = self._template(self._model) if self._model else None
        # That of every text, where one is the same for all records.
        self.template = None if self._chooses_model else fixed

    def request(self, record: Any) -> Draft:
        """The request for one record. What `build` raises goes through; the rest is as in `draft`."""
        return self.draft(self.build(record), record)

    def draft(self, built: Any, record: Any) -> Draft:
        """The request that `build` made of a record.

        A result that cannot be a request raises `TaskError`, and text that cannot be sent (a lone surrogate,
        nothing to embed) `ValueError`.
        """
        if not isinstance(built, str):
            return self._whole(built, record)
        if not built and self._refuses_empty_text:
            raise ValueError(NOTHING_TO_EMBED)
        model = self.task.model_for(record) if self._chooses_model else self._model
        template = self._templates.get(model) or self._template(model)
        return Draft(model, b"", template, built, json_string(built))

    def escaped(self, texts: Sequence[str]) -> list[bytes]:
        """Texts that `build` made, as they stand in a request; raises `ValueError` as `draft` does."""
        if self._refuses_empty_text and not all(texts):
            raise ValueError(NOTHING_TO_EMBED)
        return json_strings(texts)

    def _whole(self, built: Any, record: Any) -> Draft:
        model = self.task.model_for(record) if self._chooses_model else self._model
        if isinstance(built, dict) and self._forced_model:
            built = {**built, "model": self._forced_model}
        elif isinstance(built, dict):
            model = built.get("model") or model
        body = self._frame.body(self._named(model), built)
        return Draft(body["model"], self._encoded(body))

    def _named(self, model: Any) -> str:
        if isinstance(model, str) and model:
            return model
        raise TaskError(f"{self.name} gave {model!r} for a record instead of a model's name")

    def _encoded(self, body: Any) -> bytes:
        try:
            return json_body(body)
        except TypeError as error:
            raise TaskError(f"{self.name}: the request body cannot be written as JSON: {error}") from error

    def _template(self, model: str) -> Template:
        model = self._named(model)
        empty = self._frame.body(model, "")
        mark = "@text@"
        try:
            fixed = self._encoded(empty).decode()
            while mark in fixed:
                mark += "@"
            template = compile_template(model, self._frame.body(model, mark), mark, empty)
        except ValueError as error:
            raise TaskError(f"{self.name}: the fixed part of the request is not usable: {error}") from error
        self._templates[model] = template
        return template

    def judge(self, response: Response) -> Judged:
        """The output in an answer, or why there is none. Never raises for a bad answer."""
        return judge(self._parse, response)

    def read_all(self, contents: Sequence[Any]) -> list[Any]:
        """The outputs of complete answers to a task that `only_reads`, by their contents (see `Answers`);
        `UNREAD` for each that has to be judged by itself."""
        return self._reader.read_all(contents)

    def check(self, output: Any, record: Any) -> str | None:
        """The complaint of the task's own check, or None if the output is good."""
        if not self.checks:
            return None
        try:
            self.task.check(output, record)
        except Rejected as rejected:
            return str(rejected) or "rejected by check"
        except Exception as error:
            return f"check raised {type(error).__name__}: {error}"
        return None

    def rows(self, outputs: Sequence[Any]) -> list[dict[str, Any]]:
        """Outputs as rows of a table: JSON-able values, which fit `arrow_schema` by their names. They may be
        the outputs themselves."""
        return list(map(free_columns, outputs)) if self._columns is None else self._columns.rows(outputs)

    def column_names(self) -> list[str]:
        """The names in `arrow_schema`, none if there is none; without importing Arrow."""
        return list(self._columns.shape.fields) if self._columns is not None else []

    def arrow_schema(self) -> pa.Schema | None:
        """The columns of an output; None if a `parse` of the task's own returns an undeclared type."""
        if self._columns is None:
            return None
        import pyarrow as pa

        fields = self._columns.shape.fields
        return pa.schema([pa.field(name, arrow_type(shape)) for name, shape in fields.items()])

    def _columns_reader(self) -> Reader | None:
        """A `parse` of the task's own says by its return annotation what it gives."""
        parse = type(self.task).parse
        if parse is Task.parse:
            return self._reader
        try:
            declared = typing.get_type_hints(parse).get("return")
        except Exception:  # an annotation may name what only a type checker imports
            declared = None
        if declared in (None, Any, type(None)):
            return None
        try:
            reader = reader_of(Endpoint.CHAT, None if declared is str else declared)
        except TaskError:
            return None
        return reader if reader.shape.fields else None

    def fingerprint(self) -> dict[str, str]:
        """Part of the task -> short digest; two tasks that ask the same have the same."""
        parts = fingerprint(self.task, self.schema or self.answer_schema) | {"model": digest(self._model)}
        return dict(sorted(parts.items()))

    def repaired(
        self,
        body: bytes,
        *,
        answer: str | None,
        reason: Rejection,
        complaint: str,
        record: Any,
        model: str | None = None,
        max_output_tokens: int | None = None,
    ) -> bytes:
        """The body for another attempt after a rejection.

        A truncated answer is asked for again as it was, only with the larger cap; any other by the
        task's `repair`. `model` takes the place of the one in the body. What `repair` raises goes through.
        """
        request = msgspec.json.decode(body)
        if reason is not Rejection.TRUNCATED:
            rejection = RejectedAnswer(answer=answer, reason=reason, complaint=complaint, record=record)
            request = self.task.repair(request, rejection)
            if not isinstance(request, dict):
                returned = type(request).__name__
                raise TaskError(f"{self.name}.repair returned a {returned}; return the whole request body")
        if max_output_tokens is not None:
            request = amend.with_cap(request, self.endpoint, max_output_tokens)
        if model is not None and model != request.get("model"):
            request = self._output_format.for_model(request, model)
        return self._encoded(request)

    def capped(self, body: bytes) -> int | None:
        """The output cap that a body sets, None if it sets none."""
        return amend.cap_of(msgspec.json.decode(body))

    def truncate(self, record_body: bytes, over_tokens: int) -> bytes | None:
        """The body with its longest user text about `over_tokens` shorter; count and call again until it
        fits. None if nothing can be cut."""
        shorter = amend.shortened(msgspec.json.decode(record_body), self.endpoint, over_tokens)
        return None if shorter is None else self._encoded(shorter)
