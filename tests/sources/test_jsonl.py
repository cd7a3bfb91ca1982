from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from nightmail.errors import SourceError
from nightmail.sources.base import BadRow, Position
from nightmail.sources.jsonl import JsonlSource
from nightmail.testing.conformance.sources import exercise_source

quick = settings(
    max_examples=settings.default.max_examples * 3 // 5,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def read(source: JsonlSource, start: Position | None = None) -> list[Any]:
    return [each for piece in source.pieces(start or Position()) for each in source.records(piece)]


def written(folder: Path, data: bytes, name: str = "rows.jsonl") -> JsonlSource:
    path = folder / name
    path.write_bytes(data)
    return JsonlSource([path])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"a": "x', "not JSON (unterminated string at column 7)"),
        (b'{"a": 1,}', "not JSON (expecting property name enclosed in double quotes at column 9)"),
        (b"nonsense", "not JSON (expecting value at column 1)"),
        (b'{"a": 1} {"b": 2}', "not JSON (extra data at column 10)"),
        (b'{"a": NaN}', "not JSON (NaN is no JSON value at column 7)"),
        (b'{"a": -Infinity}', "not JSON (-Infinity is no JSON value at column 7)"),
        (b'{"a": 1e999}', "not JSON (number out of range)"),
        (b'{"a": "\xff"}', "not UTF-8 (byte 0xff at byte 8 of the line)"),
        (b'{"a": "\\ud800"}', "not Unicode text (half of a surrogate pair as \\u escape)"),
        (b'{"a": "\\ud800\\u0041"}', "not Unicode text (half of a surrogate pair as \\u escape)"),
        (b"[1, 2]", "a JSON array, not an object"),
        (b'"text"', "a JSON string, not an object"),
        (b"12", "a JSON number, not an object"),
        (b"null", "a JSON true, false or null, not an object"),
        (b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", "nested too deeply to be read"),
    ],
)
def test_a_line_that_is_no_record_is_a_bad_row_with_its_line_and_reason(
    tmp_path: Path, line: bytes, message: str
) -> None:
    source = written(tmp_path, b'{"id": 1}\n\n' + line + b'\n{"id": 2}\n')
    assert read(source) == [{"id": 1}, BadRow(3, message), {"id": 2}]
    [piece] = written(tmp_path, b'{"id": 1}\n' + line + b'\n{"id": 2}\n').pieces(Position())
    skimmed = source.skim(piece, None)
    assert skimmed == ([None] * 3 if "out of range" in message else None)


def test_two_objects_on_one_line_and_one_object_on_two_lines_are_bad_rows(tmp_path: Path) -> None:
    source = written(tmp_path, b'{"a":1,\n"b":2}\n{"c":3} {"d":4}\n')
    found = read(source)
    assert [each.row for each in found] == [1, 2, 3]
    assert all(isinstance(each, BadRow) for each in found)


def test_a_field_is_skimmed_without_the_rest(tmp_path: Path) -> None:
    first = b'{"id": "a", "text": "\xc3\xa9\\n", "more": [{"id": 0}, 1e9]}\n'
    source = written(tmp_path, first + b'{"more": null, "\\u0069d": 7, "id": true, "id": null}\n')
    [piece] = source.pieces(Position())
    assert source.skim(piece, "id") == ["a", None]
    assert source.skim(piece, "more") == [[{"id": 0}, 1e9], None]
    assert source.skim(piece, None) == [None, None]
    assert source.skim(piece, "text") is None
    # msgspec looks for no such name.
    assert source.skim(piece, 'a"b') is None


def test_a_character_over_the_end_of_a_block_is_no_mistake(tmp_path: Path) -> None:
    text = "\u4e16" * 100_000
    source = written(tmp_path, b"".join(b'{"id": %d, "text": "%b"}\n' % (n, text.encode()) for n in range(5)))
    [piece] = source.pieces(Position())
    assert source.skim(piece, "id") == [0, 1, 2, 3, 4]
    torn = replace(piece, payload=piece.payload.replace(b"\xe4\xb8\x96", b"\xe4\xb8", 1))
    assert source.skim(torn, "id") is None


def test_only_the_newline_byte_ends_a_line(tmp_path: Path) -> None:
    text = "a\u2028b\u2029c\u0085d\x1ce"
    line = json.dumps({"text": text}, ensure_ascii=False).replace("\\u001c", "\\u001c")
    assert read(written(tmp_path, line.encode() + b"\r\n" + line.encode())) == [{"text": text}] * 2


def test_a_byte_order_mark_blank_lines_and_a_last_line_without_newline_are_fine(tmp_path: Path) -> None:
    source = written(tmp_path, b'\xef\xbb\xbf\n  \n{"id": 1}\r\n\r\n{"id": 2}')
    pieces = list(source.pieces(Position()))
    assert [source.records(piece) for piece in pieces] == [[{"id": 1}, {"id": 2}]]
    assert list(source.numbers(pieces[0])) == [3, 5]


