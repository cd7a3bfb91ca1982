"""`nightmail`, the command; also `python -m nightmail`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from nightmail.cli import ahead


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (see `nightmail.cli.exits`)."""
    ahead.start(sys.argv[1:] if arguments is None else arguments)
    # A tenth of a second, in which the process that was started imports what it needs.
    try:
        from nightmail.cli.main import main as command_line
    except KeyboardInterrupt:
        from nightmail.cli.exits import Exit

        sys.stderr.write("error: interrupted before anything began\n")
        return Exit.NOT_AT_END
    return command_line(arguments)


if __name__ == "__main__":
    sys.exit(main())
