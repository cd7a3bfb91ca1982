from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nightmail.errors import SourceError
from nightmail.sources.base import BadRow, Position
from nightmail.sources.parquet import ParquetSource


def read(source: ParquetSource, start: Position | None = None) -> list[Any]:
    return [each for piece in source.pieces(start or Position()) for each in source.records(piece)]


def written(folder: Path, table: pa.Table, name: str = "rows.parquet", **options: Any) -> ParquetSource:
    pq.write_table(table, folder / name, **options)
    return ParquetSource([folder / name])


def test_types_survive(tmp_path: Path) -> None:
    row = {
        "n": 2**60,
        "d": Decimal("1.50"),
        "when": dt.datetime(2026, 1, 2, 3, 4, 5, 678901),
        "day": dt.date(2026, 1, 2),
        "raw": b"\xff\x00",
        "tags": ["a", None],
        "deep": {"x": [{"y": 1.5}]},
        "none": None,
    }
    assert read(written(tmp_path, pa.Table.from_pylist([row]))) == [row]


def test_how_a_column_is_stored_does_not_show(tmp_path: Path) -> None:
    table = pa.table(
        {
            "category": pa.array(["x", "y", "x"]).dictionary_encode(),
            "ns": pa.array([1_000, 1_999, None], pa.timestamp("ns")),
            "tz": pa.array([1, 2, 3], pa.timestamp("ms", "Europe/Berlin")),
            "map": pa.array([[("a", 1)], [], None], pa.map_(pa.string(), pa.int32())),
            "in": pa.array([[1_000], [], None], pa.list_(pa.duration("ns"))),
        }
    )
    first, second, third = read(written(tmp_path, table))
    assert (first["category"], second["category"], third["category"]) == ("x", "y", "x")
    assert first["ns"] == second["ns"] == dt.datetime(1970, 1, 1, microsecond=1)
    assert first["tz"].utcoffset() == dt.timedelta(hours=1)
    assert (first["map"], second["map"], third["map"]) == ({"a": 1}, {}, None)
    assert first["in"] == [dt.timedelta(microseconds=1)]


def test_pieces_are_small_whatever_the_row_group(tmp_path: Path) -> None:
    # One distinct text of 100 kB is little on disk and much in memory.
    table = pa.table({"id": range(400), "text": ["x" * 100_000] * 400})
    source = written(tmp_path, table, use_dictionary=True)
    sizes = [len(piece.payload) for piece in source.pieces(Position())]
    assert max(sizes) < 1.2 * source.piece_bytes
    assert len(sizes) >= 10


def test_files_with_fewer_columns_or_narrower_numbers_are_read_as_one(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": pa.array([1], pa.int32()), "x": ["a"]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"y": [0.5], "id": pa.array([2], pa.int64())}), tmp_path / "b.parquet")
    source = ParquetSource([tmp_path / "a.parquet", tmp_path / "b.parquet"])
    assert read(source) == [{"id": 1, "x": "a", "y": None}, {"id": 2, "x": None, "y": 0.5}]


def test_a_column_of_another_kind_is_an_error_that_names_it(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1], "x": [1]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"id": [2], "x": ["one"]}), tmp_path / "b.parquet")
    with pytest.raises(SourceError, match=r"b\.parquet: column 'x' is string, in .*a\.parquet it is int64"):
        read(ParquetSource([tmp_path / "a.parquet", tmp_path / "b.parquet"]))


def test_a_value_that_python_cannot_hold_is_a_bad_row(tmp_path: Path) -> None:
    table = pa.table({"id": [1, 2, 3], "when": pa.array([0, 2**61, 1], pa.timestamp("us"))})
    first, second, third = read(written(tmp_path, table))
    assert (first["id"], third["id"]) == (1, 3)
    assert isinstance(second, BadRow)
    assert second.row == 2
    assert "column 'when'" in second.message


def test_a_column_is_skimmed_without_the_others_unless_one_of_their_values_is_bad(tmp_path: Path) -> None:
    when = [[0, 1, 2], [0, 2**61, 2]]
    for number, (times, raw) in enumerate([(when[0], b"\xc3\xa9"), (when[1], b"x"), (when[0], b"\xff")]):
        text = pa.Array.from_buffers(pa.string(), 3, pa.array([b"a", raw, b"c"]).buffers())
        table = pa.table({"id": [7, 8, None], "text": text, "when": pa.array(times, pa.timestamp("us"))})
        source = written(tmp_path, table, f"{number}.parquet")
        [piece] = source.pieces(Position())
        good = number == 0
        assert source.skim(piece, "id") == ([7, 8, None] if good else None)
        assert source.skim(piece, None) == ([None] * 3 if good else None)
        assert source.skim(piece, "no such column") is None
        assert any(isinstance(each, BadRow) for each in source.records(piece)) is not good


def test_what_is_not_parquet_or_damaged_or_empty_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    path.write_bytes(b"not parquet at all, but long enough")
    with pytest.raises(SourceError, match=r"rows\.parquet: not a Parquet file"):
        read(ParquetSource([path]))
    with pytest.raises(SourceError, match=r"rows\.parquet: no records"):
        read(written(tmp_path, pa.table({"id": pa.array([], pa.int64())})))
    written(tmp_path, pa.table({"id": range(100_000)}), write_page_checksum=True)
    data = bytearray(path.read_bytes())
    data[2_000:4_000] = bytes(2_000)
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"rows\.parquet:\d+: damaged Parquet data"):
        read(ParquetSource([path]))
    two = pa.table([pa.array([1]), pa.array([2])], names=["id", "id"])
    with pytest.raises(SourceError, match="two columns are named 'id'"):
        read(written(tmp_path, two))


@settings(
    max_examples=settings.default.max_examples // 4,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    counts=st.lists(st.integers(0, 40), min_size=1, max_size=3).filter(any),
    group=st.integers(1, 15),
    rows=st.integers(1, 9),
    size=st.integers(1, 600),
)
def test_reading_goes_on_from_the_end_of_any_piece(
    tmp_path: Path, counts: list[int], group: int, rows: int, size: int
) -> None:
    paths = []
    expected = []
    for number, count in enumerate(counts):
        records = [{"id": i, "file": number, "text": "t" * (i % 7)} for i in range(count)]
        expected += records
        schema = pa.schema([("id", pa.int64()), ("file", pa.int64()), ("text", pa.string())])
        paths.append(tmp_path / f"{number}.parquet")
        pq.write_table(pa.Table.from_pylist(records, schema=schema), paths[-1], row_group_size=group)
    source = ParquetSource(paths)
    source.piece_rows, source.piece_bytes = rows, size
    read_so_far: list[Any] = []
    for piece in source.pieces(Position()):
        assert 0 < len(source.records(piece)) <= rows
        read_so_far += source.records(piece)
        assert read_so_far + read(source, piece.next) == expected
    assert read_so_far == expected
