"""The vocabularies, as files that OpenAI publishes. Nothing is downloaded: counting works offline.

No small package brings these files along, but quicktok's wheel has their tokens. A file is made of those
once on a machine (1 s), kept under the name that tiktoken looks for, and proved right by the SHA-256 that
tiktoken has for it each time it is used. One that tiktoken has downloaded already is used where it is.
"""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from nightmail.errors import ConfigError
from nightmail.tokens.encodings import CL100K, O200K


class Published(NamedTuple):
    """A vocabulary's file, named by the SHA-1 of its address (tiktoken 0.14.0, load.py, openai_public.py)."""

    name: str
    sha256: str
    tokens: int


PUBLISHED = {
    CL100K: Published(
        "9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        100_256,
    ),
    O200K: Published(
        "fb374d419588a4632f3f557e76b4b70aebbca790",
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        199_998,
    ),
}


def vocabulary_file(vocabulary: str) -> Path:
    """Where the file of a vocabulary is; made if it is nowhere yet. Raises `ConfigError` if it cannot be."""
    folders = list(_own_folders())
    for folder in (tiktoken_folder(), *folders):
        if (found := in_folder(folder, vocabulary)) is not None:
            return found
    content = _made(vocabulary)
    refused: list[str] = []
    for folder in folders:
        try:
            return _kept(folder / PUBLISHED[vocabulary].name, content)
        except OSError as error:
            refused.append(f"{folder}: {error.strerror or error}")
    raise ConfigError(
        f"tokens cannot be counted: the vocabulary {vocabulary} can be written nowhere "
        f"({'; '.join(refused)}). Set XDG_CACHE_HOME to a folder that this user may write to."
    )


def in_folder(folder: Path | None, vocabulary: str) -> Path | None:
    """The file in a folder, if it is there and is the published one."""
    if folder is None:
        return None
    name, sha256, _ = PUBLISHED[vocabulary]
    try:
        right = hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha256
    except OSError:
        return None
    return folder / name if right else None


def tiktoken_folder() -> Path | None:
    """Where tiktoken keeps what it has downloaded; None if its user has switched that off."""
    for variable in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"):
        if variable in os.environ:
            return Path(os.environ[variable]) if os.environ[variable] else None
    return Path(tempfile.gettempdir()) / "data-gym-cache"


def _own_folders() -> Iterator[Path]:
    """The user's folder for what may be lost; where that cannot be written to, the system's."""
    with suppress(RuntimeError):  # a user without a home
        cache = os.environ.get("XDG_CACHE_HOME")
        yield (Path(cache) if cache else Path.home() / ".cache") / "nightmail"
    yield Path(tempfile.gettempdir()) / f"nightmail-{os.getuid() if hasattr(os, 'getuid') else ''}"


def _made(vocabulary: str) -> bytes:
    published = PUBLISHED[vocabulary]
    try:
        import quicktok

        token = quicktok.get_encoding(vocabulary).decode_single_token_bytes
        content = b"".join(
            b"%b %d\n" % (base64.b64encode(token(rank)), rank) for rank in range(published.tokens)
        )
        wrong = "" if hashlib.sha256(content).hexdigest() == published.sha256 else "its tokens are others"
    except (ImportError, OSError, RuntimeError) as error:
        wrong = str(error)
    if wrong:
        raise ConfigError(
            f"tokens cannot be counted: the installed quicktok-v1 does not have the vocabulary {vocabulary} "
            f"({wrong}). Reinstall it: pip install --force-reinstall quicktok-v1"
        )
    return content


def _kept(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent)
    written = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        # Whole or not there, and two processes make the same. Not synced: its digest is looked at each time.
        # A process that is killed before this line leaves a file that nobody reads.
        return written.replace(path)
    except OSError:
        written.unlink(missing_ok=True)
        raise
