"""What is left out of a piece is read again as it was, or not at all."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from nightmail.errors import SourceError
from nightmail.sources.base import Position
from nightmail.sources.csv import CsvSource
from nightmail.sources.jsonl import JsonlSource


def test_a_piece_behind_a_byte_order_mark_is_read_again_without_it(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id":1}\n{"id":2}\n')
    (piece,) = JsonlSource([path]).pieces(Position())

    reference = piece.reference()

    assert reference is not None
    assert (reference.head, reference.size) == (b"", 18)
    assert reference.whole() == piece


def test_a_piece_of_a_table_of_text_keeps_its_header(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("id,text\n1,a\n2,b\n")
    (piece,) = CsvSource([path]).pieces(Position())

    reference = piece.reference()

    assert reference is not None
    assert b"id,text" in reference.head
    assert reference.whole() == piece


def test_nothing_is_left_out_of_a_compressed_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"id":1}\n'))
    (piece,) = JsonlSource([path]).pieces(Position())

    assert piece.reference() is None
    assert piece.whole() is piece


def test_a_file_that_has_become_shorter_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"id":1}\n{"id":2}\n')
    (piece,) = JsonlSource([path]).pieces(Position())
    reference = piece.reference()
    assert reference is not None
    path.write_bytes(b'{"id":1}\n')

    with pytest.raises(SourceError, match="became shorter"):
        reference.whole()

    path.unlink()
    with pytest.raises(SourceError, match="cannot be read"):
        reference.whole()
