from __future__ import annotations

import csv
import datetime as dt
import json
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nightmail.errors import ConfigError, SinkError
from nightmail.sinks.csv import CsvSink
from nightmail.sinks.files import sink_format
from nightmail.sinks.jsonl import JsonlSink
from nightmail.sinks.parquet import ParquetSink


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.parquet", "parquet"),
        ("a.JSONL", "jsonl"),
        ("a.ndjson.gz", "jsonl"),
        ("a.csv.zst", "csv"),
        ("a.b.tsv", "csv"),
    ],
)
def test_the_ending_tells_the_format(name: str, kind: str) -> None:
    assert sink_format(Path(name)) == kind
    assert sink_format(name) == kind


@pytest.mark.parametrize("name", ["a", "a.txt", "a.gz", ".csv", "a.parquet.gz", "a.xlsx"])
def test_an_unknown_ending_is_an_error_that_lists_the_known_ones(name: str) -> None:
    with pytest.raises(ConfigError, match=r"\.parquet, \.jsonl, \.ndjson, \.csv or \.tsv"):
        sink_format(name)


ODD = {
    "day": dt.date(2026, 1, 2),
    "when": dt.datetime(2026, 1, 2, 3, 4, 5),
    "utc": dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
    "time": dt.time(1, 2),
    "span": dt.timedelta(minutes=1, milliseconds=500),
    "d": Decimal("1.50"),
    "raw": b"\x00\xff",
    "deep": [{"x": dt.date(2026, 1, 2)}],
    "nan": float("nan"),
    "yes": True,
    "none": None,
}


def test_json_says_in_text_what_it_has_no_form_for(tmp_path: Path) -> None:
    table = pa.Table.from_pylist([ODD])
    sink = JsonlSink(tmp_path / "out.jsonl", table.schema)
    for batch in table.to_batches():
        sink.write(batch)
    sink.close()
    assert json.loads((tmp_path / "out.jsonl").read_text()) == {
        "day": "2026-01-02",
        "when": "2026-01-02T03:04:05",
        "utc": "2026-01-02T00:00:00+00:00",
        "time": "01:02:00",
        "span": "PT60.500000S",
        "d": "1.50",
        "raw": "AP8=",
        "deep": [{"x": "2026-01-02"}],
        "nan": None,
        "yes": True,
        "none": None,
    }


def test_csv_cells_are_the_same_texts_and_nested_values_are_json(tmp_path: Path) -> None:
    table = pa.Table.from_pylist([ODD]).drop_columns(["nan"])
    sink = CsvSink(tmp_path / "out.csv", table.schema)
    for batch in table.to_batches():
        sink.write(batch)
    sink.close()
    header, cells = csv.reader((tmp_path / "out.csv").read_text().splitlines())
    assert dict(zip(header, cells, strict=True)) == {
        "day": "2026-01-02",
        "when": "2026-01-02T03:04:05",
        "utc": "2026-01-02T00:00:00+00:00",
        "time": "01:02:00",
        "span": "PT60.500000S",
        "d": "1.50",
        "raw": "AP8=",
        "deep": '[{"x":"2026-01-02"}]',
        "yes": "true",
        "none": "",
    }


def test_no_cell_of_a_csv_can_run_as_a_formula_and_numbers_stay_numbers(tmp_path: Path) -> None:
    texts = [
        "=1+1",
        "+cmd|x",
        "-2+3",
        "@SUM(A1)",
        "\tx",
        "\rx",
        "-5",
        "+1.5e3",
        "-.5",
        "a=b",
        "",
        None,
        "-5\n=x",
    ]
    guarded = ["'=1+1", "'+cmd|x", "'-2+3", "'@SUM(A1)", "'\tx", "'\rx", "-5", "+1.5e3", "-.5", "a=b", "", ""]
    table = pa.table({"=name": texts, "n": [-1] * len(texts), "list": [["=x"]] * len(texts)})
    sink = CsvSink(tmp_path / "out.csv", table.schema)
    for batch in table.to_batches():
        sink.write(batch)
    sink.close()
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["'=name", "n", "list"]
    assert [row[0] for row in rows[1:]] == [*guarded, "'-5\n=x"]
    assert {(row[1], row[2]) for row in rows[1:]} == {("-1", '["=x"]')}


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=8), min_size=1, max_size=8))
def test_every_text_comes_back_from_csv(tmp_path: Path, texts: list[str]) -> None:
    sink = CsvSink(tmp_path / "out.csv", pa.schema([("a", pa.string()), ("b", pa.string())]))
    sink.write(pa.record_batch({"a": texts, "b": texts[::-1]}))
    sink.close()
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        rows = [row[0] for row in csv.reader(file)][1:]
    assert [row.removeprefix("'") for row in rows] == [text.removeprefix("'") for text in texts]


