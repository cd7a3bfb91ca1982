"""What is wrong with a source is found, however late in it, and told with its place."""

import json
from pathlib import Path
from typing import Any

import pytest

from nightmail.core.run import KeyKind, RunSpec
from nightmail.errors import ConfigError, SourceError
from nightmail.sources.base import Position
from nightmail.sources.jsonl import JsonlSource
from nightmail.stages.keying import Keying
from nightmail.stages.survey import Seen, Surveyed, survey


class SmallPieces(JsonlSource):
    piece_bytes, piece_rows = 200, 4


def surveyed(
    folder: Path, lines: list[str], *, columns: tuple[str, ...] = (), **asked: Any
) -> list[Surveyed]:
    path = folder / "rows.jsonl"
    path.write_text("".join(line + "\n" for line in lines))
    spec = {name: asked.pop(name) for name in ("key", "limit", "skip_bad_rows") if name in asked}
    return [
        *survey(SmallPieces([path]), RunSpec(task="t:T", task_name="T", **spec), columns=[*columns], **asked)
    ]


def counts(found: list[Surveyed]) -> list[int]:
    return [each.records for each in found]


def rows(count: int, **more: Any) -> list[str]:
    return [json.dumps({"id": f"r{n}", "text": "thing", **more}) for n in range(count)]


def test_each_piece_has_its_count(tmp_path):
    found = surveyed(tmp_path, [*rows(5), "", *[line.replace("r", "s") for line in rows(4)]])

    assert {each.keying for each in found} == {Keying(KeyKind.TEXT, "id")}
    assert sum(counts(found)) == 9
    assert len(found) > 2


def test_what_is_kept_of_a_piece_is_its_place(tmp_path):
    found = surveyed(tmp_path, [*rows(5), "", *[line.replace("r", "s") for line in rows(4)]])

    pieces = [each.piece for each in found if each.piece is not None]
    assert {piece.head for piece in pieces} == {b""}
    read = SmallPieces([tmp_path / "rows.jsonl"]).pieces(Position())
    assert [piece.whole() for piece in pieces] == list(read)


def test_a_row_that_cannot_be_read_at_the_very_end_is_told_with_its_line(tmp_path):
    with pytest.raises(SourceError, match=r"rows\.jsonl:41: not JSON .*Nothing was sent"):
        surveyed(tmp_path, [*rows(40), "{"])


def test_a_record_without_its_key_is_told_with_its_line(tmp_path):
    with pytest.raises(SourceError, match=r"rows\.jsonl:41: there is no 'id' in this record"):
        surveyed(tmp_path, [*rows(40), '{"text": "x"}'])


def test_a_key_that_is_there_twice_is_told_with_both_places(tmp_path):
    with pytest.raises(SourceError) as caught:
        surveyed(tmp_path, [*rows(40), *rows(7)])

    said = str(caught.value)
    places = [f"'r{n}' at {tmp_path}/rows.jsonl:{n + 1} and {tmp_path}/rows.jsonl:{n + 41}" for n in range(5)]
    assert "; ".join(places) + "; and more. Nothing was sent." in said


def test_keys_that_are_numbers_are_compared_too(tmp_path):
    with pytest.raises(SourceError, match=r"7 at .*:1 and .*:3"):
        surveyed(tmp_path, ['{"id": 7}', '{"id": -7}', '{"id": 7}'])


def test_equal_hashes_are_no_equal_keys(tmp_path):
    # In CPython both have the hash -2.
    assert hash(-1) == hash(-2)

    assert counts(surveyed(tmp_path, ['{"id": -1}', '{"id": -2}'])) == [2]


def test_rows_may_be_bad_and_keys_there_twice_if_they_are_to_be_skipped(tmp_path):
    found = surveyed(tmp_path, ["{", *rows(3), *rows(3)], skip_bad_rows=True)

    assert sum(counts(found)) == 7


def test_what_is_beyond_the_limit_is_not_looked_at(tmp_path):
    assert sum(counts(surveyed(tmp_path, [*rows(10), *["{"] * 30], limit=9))) == 9


def test_a_second_life_reads_on_from_where_the_first_has_come(tmp_path):
    lines = rows(12)
    source = SmallPieces([tmp_path / "rows.jsonl"])
    whole = surveyed(tmp_path, lines)
    first = next(source.pieces(Position()))

    rest = surveyed(
        tmp_path, lines, start=first.next, first_seq=whole[0].records + 1, keying=Keying(KeyKind.TEXT, "id")
    )

    assert sum(counts(rest)) == 12 - whole[0].records
    assert surveyed(tmp_path, lines, start=Position(offset=10**6), first_seq=13) == []


def test_a_key_may_not_be_called_like_a_column_of_the_output(tmp_path):
    with pytest.raises(ConfigError, match="'id', which is also the key's name"):
        surveyed(tmp_path, rows(1), columns=("id",))


def test_without_a_key_nothing_is_compared(tmp_path):
    found = surveyed(tmp_path, ['{"text": "x"}'] * 9)

    assert {each.keying for each in found} == {Keying(KeyKind.ROW, "row")}


def test_seen_keys_take_eight_bytes_each():
    seen = Seen()
    seen.add([f"key-{n}" for n in range(10_000)])

    assert seen._marks.itemsize * len(seen._marks) == 80_000
    assert seen.twice() == set()
    seen.add(["key-77"])
    assert seen.twice() == {hash("key-77")}
