"""`python -m nightmail.simulator`: serve until told to stop."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from nightmail.errors import ConfigError


def main(argv: Sequence[str] | None = None) -> int:
    """Serve with the given options; returns 0 when stopped, 2 if an option is wrong."""
    from nightmail.simulator.serving import serve
    from nightmail.simulator.settings import from_arguments

    try:
        settings = from_arguments(sys.argv[1:] if argv is None else argv)
        serve(settings)
    except ConfigError as error:
        sys.stderr.write(f"simulator: {error}\n")
        return 2
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
