"""The published files, made here and proved; never downloaded."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from nightmail.errors import ConfigError
from nightmail.tokens.vocabulary import PUBLISHED, in_folder, vocabulary_file

NAME = "cl100k_base"


@pytest.fixture
def empty_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A user whose cache is empty, and who has not used tiktoken yet."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(socket, "getaddrinfo", _unreachable)
    return tmp_path


@pytest.mark.parametrize("name", PUBLISHED)
def test_it_is_made_as_published_and_kept(name: str, empty_machine: Path) -> None:
    file = vocabulary_file(name)
    assert file == empty_machine / "cache/nightmail" / PUBLISHED[name].name
    assert hashlib.sha256(file.read_bytes()).hexdigest() == PUBLISHED[name].sha256
    made = file.stat().st_mtime_ns
    assert vocabulary_file(name) == file
    assert file.stat().st_mtime_ns == made
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def test_a_kept_one_needs_no_quicktok(empty_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = vocabulary_file(NAME)
    monkeypatch.setitem(sys.modules, "quicktok", None)
    assert vocabulary_file(NAME) == file


def test_one_that_tiktoken_downloaded_is_used_where_it_is(empty_machine: Path) -> None:
    made = vocabulary_file(NAME)
    theirs = empty_machine / "temporary/data-gym-cache" / made.name
    theirs.parent.mkdir()
    made.rename(theirs)
    assert vocabulary_file(NAME) == theirs


def test_half_a_file_is_made_anew(empty_machine: Path) -> None:
    file = vocabulary_file(NAME)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert in_folder(file.parent, NAME) is None
    assert vocabulary_file(NAME).read_bytes() == whole


def test_without_a_cache_to_write_to_it_is_with_the_temporary_files(
    empty_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (empty_machine / "cache").write_text("no folder")
    file = vocabulary_file(NAME)
    assert file.is_relative_to(empty_machine / "temporary")
    assert vocabulary_file(NAME) == file


def test_where_nothing_can_be_written_it_says_so(
    empty_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (empty_machine / "cache").write_text("no folder")
    monkeypatch.setattr(tempfile, "tempdir", str(empty_machine / "cache"))
    with pytest.raises(ConfigError, match=r"can be written nowhere .*Not a directory.* XDG_CACHE_HOME"):
        vocabulary_file(NAME)


def test_other_tokens_than_the_published_are_refused(
    empty_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoding = SimpleNamespace(decode_single_token_bytes=lambda rank: b"%d" % rank)
    monkeypatch.setitem(sys.modules, "quicktok", SimpleNamespace(get_encoding=lambda name: encoding))
    with pytest.raises(ConfigError, match=r"its tokens are others.*Reinstall it"):
        vocabulary_file(NAME)
    assert not (empty_machine / "cache").exists()


def test_without_quicktok_it_says_so(empty_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "quicktok", None)
    with pytest.raises(ConfigError, match=r"does not have the vocabulary cl100k_base .*Reinstall it"):
        vocabulary_file(NAME)


def test_processes_that_make_it_at_the_same_time_all_get_it(empty_machine: Path) -> None:
    code = (
        "import hashlib; from nightmail.tokens.vocabulary import vocabulary_file as f; input();"
        f"print(hashlib.sha256(f({NAME!r}).read_bytes()).hexdigest())"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1, text=True) for _ in range(3)
    ]
    told = [process.communicate("\n", timeout=60)[0].strip() for process in processes]
    assert told == [PUBLISHED[NAME].sha256] * 3


def _unreachable(*_: object, **__: object) -> None:
    raise AssertionError("the network was asked")
