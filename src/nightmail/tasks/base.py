"""`Task`: the one class that a user writes.

Only `build` and a model are needed. The engine never sees a task directly; it sees a
`nightmail.tasks.prepared.PreparedTask`, which has read the attributes below once.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from nightmail.core.request import Endpoint
from nightmail.core.result import Rejection, Response

if TYPE_CHECKING:
    from nightmail.tasks.reading import Reader

NO_PARAMETERS: Mapping[str, Any] = MappingProxyType({})

SHORT_NAMES = {
    "chat": Endpoint.CHAT,
    "responses": Endpoint.RESPONSES,
    "embeddings": Endpoint.EMBEDDINGS,
    "completions": Endpoint.COMPLETIONS,
    "moderations": Endpoint.MODERATIONS,
}


class RejectedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that was not accepted, as `Task.repair` sees it.

    `answer` is the model's text (None if there was none), `complaint` says what is wrong with it
    in words that the model may read.
    """

    answer: str | None
    reason: Rejection
    complaint: str
    record: Any = None


class Task:
    """One question, asked of every record. The first line of your docstring describes it in listings.

    `endpoint` is chat, responses, embeddings, completions or moderations (or the path of one).
    `output` is the type of the answer: a pydantic model, a msgspec struct, a dataclass, a Literal or
    an Enum of labels, a JSON schema, or None for plain text. For embeddings it stays None (one vector
    per record) or is `list` (several). `parameters` go into every request body as they are.
    `max_output_tokens` is the first cap; an answer that reaches it is asked for again with a larger one.
    """

    model: str = ""
    endpoint: Endpoint | str = "chat"
    system: str | None = None
    output: Any = None
    max_output_tokens: int | None = None
    fallback_model: str | None = None
    parameters: Mapping[str, Any] = NO_PARAMETERS
    on_oversize: Literal["fail", "truncate"] = "fail"
    on_refusal: Literal["fail", "retry"] = "fail"

    def build(self, record: Any) -> str | list[Any] | dict[str, Any]:
        """What to ask about `record`: a text, a list of messages, or a whole request body."""
        raise NotImplementedError("a task needs a `build` method")

    def model_for(self, record: Any) -> str:
        """The model for this record; one batch holds one model, the plan groups them."""
        return self.model

    def parse(self, response: Response) -> Any:
        """The output in an answer, by `output` unless overridden.

        Raise `Rejected` to have the record asked again with your text; any other exception counts as
        an answer that could not be read.
        """
        return self._reader.read(response)

    def check(self, output: Any, record: Any) -> None:
        """Raise `Rejected` if `output` is not good enough; the text is shown to the model."""

    def repair(self, request: dict[str, Any], rejection: RejectedAnswer) -> dict[str, Any]:
        """The next request body after a rejection: the conversation, the bad answer and the complaint."""
        from nightmail.tasks.amend import with_complaint

        return with_complaint(
            request, endpoint_of(self), answer=rejection.answer, complaint=rejection.complaint
        )

    def on_output(self, record: Any, output: Any) -> None:
        """Called for each accepted output, at least once (again after a crash at the wrong moment)."""

    @cached_property
    def _reader(self) -> Reader:
        from nightmail.tasks.reading import reader_of

        return reader_of(endpoint_of(self), self.output)


def endpoint_of(task: Task) -> Endpoint:
    """The endpoint that a task names, by short name or by path. Raises `ValueError` for any other."""
    named = str(task.endpoint)
    return SHORT_NAMES[named] if named in SHORT_NAMES else Endpoint(named)
