"""Every source passes the public suite, over several files and forms."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from nightmail.sources.csv import CsvSource
from nightmail.sources.jsonl import JsonlSource
from nightmail.sources.parquet import ParquetSource
from nightmail.testing.conformance.sources import exercise_source

RECORDS: list[dict[str, Any]] = [
    {"id": f"r{i}", "text": f'line one\nline "two", é世\u2028 {"x" * (i % 40)}', "note": ""}
    for i in range(60)
]
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}


class SmallJsonl(JsonlSource):
    piece_bytes, piece_rows = 700, 5


class SmallCsv(CsvSource):
    piece_bytes, piece_rows = 700, 5


class SmallParquet(ParquetSource):
    piece_bytes, piece_rows = 900, 7


def in_three(records: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    return [records[:25], records[25:26], records[26:]]


@pytest.mark.parametrize("compression", COMPRESS)
def test_jsonl(tmp_path: Path, compression: str) -> None:
    paths = []
    for number, part in enumerate(in_three(RECORDS)):
        lines = "\n\n".join(json.dumps(each, ensure_ascii=False) for each in part) + "\n" * number
        paths.append(tmp_path / f"{number}.jsonl{compression}")
        paths[-1].write_bytes(COMPRESS[compression](lines.encode()))
    exercise_source(lambda: SmallJsonl(paths), records=RECORDS)
    exercise_source(lambda: JsonlSource(paths), records=RECORDS)


@pytest.mark.parametrize("compression", COMPRESS)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv(tmp_path: Path, compression: str, delimiter: str) -> None:
    paths = []
    for number, part in enumerate(in_three(RECORDS)):
        plain = tmp_path / "plain"
        with plain.open("w", newline="", encoding="utf-8-sig") as file:
            writer = csv.DictWriter(file, ["id", "text", "note"], delimiter=delimiter)
            writer.writeheader()
            writer.writerows(part)
        paths.append(tmp_path / f"{number}.csv{compression}")
        paths[-1].write_bytes(COMPRESS[compression](plain.read_bytes()))
    exercise_source(lambda: SmallCsv(paths), records=RECORDS)
    exercise_source(lambda: CsvSource(paths), records=RECORDS)


def test_parquet(tmp_path: Path) -> None:
    paths = []
    for number, part in enumerate(in_three(RECORDS)):
        paths.append(tmp_path / f"{number}.parquet")
        pq.write_table(pa.Table.from_pylist(part), paths[-1], row_group_size=11)
    exercise_source(lambda: SmallParquet(paths), records=RECORDS)
    exercise_source(lambda: ParquetSource(paths), records=RECORDS)


def test_the_suite_finds_a_source_that_loses_records_on_resuming(tmp_path: Path) -> None:
    class Forgetful(SmallJsonl):
        def pieces(self, start: Any) -> Any:
            pieces = super().pieces(start)
            if start.offset:
                next(pieces, None)
            return pieces

    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in RECORDS))
    with pytest.raises(AssertionError, match="loses or repeats"):
        exercise_source(lambda: Forgetful([path]))
