"""What somebody has filled into the form that starts a run, on its way to what the API takes.

The form goes back and forth: it is sent with a file, comes back as a plan that carries all of it in hidden
fields, and is sent again to start. Nothing of it is kept in between but the upload.
"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple, get_args

import msgspec
from fastapi import Depends, Form
from pydantic import ValidationError

from nightmail.web.api.asking import DeclaredTask, NewRun, Source
from nightmail.web.problems import Problem
from nightmail.worker.uploads import Format

Field = Annotated[str, Form(max_length=100_000)]
ENDINGS: tuple[str, ...] = get_args(Format)


class Draft(NamedTuple):
    """The fields as they were filled in; an empty one was left out. `task` is a reference to a task of the
    service; without it, the task is what the fields from `name` to `output` say."""

    task: str = ""
    name: str = ""
    model: str = ""
    system: str = ""
    prompt: str = ""
    output: str = ""
    upload_id: str = ""
    file_name: str = ""
    key: str = ""
    limit: str = ""
    budget: str = ""
    deadline: str = ""
    mode: str = "batch"


async def _drafted(
    task: Field = "",
    name: Field = "",
    model: Field = "",
    system: Field = "",
    prompt: Field = "",
    output: Field = "",
    upload_id: Field = "",
    file_name: Field = "",
    key: Field = "",
    limit: Field = "",
    budget: Field = "",
    deadline: Field = "",
    mode: Field = "batch",
) -> Draft:
    # Browsers send every end of a line as two characters.
    system, prompt, output = (text.replace("\r\n", "\n") for text in (system, prompt, output))
    return Draft(
        task.strip(), name.strip(), model.strip(), system, prompt, output, upload_id, file_name, key.strip(),
        limit.strip(), budget.strip(), deadline.strip(), mode,
    )  # fmt: skip


Drafted = Annotated[Draft, Depends(_drafted)]


def new_run(draft: Draft) -> NewRun:
    """The draft in the API's form. Raises `Problem` 422 that names the field."""
    if not draft.upload_id:
        raise Problem(422, "invalid", "choose a file with the records")
    try:
        return NewRun(
            task=draft.task or _declared(draft),
            source=Source(upload_id=draft.upload_id),
            key=draft.key or None,
            limit=int(draft.limit) if draft.limit.isdecimal() else draft.limit or None,  # type: ignore[arg-type]  # pydantic says what is wrong with it
            budget=draft.budget or None,
            deadline=draft.deadline or None,
            mode=draft.mode,  # type: ignore[arg-type]  # likewise
        )
    except ValidationError as error:
        first = error.errors()[0]
        field = next((str(each) for each in reversed(first["loc"]) if isinstance(each, str)), "the form")
        raise Problem(422, "invalid", f"{field}: {first['msg'].lower()}") from None


def ending_of(file_name: str) -> str:
    """The format that a file's name tells. Raises `Problem` 422."""
    for ending in sorted(ENDINGS, key=len, reverse=True):
        if file_name.lower().endswith(f".{ending}"):
            return ending
    raise Problem(422, "invalid", f"{file_name!r} is none of {', '.join(ENDINGS)}")


def _declared(draft: Draft) -> DeclaredTask:
    return DeclaredTask(
        name=draft.name,
        model=draft.model,
        prompt=draft.prompt,
        system=draft.system or None,
        output=_output(draft.output.strip()),
    )


def _output(written: str) -> dict[str, Any] | list[str] | None:
    """A JSON schema, labels separated by commas or lines, or none for text. Raises `Problem` 422."""
    if not written:
        return None
    if not written.startswith("{"):
        return [label for line in written.splitlines() for each in line.split(",") if (label := each.strip())]
    try:
        schema: dict[str, Any] = msgspec.json.decode(written.encode(), type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise Problem(422, "invalid", f"output: not JSON ({error})") from None
    return schema
