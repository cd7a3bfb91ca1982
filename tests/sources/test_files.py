from __future__ import annotations

import os
from pathlib import Path

import pytest

from nightmail.errors import SourceError
from nightmail.sources.files import fingerprint, resolve


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(folder: Path, *names: str, data: bytes = b'{"id": 1}\n') -> list[Path]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return [folder / name for name in names]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.jsonl", "jsonl"),
        ("a.NDJSON", "jsonl"),
        ("a.json", "jsonl"),
        ("a.b.jsonl.gz", "jsonl"),
        ("a.csv", "csv"),
        ("a.tsv.zst", "csv"),
        ("a.parquet", "parquet"),
    ],
)
def test_the_ending_tells_the_format(folder: Path, name: str, kind: str) -> None:
    (path,) = put(folder, name)
    assert resolve(path) == (kind, (path,))
    assert resolve(name) == (kind, (Path(name),))


def test_a_folder_means_its_files_by_name_without_hidden_ones_and_markers(folder: Path) -> None:
    put(folder, "in/b.jsonl", "in/a.jsonl.gz", "in/.c.jsonl", "in/_SUCCESS", "in/sub/d.jsonl", "in/_e.jsonl")
    names = [path.name for path in resolve("in")[1]]
    assert names == ["_e.jsonl", "a.jsonl.gz", "b.jsonl"]


def test_a_glob_may_go_deep_and_a_list_keeps_its_order(folder: Path) -> None:
    put(folder, "in/2/b.csv", "in/1/a.csv", "in/1/.x.csv", "z.csv")
    assert resolve("in/**/*.csv")[1] == (Path("in/1/a.csv"), Path("in/2/b.csv"))
    assert resolve(["z.csv", Path("in/2")])[1] == (Path("z.csv"), Path("in/2/b.csv"))


def test_a_name_with_brackets_is_a_file_if_there_is_one(folder: Path) -> None:
    put(folder, "rows[1].csv")
    assert resolve("rows[1].csv")[1] == (Path("rows[1].csv"),)


def test_a_home_folder_may_be_written_as_a_tilde(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    (path,) = put(folder, "rows.csv")
    assert resolve("~/rows.csv")[1] == (path,)


def test_each_wrong_input_is_told_apart(folder: Path) -> None:
    put(folder, "mixed/a.csv", "mixed/b.jsonl", "odd/notes.txt", "packed.parquet.gz", "deep/below/a.csv")
    put(folder, "empty.csv", data=b"")
    put(folder, "array.json", data=b'[\n{"id": 1}]')
    put(folder, "pretty.json", data=b'{\n  "id": 1\n}')
    (folder / "none").mkdir()
    os.mkfifo(folder / "pipe.csv")
    for spec, message in {
        "missing.csv": r"missing\.csv does not exist",
        "*.xyz": r"no file matches \*\.xyz",
        "none": "a folder without input files",
        "deep": r"subfolders are not searched",
        "mixed": r"a\.csv is csv, mixed/b\.jsonl is jsonl",
        "odd": r"notes\.txt: the ending does not tell the format; known are \.jsonl",
        "packed.parquet.gz": "unpack the .gz first",
        "empty.csv": r"empty\.csv is empty \(0 bytes\)",
        "array.json": r"one JSON document.*jq -c",
        "pretty.json": "one JSON document",
        "pipe.csv": "not a regular file",
        "s3://bucket/rows.csv": "is a URL",
    }.items():
        with pytest.raises(SourceError, match=message):
            resolve(spec)
    with pytest.raises(SourceError, match="named twice"):
        resolve(["mixed/*.csv", "mixed/a.csv"])
    with pytest.raises(SourceError, match="no input"):
        resolve([])


def test_the_fingerprint_changes_with_names_sizes_and_times(folder: Path) -> None:
    paths = put(folder, "a.csv", "b.csv")
    seen = {fingerprint(paths), fingerprint(paths[::-1]), fingerprint(paths[:1])}
    os.utime(paths[0], ns=(1, 1))
    seen.add(fingerprint(paths))
    paths[1].write_bytes(b"more than before")
    seen.add(fingerprint(paths))
    assert len(seen) == 5
    assert fingerprint(paths) == fingerprint(paths)
    paths[0].unlink()
    with pytest.raises(SourceError, match="cannot be read"):
        fingerprint(paths)
