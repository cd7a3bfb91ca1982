"""Which files an input means, and of which format they are.

The ending decides: `.jsonl .ndjson .json` (one object a line), `.csv .tsv`, each also with `.gz` or
`.zst`, and `.parquet`. All files of one source have one format. A folder means the files directly in
it; a glob may use `**`. Names beginning with a dot are never meant, nor are the marker files that
other programs leave in a folder (`_SUCCESS`, `_metadata`).
"""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from nightmail.errors import SourceError

Format = Literal["jsonl", "csv", "parquet"]

FORMATS: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}
COMPRESSIONS = (".gz", ".zst")
_KNOWN = "known are .jsonl .ndjson .csv .tsv (each also with .gz or .zst) and .parquet"


def resolve(spec: str | Path | Sequence[str | Path]) -> tuple[Format, tuple[Path, ...]]:
    """The format and the files of an input: a file, a folder, a glob, or several of these.

    Files of a folder or glob are sorted by their paths as text; several inputs keep their order.
    Raises `SourceError` if something is missing, empty, of no known ending, or if formats are mixed.
    """
    specs = [spec] if isinstance(spec, str | Path) else list(spec)
    if not specs:
        raise SourceError("no input was given")
    paths = [path for each in specs for path in _expand(each)]
    seen: set[Path] = set()
    for path in paths:
        if path.resolve() in seen:
            raise SourceError(f"{path} is named twice in the input; its records would be asked twice")
        seen.add(path.resolve())
    formats = {path: format_of(path) for path in paths}
    first = paths[0]
    for path in paths:
        if formats[path] != formats[first]:
            raise SourceError(
                f"{first} is {formats[first]}, {path} is {formats[path]}: one run reads one format; "
                "name the files by a glob such as *.jsonl"
            )
    for path in paths:
        _refuse_unreadable(path)
    return formats[first], tuple(paths)


def ending(path: Path) -> tuple[str, str]:
    """`(".jsonl", ".gz")`: the ending that tells the format and the compression's, in lower case, or ""."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        return (suffixes[-2] if len(suffixes) > 1 else ""), suffixes[-1]
    return (suffixes[-1] if suffixes else ""), ""


def inputs_in(folder: Path) -> list[os.DirEntry[str]]:
    """The files directly in a folder that can be read by their ending, in no order; there may be none. Raises
    `SourceError` if the folder cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if _is_input(Path(entry.name)) and entry.is_file()]
    except OSError as error:
        raise SourceError(f"{folder} cannot be read: {error.strerror}") from error


def fingerprint(paths: Sequence[Path]) -> str:
    """A digest of names, sizes and times; another one means that the input may have changed."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            stat = path.stat()
        except OSError as error:
            raise SourceError(f"{path} cannot be read: {error.strerror}") from error
        digest.update(f"{path.name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def no_records(paths: Sequence[Path]) -> SourceError:
    """The error for an input that was read to its end and held nothing."""
    what = str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
    return SourceError(f"{what}: no records in it. Is it the right file?")


def _expand(spec: str | Path) -> list[Path]:
    text = str(spec)
    if "://" in text:
        raise SourceError(f"{text} is a URL; the input must be files on this machine: download it first")
    path = Path(spec).expanduser()
    if path.is_dir():
        return _in_folder(path)
    if path.exists():
        return [path]
    if glob.has_magic(text):
        found = sorted(Path(name) for name in glob.glob(str(path), recursive=True))  # noqa: PTH207 - a whole path
        found = [each for each in found if each.is_file() and not _is_marker(each)]
        if not found:
            raise SourceError(f"no file matches {text}")
        return found
    raise SourceError(f"{text} does not exist (looked in {Path.cwd()})")


def _in_folder(folder: Path) -> list[Path]:
    entries = _entries(folder)
    files = [entry for entry in entries if entry.is_file() and not _is_marker(entry)]
    if not files:
        below = " Its subfolders are not searched: give a glob such as **/*.parquet." if entries else ""
        raise SourceError(f"{folder} is a folder without input files.{below}")
    return files


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise SourceError(f"{folder} cannot be read: {error.strerror}") from error


def _is_input(path: Path) -> bool:
    kind, compression = ending(path)
    return kind in FORMATS and not _is_marker(path) and not (compression and FORMATS[kind] == "parquet")


def _is_marker(path: Path) -> bool:
    name = path.name
    return name.startswith(".") or (name.startswith("_") and ending(path)[0] not in FORMATS)


def format_of(path: Path) -> Format:
    """By the ending; `SourceError` if it tells none."""
    kind, compression = ending(path)
    if kind not in FORMATS:
        raise SourceError(f"{path}: the ending does not tell the format; {_KNOWN}")
    if compression and FORMATS[kind] == "parquet":
        raise SourceError(f"{path}: Parquet is compressed inside; unpack the {compression} first")
    return FORMATS[kind]


def _refuse_unreadable(path: Path) -> None:
    # A pipe cannot be read again from a position, so a resumed run would lose records.
    if not path.is_file():
        raise SourceError(f"{path} is not a regular file; write its content into one first")
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise SourceError(f"{path} is empty (0 bytes). Was it written to its end?")
            file.seek(0)
            if ending(path) == (".json", ""):
                _refuse_one_document(path, file.read(65_536))
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error


def _refuse_one_document(path: Path, head: bytes) -> None:
    """A `.json` file is usually one document over many lines; such a file is named as what it is."""
    head = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    line, newline, _ = head.partition(b"\n")
    if head.startswith(b"[") or (newline and not line.rstrip().endswith(b"}")):
        raise SourceError(
            f"{path} is one JSON document, not one object a line. For an array: jq -c '.[]' "
            f"{path.name} > {path.stem}.jsonl"
        )
