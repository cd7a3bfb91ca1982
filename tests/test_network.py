"""Proxies of the environment: not before this machine; unusable ones are told without their address."""

import sys

import pytest

from nightmail.errors import ConfigError
from nightmail.network import is_loopback, may_be_proxied

THERE = "https://api.openai.com/v1"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize("value", ["http://proxy:3128", "proxy:3128", "https://me:secret@proxy", ""])
def test_what_can_be_used_may_be(monkeypatch, value):
    monkeypatch.setenv("HTTPS_PROXY", value)
    assert may_be_proxied(THERE)


@pytest.mark.parametrize(
    "value",
    ["ftp://me:secret@proxy", "http://me:secret@proxy:port", "http://[secret", "http://", "http://:1"],
)
def test_what_cannot_be_used_is_told_by_its_variable(monkeypatch, value):
    monkeypatch.setenv("HTTPS_PROXY", value)
    with pytest.raises(ConfigError, match="HTTPS_PROXY names no proxy that can be used") as caught:
        may_be_proxied(THERE)
    assert "secret" not in str(caught.value)


def test_socks_needs_a_package_which_is_named(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "socks5://me:secret@proxy:1080")
    monkeypatch.setitem(sys.modules, "socksio", None)
    with pytest.raises(ConfigError, match=r"ALL_PROXY names a SOCKS proxy .* pip install socksio") as caught:
        may_be_proxied(THERE)
    assert "secret" not in str(caught.value)


def test_where_none_is_wanted_none_is_looked_at(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "ftp://proxy")
    assert not may_be_proxied("http://127.0.0.1:8000/v1")
    monkeypatch.setenv("NO_PROXY", "localhost, *")
    assert may_be_proxied(THERE)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8687/v1", "http://me.localhost/v1", "http://[::1]:9/v1"])
def test_this_machine(url):
    assert is_loopback(url)


@pytest.mark.parametrize("url", [THERE, "http://[", "http://127.example.org", "http://localhost.example.org"])
def test_another_machine(url):
    assert not is_loopback(url)
