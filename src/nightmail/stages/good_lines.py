"""Good answers that follow each other in a result file: read column by column, which takes half the time of
one after the other. What stands between them is for `validate` to read line by line, in its place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from nightmail.core.request import Endpoint
from nightmail.core.result import Answers
from nightmail.core.usage import Usages
from nightmail.providers.base import Provider
from nightmail.tasks.prepared import PreparedTask
from nightmail.tasks.reading import UNREAD


class GoodLines(NamedTuple):
    """The lines from `start` up to `stop` are complete answers of the task's output: a column each."""

    start: int
    stop: int
    custom_ids: list[str]
    models: list[str]
    usages: Usages
    tiers: list[str | None]
    outputs: list[Any]


def good_lines(
    lines: Sequence[bytes], *, provider: Provider, endpoint: Endpoint, task: PreparedTask
) -> Iterator[GoodLines]:
    """The good answers in these lines, as many together as follow each other. None at all where something of
    the task's own has to see an answer."""
    if not task.only_reads or (answers := provider.read_answers(lines, endpoint)) is None:
        return
    outputs = _outputs(answers, task)
    start = 0
    for at in [*(at for at, output in enumerate(outputs) if output is UNREAD), len(outputs)]:
        if at > start:
            of = slice(start, at)
            yield GoodLines(
                start,
                at,
                answers.custom_ids[of],
                answers.models[of],
                Usages(*(counts[of] for counts in answers.usages)),
                answers.tiers[of],
                outputs[of],
            )
        start = at + 1


def _outputs(answers: Answers, task: PreparedTask) -> list[Any]:
    """The output in each line; `UNREAD` for one that is no good answer."""
    contents = [content for content in answers.contents if content is not None]
    read = task.read_all(contents)
    if len(contents) == len(answers.contents):
        return read
    found = iter(read)
    return [UNREAD if content is None else next(found) for content in answers.contents]
