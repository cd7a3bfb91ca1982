"""Every sink passes the public suite."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from nightmail.sinks.csv import CsvSink
from nightmail.sinks.jsonl import JsonlSink
from nightmail.sinks.parquet import ParquetSink
from nightmail.testing.conformance.sinks import exercise_sink


def content(path: Path) -> str:
    data = path.read_bytes()
    match path.suffix:
        case ".gz":
            data = gzip.decompress(data)
        case ".zst":
            data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    return data.decode()


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content(path).split("\n") if line]


def read_csv(path: Path) -> list[dict[str, Any]]:
    delimiter = "\t" if ".tsv" in path.name else ","
    lines = [line + "\n" for line in content(path).split("\n")]
    lines[-1] = lines[-1].removesuffix("\n")
    rows = list(csv.DictReader([line for line in lines if line], delimiter=delimiter))
    for row in rows:
        row["count"] = int(row["count"]) if row["count"] else None
        row["score"] = float(row["score"]) if row["score"] else None
    return rows


@pytest.mark.parametrize(
    ("sink", "name", "read"),
    [
        (JsonlSink, "out.jsonl", read_jsonl),
        (JsonlSink, "out.jsonl.gz", read_jsonl),
        (JsonlSink, "out.ndjson.zst", read_jsonl),
        (CsvSink, "out.csv", read_csv),
        (CsvSink, "out.tsv", read_csv),
        (CsvSink, "out.csv.gz", read_csv),
        (CsvSink, "out.csv.zst", read_csv),
        (ParquetSink, "out.parquet", lambda path: pq.read_table(path).to_pylist()),
    ],
)
def test_every_sink_keeps_the_rules_of_the_port(tmp_path: Path, sink: Any, name: str, read: Any) -> None:
    exercise_sink(sink, tmp_path / name, read=read)


def test_the_suite_finds_a_sink_that_is_not_atomic(tmp_path: Path) -> None:
    opened: list[JsonlSink] = []

    class Direct(JsonlSink):
        def write(self, batch: pa.RecordBatch) -> None:
            opened.append(self)
            self.path.write_bytes(b"")
            super().write(batch)

    with pytest.raises(AssertionError, match="before close"):
        exercise_sink(Direct, tmp_path / "out.jsonl")
    opened[0].abort()
