"""What a program sends to start or steer a run."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictBool, model_validator

from nightmail.core.failure import Reason
from nightmail.core.request import Mode
from nightmail.tasks.declared import Declaration
from nightmail.worker.uploads import Format

Money = Annotated[str, Field(pattern=r"^[0-9]{1,9}(\.[0-9]{1,6})?$", description="USD, such as 5 or 0.25.")]
Count = Annotated[int, Field(ge=1, le=10**9)]
Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class DeclaredTask(_Strict):
    """A task without Python. In `prompt`, `{field}` stands for a field of the record; `output` is a JSON
    schema, a list of labels, or none for text."""

    name: Text
    model: Text
    prompt: Annotated[str, Field(min_length=1)]
    system: str | None = None
    output: dict[str, Any] | list[Text] | None = None
    endpoint: Literal["chat", "responses", "embeddings", "completions", "moderations"] = "chat"
    parameters: dict[str, Any] = {}
    max_output_tokens: Count | None = None
    fallback_model: Text | None = None

    def declaration(self) -> Declaration:
        return Declaration(**self.model_dump())


class Source(_Strict):
    """Where the records come from: exactly one of these. `format` is that of a `url`."""

    upload_id: str | None = None
    path: str | None = None
    url: str | None = None
    records: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=10_000)] | None = None
    format: Format = "jsonl"

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [self.upload_id, self.path, self.url, self.records]
        if sum(each is not None for each in given) != 1:
            raise ValueError("give exactly one of upload_id, path, url and records")
        return self


class NewRun(_Strict):
    """A run to start. The same task over the same source is the same run, unless `new`."""

    task: str | DeclaredTask
    source: Source
    key: Text | None = None
    limit: Count | None = None
    model: Text | None = None
    mode: Mode = Mode.BATCH
    budget: Money | None = None
    deadline: Annotated[str, Field(max_length=40, description="6h, 90m, 1d12h from its start.")] | None = None
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 4
    max_batch_requests: Count | None = None
    max_batch_bytes: Count | None = None
    max_active_batches: Count | None = None
    poll_interval: Annotated[float, Field(ge=0.05, le=86_400)] | None = None
    skip_bad_rows: StrictBool = False
    new: StrictBool = False


class Resume(_Strict):
    """`budget` is another one for the whole run."""

    budget: Money | None = None


class Retry(_Strict):
    """`reasons`: only what failed for one of them. `revalidate`: stored answers are judged again, nobody is
    asked."""

    reasons: list[Reason] | None = None
    revalidate: StrictBool = False
