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
    """Where the records come from: exactly one of these. Several uploads are read one after the other;
    `format` is that of a `url`."""

    upload_id: str | Annotated[list[str], Field(min_length=1, max_length=1000)] | None = None
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


class PlanOptions(_Strict):
    """Options that a plan has too. `quotas` are tokens that may be enqueued for a model; they can be less
    than the service's own, not more. With `dedupe` requests that are the same are sent once."""

    key: Text | None = None
    limit: Count | None = None
    model: Text | None = None
    mode: Mode = Mode.BATCH
    quotas: Annotated[dict[Text, Annotated[int, Field(ge=1, le=10**12)]], Field(max_length=100)] = {}
    max_batch_requests: Count | None = None
    max_batch_bytes: Count | None = None
    skip_bad_rows: StrictBool = False
    dedupe: StrictBool = True


class RunOptions(PlanOptions):
    """Options of whatever starts runs."""

    budget: Money | None = None
    deadline: Annotated[str, Field(max_length=40, description="6h, 90m, 1d12h from its start.")] | None = None
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 4
    max_active_batches: Count | None = None
    poll_interval: Annotated[float, Field(ge=0.05, le=86_400)] | None = None
    keep_remote_files: StrictBool = False


class NewPlan(PlanOptions):
    """A run to be counted."""

    task: str | DeclaredTask
    source: Source


class NewRun(RunOptions):
    """A run to start. The same task over the same source is the same run, unless `new`; if the task has
    changed since, it is refused, unless `as_started`."""

    task: str | DeclaredTask
    source: Source
    new: StrictBool = False
    as_started: StrictBool = False


class NewSchedule(RunOptions):
    """Runs that start by themselves: over `source` at each time of `cron`, or over the files that come into
    the folder `watch`. Paths are those of the service's machine. `output` is a pattern with {date} and
    perhaps {time}, by the clock of `time_zone`, and {schedule}. Only new and changed records are asked unless
    `every_record`; `replace` changes the schedule that has this name already."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$")]
    task: str | DeclaredTask
    output: Text
    source: Text | None = None
    watch: Text | None = None
    cron: Text | None = None
    time_zone: Text = "UTC"
    every_record: StrictBool = False
    replace: StrictBool = False


class Resume(_Strict):
    """`budget` is another one for the whole run."""

    budget: Money | None = None


class Retry(_Strict):
    """`reasons`: only what failed for one of them. `revalidate`: stored answers are judged again, nobody is
    asked."""

    reasons: list[Reason] | None = None
    revalidate: StrictBool = False
