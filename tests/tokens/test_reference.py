"""Finding text that is counted differently, and tiktoken without ever downloading."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightmail.tokens.reference import differs, places, reference


@pytest.mark.parametrize(
    "text",
    [
        "a'\u017f",
        "\u1ada",
        "x\ua7ce",
        "\u0c5c",
        "\u088f",
        "😀 \U00010940",
        "\U000323b0",
        "\U0002b73e",
        "\ud800\u1ada",
    ],
)
def test_text_of_the_known_classes_is_found(text: str) -> None:
    assert differs(text)
    assert places(text) == 1


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "naïve — ‘quoted’",
        "Wachſtube",
        "Žluťoučký kůň",
        "中文",
        "한국어",
        "हिन्दी",
        "ไทย",
        "😀👩🏽‍💻",
        "\U0001d400",
        "\ud800",
    ],
)
def test_other_text_is_left_to_the_fast_tokenizer(text: str) -> None:
    assert not differs(text)
    assert places(text) == 0


@given(st.text())
def test_no_place_is_missed_by_the_quick_search(text: str) -> None:
    assert differs(text) or places(text) == 0


@pytest.mark.parametrize("content", [None, b"", b"not a vocabulary"])
def test_tiktoken_never_reaches_for_the_network(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if content is not None:
        (tmp_path / "fb374d419588a4632f3f557e76b4b70aebbca790").write_bytes(content)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(socket, "getaddrinfo", _unreachable)
    assert reference("o200k_base") is None


def test_tiktokens_files_switched_off_means_no_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")
    monkeypatch.setattr(socket, "getaddrinfo", _unreachable)
    assert reference("o200k_base") is None


def test_an_encoding_without_known_files_has_no_reference() -> None:
    assert reference("r50k_base") is None


def _unreachable(*_: object, **__: object) -> None:
    raise AssertionError("the network was asked")
