"""What every sink must do. A plug-in's own test is a call:

def test_my_sink_is_a_sink(tmp_path):
    exercise_sink(MySink, tmp_path / "out.my", read=my_reader)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from nightmail.errors import SinkError
from nightmail.sinks.base import Sink

_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("count", pa.int64()),
        ("score", pa.float64()),
        ("tags", pa.list_(pa.string())),
        ("detail", pa.struct([("a", pa.int64()), ("b", pa.string())])),
    ]
)
_ROWS: list[dict[str, Any]] = [
    {"id": "one", "count": 1, "score": 0.5, "tags": ["x", "y"], "detail": {"a": 1, "b": "z"}},
    {"id": 'quote " comma , line\nend', "count": None, "score": None, "tags": [], "detail": None},
    {
        "id": "\u00e9\u4e16\U0001f600\u2028",
        "count": -3,
        "score": 1.25,
        "tags": None,
        "detail": {"a": None, "b": ""},
    },
]


class SinkClass(Protocol):
    """What opens a sink: its class, usually."""

    def __call__(self, path: Path, schema: pa.Schema) -> Sink: ...
    def check(self, path: Path) -> None: ...


def exercise_sink(
    sink: SinkClass, path: Path, *, read: Callable[[Path], list[dict[str, Any]]] | None = None
) -> None:
    """Write to `path` (which must not exist, in an empty folder) in every way that nightmail does;
    `AssertionError` says which rule of the port is broken.

    `read` gives back the rows of a file; only names, numbers and texts of them are compared, since a
    format may have its own way with nested values.
    """
    folder = path.parent
    _require(not list(folder.iterdir()), "give a path in an empty folder")
    _check_tells_beforehand(sink, path)
    _nothing_is_there_before_the_end(sink, path)
    _rows_come_back(sink, path, read)
    _what_was_there_stays_until_the_end(sink, path)
    _a_batch_that_does_not_fit_is_refused(sink, path)
    _require(sorted(folder.iterdir()) == [path], f"left behind: {sorted(folder.iterdir())}")


def _check_tells_beforehand(sink: SinkClass, path: Path) -> None:
    sink.check(path)
    _require(not list(path.parent.iterdir()), "check leaves something behind")
    for wrong, what in ((path.parent, "a folder"), (path.parent / "missing" / path.name, "a missing folder")):
        _refuses(partial(sink.check, wrong), f"check accepts {what}")
        _refuses(partial(sink, wrong, _SCHEMA), f"opens {what}")


def _nothing_is_there_before_the_end(sink: SinkClass, path: Path) -> None:
    aborted = sink(path, _SCHEMA)
    aborted.write(_batch(_ROWS))
    _require(not path.exists(), "the file is there before close")
    visible = [each for each in path.parent.iterdir() if not each.name.startswith(".")]
    _require(not visible, f"a file that is being written is visible: {visible}")
    aborted.abort()
    aborted.abort()
    _require(not list(path.parent.iterdir()), "abort leaves something behind")


def _rows_come_back(sink: SinkClass, path: Path, read: Callable[[Path], list[dict[str, Any]]] | None) -> None:
    empty = sink(path, _SCHEMA)
    empty.close()
    _require(path.exists(), "a sink that was closed without rows leaves no file")
    _require(read is None or read(path) == [], "a file without rows does not read as one")
    whole = sink(path, _SCHEMA)
    whole.write(_batch(_ROWS[:2]))
    whole.write(_batch([]))
    # Columns by name: another order, one missing.
    whole.write(_batch(_ROWS[2:]).select(["count", "id", "score", "detail"]))
    whole.close()
    whole.close()
    whole.abort()
    _require(path.exists(), "abort after close takes the file away")
    if read is None:
        return
    rows = read(path)
    _require(len(rows) == len(_ROWS), f"{len(_ROWS)} rows were written, {len(rows)} come back")
    for was, row in zip(_ROWS, rows, strict=True):
        for name in ("id", "count", "score"):
            _require(row[name] == was[name], f"{name} was {was[name]!r} and comes back as {row[name]!r}")


def _what_was_there_stays_until_the_end(sink: SinkClass, path: Path) -> None:
    before = path.read_bytes()
    late = sink(path, _SCHEMA)
    late.write(_batch(_ROWS))
    _require(path.read_bytes() == before, "the old file changes before close")
    late.abort()
    _require(path.read_bytes() == before, "abort changes the old file")


def _a_batch_that_does_not_fit_is_refused(sink: SinkClass, path: Path) -> None:
    before = path.read_bytes()
    for other, what in (
        (pa.record_batch({"id": ["x"], "unheard_of": [1]}), "a column that the schema lacks"),
        (pa.record_batch({"count": ["many"]}), "a text for a number"),
    ):
        refusing = sink(path, _SCHEMA)
        _refuses(partial(refusing.write, other), f"writes {what}")
        refusing.abort()
    _require(path.read_bytes() == before, "a refused batch changes the file")


def _batch(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(rows, schema=_SCHEMA)


def _refuses(action: Callable[[], object], otherwise: str) -> None:
    try:
        action()
    except SinkError:
        return
    raise AssertionError(otherwise)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)
