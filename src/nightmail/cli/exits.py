"""What the command line's exit codes mean, and which error leads to which.

Scripts rely on the numbers; they never change.
"""

from __future__ import annotations

from enum import IntEnum

from nightmail.errors import (
    AuthenticationFailed,
    ConfigError,
    DiskFull,
    ProviderError,
    ServiceUnreachable,
    SinkError,
    SourceError,
    StoreError,
    TaskError,
)


class Exit(IntEnum):
    """How a command ended."""

    DONE = 0
    FAILURES = 1
    USAGE = 2
    NOT_AT_END = 3
    UNREACHABLE = 4
    OURS = 70  # EX_SOFTWARE of sysexits.h


MEANINGS = {
    Exit.DONE: "all records succeeded, or the command did what it was told",
    Exit.FAILURES: "finished, but with failed or cancelled records; for doctor: with findings",
    Exit.USAGE: "an option, a setting, the task, the input or the output is wrong",
    Exit.NOT_AT_END: "paused, detached or interrupted before the end",
    Exit.UNREACHABLE: "the provider, the store or the service cannot be reached, or the disk is full",
    Exit.OURS: "a fault of nightmail itself",
}


def exit_of(error: Exception) -> Exit:
    """The code for an error that ends a command."""
    match error:
        case ConfigError() | TaskError() | SourceError() | SinkError() | AuthenticationFailed():
            return Exit.USAGE
        case ProviderError() | StoreError() | DiskFull() | ServiceUnreachable():
            return Exit.UNREACHABLE
        case _:
            return Exit.OURS


def message_of(error: Exception) -> str:
    """The one message for the person who reads it."""
    text = str(error)
    if exit_of(error) is Exit.OURS:
        return (
            f"this is a fault of nightmail, please report it: {type(error).__name__}: {text} "
            "(NIGHTMAIL_DEBUG=1 shows where)"
        )
    if isinstance(error, AuthenticationFailed) and "OPENAI_API_KEY" not in text:
        return f"{text.rstrip('.')}. Set OPENAI_API_KEY to a key that this server accepts."
    return text
