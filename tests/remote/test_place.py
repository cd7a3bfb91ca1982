"""Which service is meant, or none, and with which key."""

from __future__ import annotations

from pathlib import Path

import pytest

from nightmail.cli.homes import opened
from nightmail.cli.terminal import Terminal
from nightmail.config import Server, server
from nightmail.errors import ConfigError


def test_an_option_comes_before_the_environment_and_a_named_home_before_an_unnamed_service() -> None:
    said = {"NIGHTMAIL_SERVER": "http://there", "NIGHTMAIL_API_KEY": "k"}
    assert server("https://here/api/v1/", environment=said) == Server(url="https://here", api_key="k")
    assert server(None, environment=said) == Server(url="http://there", api_key="k")
    assert server(None, home=Path("h"), environment=said) is None
    assert server(None, environment={}) is None
    with pytest.raises(ConfigError, match="exclude each other"):
        server("http://here", home="h", environment={})


def test_a_key_is_shown_by_nothing() -> None:
    assert "sesame" not in repr(Server(url="http://here", api_key="sesame"))


@pytest.mark.parametrize(
    "wrong", ["here", "ftp://here", "http://", "http://here?key=1", "http://a:b@here", "//x"]
)
def test_what_is_no_address_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError, match="--server"):
        server(wrong, environment={})


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("http://127.0.0.1:8686", False),
        ("http://[::1]:8686", False),
        ("http://localhost:8686", False),
        ("https://batch.example.org", False),
        ("http://batch.example.org", True),
        ("http://10.0.0.3", True),
    ],
)
def test_a_key_that_others_could_read_is_warned_of(
    url: str, warned: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NIGHTMAIL_API_KEY", "sesame")
    opened(Terminal(server=url))
    said = capsys.readouterr()
    assert ("not https" in said.err) is warned
    assert "sesame" not in said.err + said.out
    monkeypatch.delenv("NIGHTMAIL_API_KEY")
    opened(Terminal(server=url))
    assert capsys.readouterr().err == ""
