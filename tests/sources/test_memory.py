from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import json
import sqlite3
import uuid
from collections import OrderedDict, namedtuple
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pydantic
import pytest

from nightmail.errors import SourceError
from nightmail.sources.base import Position
from nightmail.sources.memory import is_frame, store_frame, store_iterable
from nightmail.sources.parquet import ParquetSource


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().split("\n") if line]


def rows(path: Path) -> list[Any]:
    source = ParquetSource([path])
    return [each for piece in source.pieces(Position()) for each in source.records(piece)]


class Model(pydantic.BaseModel):
    id: int
    when: dt.date


class Struct(msgspec.Struct):
    id: int
    parts: tuple[int, ...]


@dataclasses.dataclass
class Data:
    id: int
    inner: Struct


Named = namedtuple("Named", "id text")


class Colour(enum.Enum):
    RED = "red"


def test_whatever_has_named_fields_is_a_record(tmp_path: Path) -> None:
    row = sqlite3.connect(":memory:")
    row.row_factory = sqlite3.Row
    fetched = row.execute("select 7 as id").fetchone()
    row.close()
    path = store_iterable(
        [
            {"id": 1},
            OrderedDict(id=2),
            MappingProxyType({"id": 3}),
            Model(id=4, when=dt.date(2026, 1, 2)),
            Struct(5, (1, 2)),
            Data(6, Struct(1, ())),
            fetched,
            Named(8, "x"),
        ],
        tmp_path,
    )
    assert path.suffix == ".jsonl"
    assert lines(path) == [
        {"id": 1},
        {"id": 2},
        {"id": 3},
        {"id": 4, "when": "2026-01-02"},
        {"id": 5, "parts": [1, 2]},
        {"id": 6, "inner": {"id": 1, "parts": []}},
        {"id": 7},
        {"id": 8, "text": "x"},
    ]


def test_values_become_what_json_has(tmp_path: Path) -> None:
    key = uuid.UUID(int=1)
    path = store_iterable(
        [
            {
                "day": dt.date(2026, 1, 2),
                "d": Decimal("1.50"),
                "key": key,
                "colour": Colour.RED,
                "path": Path("a/b"),
                "np": np.float64(0.5),
                "array": np.array([1, 2]),
                "model": Model(id=1, when=dt.date(2026, 1, 2)),
                "null": None,
            }
        ],
        tmp_path,
    )
    assert lines(path) == [
        {
            "day": "2026-01-02",
            "d": "1.50",
            "key": str(key),
            "colour": "red",
            "path": "a/b",
            "np": 0.5,
            "array": [1, 2],
            "model": {"id": 1, "when": "2026-01-02"},
            "null": None,
        }
    ]


def str_of(value: object) -> str | None:
    """Test ids without addresses of objects: every worker must make the same."""
    return value if isinstance(value, str) else type(value).__name__


