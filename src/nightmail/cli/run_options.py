"""The options that everything has that plans or starts runs: one list, for `plan`, `run` and `schedule add`.

A command that takes `**asked` gets them by a decorator, as `Client.start` wants them. A new option of a run
is described in `options` and listed here.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from nightmail.cli import options as o
from nightmail.core.request import Mode


class Option(NamedTuple):
    """What typer reads of it, and its default."""

    described: Any
    default: Any = None


PLAN: dict[str, Option] = {
    "key": Option(o.KeyField),
    "mode": Option(o.ModeOption, Mode.BATCH),
    "model": Option(o.Model),
    "limit": Option(o.Limit),
    "quota": Option(o.Quotas),
    "max_batch_requests": Option(o.MaxBatchRequests),
    "max_batch_bytes": Option(o.MaxBatchBytes),
    "skip_bad_rows": Option(o.SkipBadRows, False),
    "no_dedupe": Option(o.NoDedupe, False),
}
RUN: dict[str, Option] = PLAN | {
    "max_attempts": Option(o.MaxAttempts, 4),
    "budget": Option(o.Budget),
    "deadline": Option(o.Deadline),
    "priority": Option(o.Priority, 0),
    "max_active_batches": Option(o.MaxActiveBatches),
    "poll_interval": Option(o.PollInterval),
    "keep_remote_files": Option(o.KeepRemoteFiles, False),
}


def taking(options: Mapping[str, Option]) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """The command with these options behind those that it needs; it is called with them as `RunOptions`, in
    `**asked`."""

    def decorated(command: Callable[..., int]) -> Callable[..., int]:
        signature = inspect.signature(command, eval_str=True)
        own = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
        needed = [each for each in own if each.default is each.empty]
        rest = [each.replace(kind=each.KEYWORD_ONLY) for each in own if each.default is not each.empty]
        added = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=each.described
            )
            for name, each in options.items()
        ]

        @functools.wraps(command)
        def taken(**given: Any) -> int:
            asked = {name: given.pop(name) for name in options}
            asked["quotas"] = o.parse_quotas(asked.pop("quota"))
            asked["dedupe"] = not asked.pop("no_dedupe")
            return command(**given, **asked)

        # What typer reads, in place of `**asked`.
        taken.__signature__ = signature.replace(parameters=[*needed, *added, *rest])  # type: ignore[attr-defined]
        return taken

    return decorated
