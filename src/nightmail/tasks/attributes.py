"""Whether a task is one: its class, its endpoint and its attributes, looked at before anything is built."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from nightmail.core.request import Endpoint
from nightmail.errors import TaskError
from nightmail.tasks.base import Task, endpoint_of
from nightmail.tasks.bodies import CAP_NAMES, TEXT_PLACE
from nightmail.tasks.output_format import STRUCTURED


def instance_of(task: Any) -> Task:
    """A task, from an instance or a class. Raises `TaskError` for anything else."""
    if isinstance(task, Task):
        return task
    if inspect.isclass(task) and issubclass(task, Task):
        try:
            return task()
        except Exception as error:
            raise TaskError(f"{task.__name__}() raised {type(error).__name__}: {error}") from error
    raise TaskError(f"{task!r:.100} is not a nightmail.Task; write a class that inherits from it")


def checked_endpoint(task: Task) -> Endpoint:
    """The task's endpoint, after a look at everything that depends on it. Raises `TaskError`."""
    name = type(task).__name__
    try:
        endpoint = endpoint_of(task)
    except ValueError:
        raise TaskError(
            f"{name}.endpoint is {task.endpoint!r}; it is one of chat, responses, embeddings, completions, "
            "moderations"
        ) from None
    if type(task).build is Task.build:
        raise TaskError(f"{name} has no `build(self, record)`; it returns what to ask about a record")
    for attribute, allowed in (("on_oversize", ("fail", "truncate")), ("on_refusal", ("fail", "retry"))):
        if (value := getattr(task, attribute)) not in allowed:
            raise TaskError(f'{name}.{attribute} is {value!r}; it is "{allowed[0]}" or "{allowed[1]}"')
    _check_parameters(task, endpoint)
    if task.system is not None and endpoint not in STRUCTURED:
        raise TaskError(f"{name}.system is set, but {endpoint} has no system message; put it into the text")
    cap = task.max_output_tokens
    if cap is not None and (type(cap) is not int or cap < 1):
        raise TaskError(f"{name}.max_output_tokens is {cap!r}; it is a number of tokens, or None")
    if cap is not None and endpoint not in CAP_NAMES:
        raise TaskError(f"{name}.max_output_tokens is set, but answers of {endpoint} have no length")
    return endpoint


def _check_parameters(task: Task, endpoint: Endpoint) -> None:
    name = type(task).__name__
    if not isinstance(task.parameters, Mapping):
        raise TaskError(
            f"{name}.parameters is a {type(task.parameters).__name__}; it is a dict of body fields"
        )
    if task.parameters.get("stream"):
        raise TaskError(f"{name}.parameters has `stream`, but batches do not stream; leave it out")
    for taken, instead in (("model", "the attribute `model`"), (TEXT_PLACE[endpoint], "`build`")):
        if taken in task.parameters:
            raise TaskError(f"{name}.parameters has {taken!r}, which {instead} decides; leave it out")
