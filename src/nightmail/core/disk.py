"""What a refusal by the disk means, in words: which file, what the matter is, what helps.

The same words for the spool, the outputs and the database.
"""

from __future__ import annotations

import errno

MAKE_ROOM = "Make room, then run the same command again: nothing is lost"
MAKE_WRITABLE = "Make it writable for this user, or name another place"
_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "this user's share of the disk is used up",
    errno.EFBIG: "the file is larger than the disk, or the limit of this shell (ulimit -f), allows",
}
_CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)


def is_full(error: OSError) -> bool:
    """Would more room help?"""
    return error.errno in _FULL


def full(path: object, error: OSError | None = None, *, needed: int | None = None, free: int = 0) -> str:
    """There is no room for the file. `needed` and `free` are bytes, said if it is known how many it takes."""
    why = _FULL[errno.ENOSPC] if error is None or error.errno is None else _FULL[error.errno]
    sizes = f" ({needed:,} bytes are needed, {free:,} are free)" if needed is not None else ""
    return f"{path}: {why}{sizes}. {MAKE_ROOM}"


def refused(path: object, what: str, error: OSError) -> str:
    """The file cannot be `what` ("read", "written", "made"), for another reason than room."""
    advice = f". {MAKE_WRITABLE}" if what != "read" and error.errno in _CLOSED else ""
    return f"{path} cannot be {what}: {error.strerror or error}{advice}"
