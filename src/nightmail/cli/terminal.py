"""Where a command's words go: results to standard output, everything else to standard error.

With `--json` standard output gets exactly one JSON object, at the end, and nothing else.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nightmail.config import Server


class Terminal:
    """The two streams of one command, and where its runs are: `home` and `server` are the options that it was
    given, which the commands that it suggests repeat."""

    def __init__(self, *, json: bool = False, home: Path | None = None, server: str | None = None) -> None:
        from nightmail import config

        self.json = json
        self.home = home
        self.server: Server | None = config.server(server, home=home)
        self._place = ["--home", str(home)] if home else ["--server", server] if server else []

    @property
    def is_live(self) -> bool:
        """Is a person looking at standard error, on something that can redraw?"""
        return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def say(self, *lines: str) -> None:
        """The command's result in words."""
        print(*lines, sep="\n", file=sys.stderr if self.json else sys.stdout, flush=True)

    def note(self, *lines: str) -> None:
        """Progress, remarks, complaints."""
        print(*lines, sep="\n", file=sys.stderr, flush=True)

    def give(self, result: dict[str, Any]) -> None:
        """The command's result as data; printed if that was asked for."""
        if self.json:
            print_json(result)

    def command(self, name: str, *arguments: str) -> str:
        """How to call nightmail on the same home or service."""
        return shlex.join(["nightmail", name, *arguments, *self._place])


def print_json(result: dict[str, Any]) -> None:
    """One line on standard output."""
    import msgspec

    print(msgspec.json.encode(result).decode(), flush=True)
