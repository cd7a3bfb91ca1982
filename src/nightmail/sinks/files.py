"""Which format an output path means, by its ending."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from nightmail.errors import ConfigError

Format = Literal["parquet", "jsonl", "csv"]
Compression = Literal["", ".gz", ".zst"]

_FORMATS: dict[str, Format] = {
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
}


def sink_format(path: Path | str) -> Format:
    """The format of an output; `ConfigError` lists what is possible if the ending says none."""
    path = Path(path)
    ending = _ending(path)
    if ending not in _FORMATS or (_FORMATS[ending] == "parquet" and compression_of(path)):
        raise ConfigError(
            f"{path}: the ending of the output tells its format: "
            ".parquet, .jsonl, .ndjson, .csv or .tsv; the text formats also with .gz or .zst"
        )
    return _FORMATS[ending]


def compression_of(path: Path) -> Compression:
    """The ending that asks for compression, or ""."""
    match path.suffix.lower():
        case ".gz":
            return ".gz"
        case ".zst":
            return ".zst"
        case _:
            return ""


def _ending(path: Path) -> str:
    suffixes = path.suffixes
    compressed = bool(compression_of(path))
    return suffixes[-1 - compressed].lower() if len(suffixes) > compressed else ""
