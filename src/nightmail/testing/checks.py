"""`check_task`: one record through a task, as a run would take it, with no call made.

Finds before the first paid request what otherwise shows in the results: a schema that the API refuses,
a `build` that returns no request, a `parse`, `check` or `repair` that raises, columns that do not fit.
"""

from __future__ import annotations

from typing import Any

import msgspec

from nightmail.core.request import Endpoint
from nightmail.core.result import Rejection, Response
from nightmail.tasks.base import Task
from nightmail.tasks.prepared import PreparedTask
from nightmail.testing.sample_answer import TEXT, sample_answer
from nightmail.tokens.counter import counter_for

_HINT = "; this answer was made up: if it cannot be a good one, give yours: check_task(..., answer=...)"
_VECTOR = [0.1, -0.2, 0.3]


class CheckedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The request for one record: its body, its input tokens, and the schema that it asks for.

    `output` is what the task made of the answer that it was tried with.
    """

    body: dict[str, Any]
    tokens: int
    endpoint: Endpoint
    model: str
    schema: dict[str, Any] | None
    output: Any


def check_task(task: Task | type[Task], record: Any, *, answer: Any = None) -> CheckedRequest:
    """Try a task on one record: build, strict schema, tokens, then an answer through parse and check.

    `answer` is a text, a value to be sent as JSON, or (embeddings) a vector; without it a value
    is made up from the output's schema. Raises `TaskError` for a mistake in the task's definition,
    `AssertionError` for one that shows on this record; what `build` and `repair` raise goes through.
    """
    prepared = PreparedTask(task)
    draft = prepared.request(record)
    body = msgspec.json.decode(draft.body)
    tokens = counter_for(draft.model).body(prepared.endpoint, body)
    hint = "" if answer is not None else _HINT
    text = _answer_text(prepared, answer)

    judged = prepared.judge(_response(prepared, draft.model, text, answer))
    if judged.rejection is not None:
        said = f"{judged.rejection}: {judged.message}"
        raise AssertionError(f"{prepared.name} does not accept {text!r:.300}: {said}{hint}")
    complaint = prepared.check(judged.output, record)
    if complaint is not None:
        raise AssertionError(f"{prepared.name}.check says to {text!r:.300}: {complaint}{hint}")
    _check_columns(prepared, judged.output)
    prepared.repaired(
        draft.body, answer=text, reason=Rejection.SCHEMA, complaint="a test of repair", record=record
    )
    return CheckedRequest(
        body=body,
        tokens=tokens,
        endpoint=prepared.endpoint,
        model=draft.model,
        schema=prepared.schema,
        output=judged.output,
    )


def _answer_text(prepared: PreparedTask, answer: Any) -> str:
    if isinstance(answer, str):
        return answer
    if answer is None:
        described = prepared.answer_schema
        answer = TEXT if described is None else sample_answer(described)
        if isinstance(answer, str):
            return answer
    dumped = answer.model_dump(mode="json") if hasattr(answer, "model_dump") else answer
    return msgspec.json.encode(dumped).decode()


def _response(prepared: PreparedTask, model: str, text: str, answer: Any) -> Response:
    if prepared.endpoint is Endpoint.EMBEDDINGS:
        vectors: list[Any] = _VECTOR if answer is None else answer
        if not isinstance(vectors[0], list):
            vectors = [vectors]
        return Response(model=model, whole=msgspec.Raw(b"{}"), vectors=vectors)
    if prepared.endpoint is Endpoint.MODERATIONS:
        result = answer or {"flagged": False, "categories": {}, "category_scores": {}}
        return Response(model=model, whole=msgspec.Raw(msgspec.json.encode({"results": [result]})))
    return Response(model=model, whole=msgspec.Raw(b"{}"), text=text)


def _check_columns(prepared: PreparedTask, output: Any) -> None:
    import pyarrow as pa

    rows = prepared.rows([output])
    schema = prepared.arrow_schema()
    try:
        pa.Table.from_pylist(rows, schema=schema)
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise AssertionError(
            f"{prepared.name}: the output {output!r:.300} does not fit a table: {error}"
        ) from error