def test_numbers_keep_every_digit_that_python_can_hold(tmp_path: Path) -> None:
    big = 2**80 + 1
    assert read(written(tmp_path, b'{"n": %d, "f": 0.1}\n' % big)) == [{"n": big, "f": 0.1}]


@pytest.mark.parametrize("data", [b"\n", b"\xef\xbb\xbf\n \n", b"\r\n"])
def test_a_file_without_records_is_an_error(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(SourceError, match=r"rows\.jsonl: no records"):
        read(written(tmp_path, data))


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_compressed_data_that_ends_early_is_an_error_with_its_line_after_the_whole_lines(
    tmp_path: Path, ending: str
) -> None:
    data = b"".join(b'{"id": %d, "noise": "%d"}\n' % (i, i * 7919 % 10007) for i in range(4000))
    packed = gzip.compress(data) if ending == ".gz" else zstandard.ZstdCompressor().compress(data)
    source = written(tmp_path, packed[: len(packed) - 9], f"rows.jsonl{ending}")
    found: list[Any] = []
    with pytest.raises(SourceError, match=r"rows\.jsonl\.(gz|zst):\d+: the compressed data ends early"):
        found.extend(each for piece in source.pieces(Position()) for each in source.records(piece))
    assert found == [json.loads(line) for line in data.splitlines()[: len(found)]]


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_a_file_that_only_claims_to_be_compressed_is_an_error(tmp_path: Path, ending: str) -> None:
    with pytest.raises(SourceError, match=r":1: the data is damaged or not (gzip|zstd)"):
        read(written(tmp_path, b'{"id": 1}\n', f"rows.jsonl{ending}"))


def test_several_members_zero_padding_and_skippable_frames_are_one_text(tmp_path: Path) -> None:
    lines = [b'{"id": 1}\n{"i', b'd": 2}\n', b'{"id": 3}\n']
    expected = [{"id": 1}, {"id": 2}, {"id": 3}]
    members = b"".join(gzip.compress(each) for each in lines) + b"\0" * 512
    assert read(written(tmp_path, members, "a.jsonl.gz")) == expected
    skippable = b"\x50\x2a\x4d\x18\x04\0\0\0note"
    frames = skippable.join(zstandard.ZstdCompressor().compress(each) for each in lines)
    assert read(written(tmp_path, frames, "a.jsonl.zst")) == expected


def test_a_line_longer_than_a_piece_is_read_whole_and_alone_too_long_is_an_error(tmp_path: Path) -> None:
    source = written(tmp_path, b'{"id": 1}\n{"t": "%s"}\n{"id": 2}\n' % (b"x" * 50_000))
    source.piece_bytes = 1_000
    assert read(source) == [{"id": 1}, {"t": "x" * 50_000}, {"id": 2}]
    source.max_row_bytes = 20_000
    with pytest.raises(SourceError, match=r":2: the row that begins here is longer than 20,000 bytes"):
        read(source)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with path.open("wb") as file:
        for _ in range(300):
            file.write(b'{"text": "%s"}\n' % (b"x" * 100_000))
    source = JsonlSource([path])
    tracemalloc.start()
    try:
        count = sum(len(source.numbers(piece)) for piece in source.pieces(Position()))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 300
    assert peak < 6 * source.piece_bytes


lines = st.lists(
    st.one_of(
        st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=8), max_size=3).map(
            lambda each: json.dumps(each, ensure_ascii=False).encode()
        ),
        st.binary(max_size=6).map(lambda each: each.replace(b"\n", b"")),
        st.sampled_from([b"", b" ", b'{"a":1} {"b":2}', b'{"a":', b"1}", b'"\xe2\x80\xa8"', b"{}\r"]),
    ),
    min_size=1,
    max_size=30,
)


@quick
@given(files=st.lists(lines, min_size=1, max_size=3), size=st.integers(1, 60), rows=st.integers(1, 4))
def test_however_files_are_cut_each_line_is_read_as_it_would_be_alone(
    tmp_path: Path, files: list[list[bytes]], size: int, rows: int
) -> None:
    paths = []
    for number, each in enumerate(files):
        paths.append(tmp_path / f"{number}.jsonl")
        paths[-1].write_bytes(b"\n".join(each))
    source = JsonlSource(paths)
    source.piece_bytes, source.piece_rows = size, rows
    alone = []
    for each in files:
        for row, line in enumerate(each, 1):
            line = line.removeprefix(b"\xef\xbb\xbf") if row == 1 else line
            if line.strip():
                try:
                    value = json.loads(line.decode(), parse_constant=lambda _: None)
                    alone.append(value if isinstance(value, dict) else row)
                except ValueError:
                    alone.append(row)
    if not alone:
        with pytest.raises(SourceError):
            list(source.pieces(Position()))
        return
    exercise_source(lambda: source)
    pieces = list(source.pieces(Position()))
    found = [each for piece in pieces for each in source.records(piece)]
    assert [each.row if isinstance(each, BadRow) else each for each in found] == alone
    read_so_far: list[Any] = []
    for piece in pieces:
        read_so_far += source.records(piece)
        assert read_so_far + read(source, piece.next) == found
