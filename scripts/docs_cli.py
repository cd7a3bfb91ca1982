"""List every command and its options in docs/reference/cli.md from the command line's own definitions."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from generated import publish, table
from typer.main import get_command

from nightmail.cli.exits import MEANINGS
from nightmail.cli.main import app


def body() -> str:
    """The exit codes, then each command as `--help` has it."""
    codes = table(["exit code", "means"], [[str(int(code)), meaning] for code, meaning in MEANINGS.items()])
    commands: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
    return "\n\n".join(["## Exit codes", codes, *(_section(name, each) for name, each in _single(commands))])


def _single(commands: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every command with its whole name; those of a group one by one."""
    for name, command in commands.items():
        if hasattr(command, "commands"):
            for below, each in _single(command.commands):
                yield f"{name} {below}", each
        else:
            yield name, command


def _section(name: str, command: Any) -> str:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option"]
    needed = [f"{each.opts[0]} {each.metavar}" for each in options if each.required]
    usage = ["nightmail", name, *(each.metavar or each.name.upper() for each in arguments), *needed]
    if len(options) > len(needed):
        usage.append("[OPTIONS]")
    parts = [f"## nightmail {name}", inspect.cleandoc(command.help), f"```text\n{' '.join(usage)}\n```"]
    if name == "simulate":
        parts.append("Its options are the simulator's own: [the simulator](simulator.md).")
    rows = [[f"`{each.metavar or each.name.upper()}`", each.help] for each in arguments]
    rows += [[f"`{_written(each)}`", _told(each)] for each in options]
    return "\n\n".join([*parts, table(["", ""], rows)] if rows else parts)


def _written(option: Any) -> str:
    return f"{option.opts[0]} {option.metavar or ''}".rstrip()


def _told(option: Any) -> str:
    default = "" if option.default in (None, False) or option.required else f" Default: {option.default}."
    return f"{option.help}{' Required.' if option.required else default}"


if __name__ == "__main__":
    publish("docs/reference/cli.md", body(), script=__file__)
