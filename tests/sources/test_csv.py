from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nightmail.errors import SourceError
from nightmail.sources.base import BadRow, Position
from nightmail.sources.csv import CsvSource

quick = settings(
    max_examples=settings.default.max_examples * 4 // 5,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def read(source: CsvSource, start: Position | None = None) -> list[Any]:
    return [each for piece in source.pieces(start or Position()) for each in source.records(piece)]


def written(folder: Path, data: bytes, name: str = "rows.csv") -> CsvSource:
    path = folder / name
    path.write_bytes(data)
    return CsvSource([path])


def test_every_value_is_text_and_an_empty_field_is_an_empty_text(tmp_path: Path) -> None:
    source = written(tmp_path, b'\xef\xbb\xbfid,note,"a ""name"""\r\n1,,"x, y"\r\n"2","",z')
    assert read(source) == [
        {"id": "1", "note": "", 'a "name"': "x, y"},
        {"id": "2", "note": "", 'a "name"': "z"},
    ]


def test_a_row_has_the_number_of_the_line_on_which_it_begins(tmp_path: Path) -> None:
    source = written(tmp_path, b'\n"id","te\nxt"\n1,"a\nb\nc"\n\n2\n3,"d"\n')
    assert read(source) == [
        {"id": "1", "te\nxt": "a\nb\nc"},
        BadRow(8, "has 1 field, the header has 2"),
        {"id": "3", "te\nxt": "d"},
    ]
    (piece,) = source.pieces(Position())
    assert source.numbers(piece) == [4, 8, 9]


def test_the_delimiter_is_found_in_the_header_alone(tmp_path: Path) -> None:
    assert read(written(tmp_path, b"id;text\n1;a,b,c,d\n")) == [{"id": "1", "text": "a,b,c,d"}]
    assert read(written(tmp_path, b"id\ttext\n1\ta,b\n")) == [{"id": "1", "text": "a,b"}]
    assert read(written(tmp_path, b'"i;d","text"\n1,a;b\n')) == [{"i;d": "1", "text": "a;b"}]
    assert read(written(tmp_path, b"id\n1\n")) == [{"id": "1"}]
    assert read(written(tmp_path, b"i,d\ttext\n1\tx\n", "rows.tsv")) == [{"i,d": "1", "text": "x"}]
    assert read(written(tmp_path, b"id\ttext\n\t\n", "rows.tsv")) == [{"id": "", "text": ""}]


def test_bytes_that_are_not_utf8_are_a_bad_row_that_names_byte_and_column(tmp_path: Path) -> None:
    source = written(tmp_path, "id,name\n1,é\n".encode() + b"2,caf\xe9\n3,x\n4,y,\xff\n")
    assert read(source) == [
        {"id": "1", "name": "é"},
        BadRow(3, "not UTF-8 (byte 0xe9 in column 'name')"),
        {"id": "3", "name": "x"},
        BadRow(5, "not UTF-8 (byte 0xff in column 3)"),
    ]


def test_a_stray_carriage_return_is_a_bad_row_and_reading_goes_on(tmp_path: Path) -> None:
    source = written(tmp_path, b'id,name\n1,a\rb\n2,"c"\n')
    source.piece_rows = 1
    assert read(source) == [BadRow(2, "not CSV (a carriage return outside quotes)"), {"id": "2", "name": "c"}]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"id,id\n1,2\n", r"rows\.csv:1: columns 1 and 2 are both named 'id'"),
        (b"\nid, ,x\n1,2,3\n", r"rows\.csv:2: column 2 has no name"),
        (b"id,x\n", r"rows\.csv: no records"),
        (b"id,x\n\n\r\n", r"rows\.csv: no records"),
        (b"\n\n", r"rows\.csv: no records"),
        (b"caf\xe9,x\n1,2\n", r"rows\.csv:1: the header is not UTF-8 \(byte 0xe9\)"),
        (b'id,"x\n1,2\n', r"rows\.csv:1: a quote opens in the header and is never closed"),
        (b'id,x\n1,2\n3,"4\n5,6\n', r"rows\.csv:3: a quote opens in this row and is never closed"),
        (b"id,x\r1,2\r", r"rows\.csv:1: a carriage return alone ends no line"),
    ],
)
def test_what_would_make_every_row_wrong_is_an_error(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read(written(tmp_path, data))


def test_files_with_other_columns_are_an_error_and_another_order_is_not(tmp_path: Path) -> None:
    paths = [tmp_path / "a.csv", tmp_path / "b.csv"]
    paths[0].write_bytes(b"id,x\n1,2\n")
    paths[1].write_bytes(b"x,id\n4,3\n")
    assert read(CsvSource(paths)) == [{"id": "1", "x": "2"}, {"id": "3", "x": "4"}]
    paths[1].write_bytes(b"id,y\n4,3\n")
    with pytest.raises(SourceError, match=r"b\.csv:1: no column 'x', which .*a\.csv has"):
        read(CsvSource(paths))
    paths[1].write_bytes(b"id,x,y\n4,3,1\n")
    with pytest.raises(SourceError, match=r"b\.csv:1: a column 'y', which .*a\.csv does not have"):
        read(CsvSource(paths))


def test_a_field_of_megabytes_is_read(tmp_path: Path) -> None:
    big = 'a,"b"\n' * 1_000_000
    path = tmp_path / "rows.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["id", "text"], [1, big], [2, "x"]])
    assert read(CsvSource([path])) == [{"id": "1", "text": big}, {"id": "2", "text": "x"}]


fields = st.text(st.sampled_from(list('a",;\t\n\r é\u2028\u0085')), max_size=6)
tables = st.lists(st.lists(fields, min_size=2, max_size=2), min_size=1, max_size=12)


@quick
@given(files=st.lists(tables, min_size=1, max_size=3), size=st.integers(1, 80), rows=st.integers(1, 4))
def test_what_was_written_is_read_however_it_is_cut_and_from_wherever_reading_goes_on(
    tmp_path: Path, files: list[list[list[str]]], size: int, rows: int
) -> None:
    paths = []
    for number, table in enumerate(files):
        out = io.StringIO(newline="")
        # With "\n" as line end Python's writer leaves a carriage return unquoted, which no reader can know.
        unlike = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)
        (unlike if number else csv.writer(out)).writerows([["k", "v\n"], *table])
        paths.append(tmp_path / f"{number}.csv")
        paths[-1].write_bytes(out.getvalue().encode())
    source = CsvSource(paths)
    source.piece_bytes, source.piece_rows = size, rows
    pieces = list(source.pieces(Position()))
    expected = [{"k": k, "v\n": v} for table in files for k, v in table]
    assert [each for piece in pieces for each in source.records(piece)] == expected
    read_so_far: list[Any] = []
    for piece in pieces:
        assert len(source.records(piece)) <= rows
        read_so_far += source.records(piece)
        assert read_so_far + read(source, piece.next) == expected


@quick
@given(data=st.text(st.sampled_from(list('ab",\n\r')), max_size=40), size=st.integers(1, 20))
def test_any_bytes_are_cut_as_one_reader_would_read_them(tmp_path: Path, data: str, size: int) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f"k,v\n{data}", newline="")
    whole, cut = CsvSource([path]), CsvSource([path])
    cut.piece_bytes, cut.piece_rows = size, 2

    def outcome(source: CsvSource) -> list[Any] | str:
        try:
            return read(source)
        except SourceError as error:
            return str(error)

    assert outcome(cut) == outcome(whole)