@pytest.mark.parametrize(
    ("records", "message"),
    [
        (["a text"], r"record 0 is of type str; a record is a dict\. Wrap each"),
        ([{"id": 1}, 7], "record 1 is of type int"),
        ([[1, 2]], "record 0 is of type list"),
        ([{"id": 1}, {"x": float("nan")}], "record 1: 'x' is nan, which JSON cannot carry; use None"),
        ([{"x": {"y": [None, float("-inf")]}}], r"record 0: 'x\.y\[1\]' is -inf"),
        ([{"x": np.float64("nan")}], "record 0: 'x' is nan"),
        ([{"ok": 1, "x": {1, 2}}], r"record 0: JSON cannot carry field 'x' \(a set\)"),
        ([{"x": b"raw"}], r"record 0: JSON cannot carry field 'x' \(a bytes\)"),
        ([{"x": 2**70}], "record 0: JSON cannot carry field 'x' .*64-bit"),
        ([{"x": "\ud800"}], "record 0: JSON cannot carry field 'x'"),
        ([{1: "x"}], "record 0: the field name 1 is no text"),
        ([], "no records"),
        ({"id": 1}, r"a mapping is one record; give a list of records: \[record\]"),
        ("rows.csv", "a text is not a list of records"),
    ],
    ids=str_of,
)
def test_what_is_no_record_or_no_json_is_an_error_that_leaves_nothing(
    tmp_path: Path, records: Any, message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        store_iterable(records, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_callers_own_iterator_passes_and_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[dict[str, int]]:
        yield {"id": 1}
        raise KeyError("theirs")

    with pytest.raises(KeyError, match="theirs"):
        store_iterable(broken(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_same_records_are_the_same_untouched_file(tmp_path: Path) -> None:
    first = store_iterable(
        ({"id": i, "text": "x" * 1_000} for i in range(3_000)), tmp_path / "new" / "folder"
    )
    before = first.stat()
    again = store_iterable([{"id": i, "text": "x" * 1_000} for i in range(3_000)], first.parent)
    other = store_iterable([{"id": i} for i in range(3_000)], first.parent)
    assert again == first != other
    assert first.stat() == before
    assert len(list(first.parent.iterdir())) == 2


RECORDS = [
    {"id": 1, "text": "a", "when": dt.datetime(2026, 1, 2), "kind": "x", "score": 0.5},
    {"id": 2, "text": None, "when": None, "kind": "y", "score": None},
    {"id": 5, "text": "é", "when": dt.datetime(2026, 1, 2, 3), "kind": "x", "score": 1.5},
]


def pandas_frame() -> pd.DataFrame:
    frame = pd.DataFrame(RECORDS)
    frame["kind"] = frame["kind"].astype("category")
    return frame


def polars_frame() -> pl.DataFrame:
    return pl.DataFrame(RECORDS).with_columns(pl.col("kind").cast(pl.Categorical))


@pytest.mark.parametrize(
    "frame",
    [
        pandas_frame,
        polars_frame,
        lambda: polars_frame().lazy(),
        lambda: pa.Table.from_pylist(RECORDS),
        lambda: pa.Table.from_pylist(RECORDS).to_batches()[0],
        lambda: pa.Table.from_pylist(RECORDS).to_reader(max_chunksize=1),
    ],
    ids=["pandas", "polars", "lazy", "table", "batch", "reader"],
)
def test_every_kind_of_frame_gives_the_same_records(tmp_path: Path, frame: Any) -> None:
    made = frame()
    assert is_frame(made)
    path = store_frame(made, tmp_path)
    assert path.suffix == ".parquet"
    assert rows(path) == RECORDS
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_frame_is_the_same_file_however_it_is_chunked(tmp_path: Path) -> None:
    table = pa.table({"id": range(150_000)})
    one = store_frame(table, tmp_path)
    before = one.stat()
    assert store_frame(table.to_reader(max_chunksize=777), tmp_path) == one
    assert one.stat() == before
    assert store_frame(table.slice(1), tmp_path) != one
    assert len(rows(one)) == 150_000


def test_a_pandas_index_is_kept_if_it_has_a_name(tmp_path: Path) -> None:
    frame = pandas_frame()
    assert rows(store_frame(frame[frame["id"] > 1], tmp_path)) == RECORDS[1:]
    indexed = rows(store_frame(frame.set_index("id"), tmp_path))
    assert [row["id"] for row in indexed] == [1, 2, 5]
    evenly = rows(store_frame(frame[:2].set_index("id"), tmp_path))
    assert [row["id"] for row in evenly] == [1, 2]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"id": []}), "no rows"),
        (pd.Series([1, 2]), "Series that Arrow cannot read as a table"),
        (pl.Series([1, 2]), "Series that Arrow cannot read as a table"),
        (pa.array([1]), "is no frame"),
        (pd.DataFrame({"o": [object(), 1]}), "Arrow cannot read"),
        (pl.DataFrame({"o": [object()]}), "column 'o' holds Python objects"),
        ([1], "a list is no frame"),
    ],
    ids=str_of,
)
def test_what_is_no_table_is_an_error_that_leaves_nothing(tmp_path: Path, frame: Any, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        store_frame(frame, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_lists_dicts_paths_and_classes_are_no_frames() -> None:
    assert not any(map(is_frame, ([], {}, "a.csv", Path("a"), (x for x in ""), pd.DataFrame, pl.DataFrame)))