def test_parquet_gathers_small_batches_into_large_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    schema = pa.schema([("id", pa.int64())])
    sink = ParquetSink(path, schema)
    for begin in range(0, 150_000, 1_000):
        sink.write(pa.record_batch({"id": pa.array(range(begin, begin + 1_000), pa.int64())}))
    sink.close()
    meta = pq.ParquetFile(path).metadata
    assert [meta.row_group(i).num_rows for i in range(meta.num_row_groups)] == [65_000, 65_000, 20_000]
    assert pq.read_table(path)["id"].to_pylist() == list(range(150_000))


def test_parquet_row_groups_are_bounded_in_bytes_too(tmp_path: Path) -> None:
    sink = ParquetSink(tmp_path / "out.parquet", pa.schema([("text", pa.string())]))
    sink.row_group_bytes = 100_000
    for _ in range(10):
        sink.write(pa.record_batch({"text": ["x" * 30_000]}))
    sink.close()
    assert pq.ParquetFile(tmp_path / "out.parquet").num_row_groups == 3


def test_columns_that_parquet_cannot_hold_are_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="Parquet cannot hold"):
        ParquetSink(tmp_path / "out.parquet", pa.schema([("x", pa.dense_union([pa.field("a", pa.int64())]))]))
    assert list(tmp_path.iterdir()) == []


def test_a_value_that_does_not_fit_is_an_error_that_names_the_column(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path / "out.jsonl", pa.schema([("n", pa.int8())]))
    with pytest.raises(SinkError, match=r"values of column 'n' \(int64\) do not fit the file's int8"):
        sink.write(pa.record_batch({"n": [1_000]}))
    with pytest.raises(SinkError, match="the column 'm', which the file does not have"):
        sink.write(pa.record_batch({"m": [1]}))
    sink.abort()


def test_compressed_output_of_the_same_rows_is_the_same_file(tmp_path: Path) -> None:
    for ending in (".gz", ".zst"):
        for name in ("one", "two"):
            sink = JsonlSink(tmp_path / f"{name}.jsonl{ending}", pa.schema([("id", pa.int64())]))
            sink.write(pa.record_batch({"id": range(1_000)}))
            sink.close()
        assert (tmp_path / f"one.jsonl{ending}").read_bytes() == (
            tmp_path / f"two.jsonl{ending}"
        ).read_bytes()


def test_embeddings_are_neither_compressed_nor_looked_through_for_what_repeats(tmp_path: Path) -> None:
    vectors = pa.array([[0.5, 0.25]] * 100, pa.list_(pa.float32(), 2))
    table = pa.table({"id": ["a"] * 100, "embedding": vectors, "score": [1.5] * 100})
    sink = ParquetSink(tmp_path / "out.parquet", table.schema)
    for batch in table.to_batches():
        sink.write(batch)
    sink.close()

    group = pq.ParquetFile(tmp_path / "out.parquet").metadata.row_group(0)
    columns = {column.path_in_schema: column for column in map(group.column, range(group.num_columns))}
    embedding = columns.pop("embedding.list.element")
    assert (embedding.compression, embedding.has_dictionary_page) == ("UNCOMPRESSED", False)
    assert {(each.compression, each.has_dictionary_page) for each in columns.values()} == {("ZSTD", True)}
    assert pq.read_table(tmp_path / "out.parquet").equals(table)
