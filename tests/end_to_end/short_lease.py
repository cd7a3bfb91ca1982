"""`nightmail`, with leases and quarantines of seconds, and a stop of the whole process where it is asked for.

    python short_lease.py CALL COMMAND...

After the first CALL of the provider (`upload`, say; `-` for none) the process stops itself, as a laptop
whose lid is closed does, until somebody sends SIGCONT.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from nightmail.cli.main import main
from nightmail.core import recovery
from nightmail.providers.openai.adapter import OpenAIProvider
from nightmail.worker import lease

lease.TERM = timedelta(seconds=2)
lease.RENEW_EVERY = 0.3
recovery.QUARANTINE = timedelta(seconds=1)


def stop_after(call: str) -> None:
    plain = getattr(OpenAIProvider, call)
    marker = Path("stopped")

    @functools.wraps(plain)
    async def stopping(self: OpenAIProvider, *arguments: Any, **named: Any) -> Any:
        answer = await plain(self, *arguments, **named)
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGSTOP)
        return answer

    setattr(OpenAIProvider, call, stopping)


if __name__ == "__main__":
    if sys.argv[1] != "-":
        stop_after(sys.argv[1])
    sys.exit(main(sys.argv[2:]))
