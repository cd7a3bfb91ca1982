"""What a command will need is begun before anything else is imported.

The words of the command line are only looked at: what they mean is for the command to find out. A process
that was started for nothing is ended by the command, or with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nightmail.processes import start_ahead

INPUT = "--input"


def start(words: Sequence[str]) -> None:
    """Start a process if this is a run over a file that is worth one."""
    if not words or words[0] != "run":
        return
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == INPUT:
            start_ahead(_size(following))
        elif word.startswith(f"{INPUT}="):
            start_ahead(_size(word.removeprefix(f"{INPUT}=")))


def _size(path: str) -> int:
    """Bytes of a file; 0 of anything else, of which it takes longer to know."""
    try:
        return Path(path).stat().st_size
    except (OSError, ValueError):
        return 0
