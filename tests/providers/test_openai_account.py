"""Base URL, key and the account's name; and the numbers of facts.toml."""

from __future__ import annotations

import datetime
import tomllib
from importlib import resources

import pytest

from nightmail.core.limits import Limits
from nightmail.core.request import Endpoint
from nightmail.errors import ConfigError
from nightmail.providers.openai.account import NO_KEY, OPENAI_URL, account_of, host_of, key_for, url_for
from nightmail.providers.openai.facts import limits_for, published_queue_limits


@pytest.mark.parametrize("url", ["http://127.0.0.1:8687/v1", "http://localhost/v1", "http://[::1]:9/v1"])
def test_a_server_on_this_machine_needs_no_key(url: str) -> None:
    assert key_for(url, None) == NO_KEY
    assert key_for(url, "  ") == NO_KEY
    assert key_for(url, " sk-1\n") == "sk-1"


@pytest.mark.parametrize("url", [None, "https://api.openai.com/v1", "http://192.168.1.5:8000/v1"])
def test_any_other_server_does(url: str | None) -> None:
    with pytest.raises(ConfigError, match="set OPENAI_API_KEY"):
        key_for(url, None)
    assert key_for(url, "sk-1") == "sk-1"


@pytest.mark.parametrize("key", ["sk-…", "two words", "tab\tbed"])
def test_a_mangled_key_is_said_before_it_is_sent_and_not_repeated(key: str) -> None:
    with pytest.raises(ConfigError, match="OPENAI_API_KEY") as caught:
        key_for(None, key)
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["localhost:8000/v1", "ftp://host/v1", "http://", "http://host:port/v1", "https://[::1"]
)
def test_what_is_no_url_is_a_config_error_that_shows_it(url: str) -> None:
    with pytest.raises(ConfigError, match="base URL"):
        url_for(url)


@pytest.mark.parametrize("end", ["?key=secret", "/?api-version=secret", "#secret"])
def test_what_cannot_stand_before_a_path_is_a_config_error_that_does_not_show_it(end: str) -> None:
    with pytest.raises(ConfigError, match="base URL of h:1") as caught:
        url_for(f"http://h:1/v1{end}")
    assert "secret" not in str(caught.value)


def test_the_default_is_openai_and_a_slash_at_the_end_does_no_harm() -> None:
    assert url_for(None) == OPENAI_URL
    assert url_for("http://h:1/v1/") == "http://h:1/v1"


def test_the_host_shows_no_password() -> None:
    assert host_of("https://me:secret@proxy.example:8443/v1") == "proxy.example:8443"


def test_an_account_is_known_again_and_its_key_is_not_in_it() -> None:
    account = account_of(OPENAI_URL, "sk-secret")
    assert account == account_of(OPENAI_URL, "sk-secret")
    assert account.startswith("api.openai.com:")
    assert "secret" not in account
    assert account != account_of(OPENAI_URL, "sk-other") != account_of("http://127.0.0.1:1/v1", "sk-other")


@pytest.mark.parametrize(
    ("model", "window", "output"),
    [
        ("gpt-4o-mini", 128_000, 16_384),
        ("gpt-4o-2024-05-13", 128_000, 4_096),
        ("ft:gpt-4.1-mini-2025-04-14:org::id", 1_047_576, 32_768),
        ("openai/gpt-5-nano", 400_000, 128_000),
        ("gpt-5.1", 400_000, 128_000),
        ("gpt-6.1-sol", 1_050_000, 128_000),
        ("gpt-4-0613", 8_192, 4_096),
        ("gpt-4-32k", None, None),
        ("o1", 200_000, 100_000),
        ("o10", None, None),
        ("gpt-50", None, None),
        ("text-embedding-3-small", 8_191, None),
        ("llama-3", None, None),
    ],
)
def test_a_model_has_the_window_of_its_family(model: str, window: int | None, output: int | None) -> None:
    limits = limits_for(model, Endpoint.CHAT)
    assert (limits.context_window, limits.max_output_tokens) == (window, output)


def test_a_model_nobody_knows_has_the_general_limits() -> None:
    assert limits_for("mystery", Endpoint.CHAT) == Limits(
        max_batch_requests=50_000, max_batch_bytes=200_000_000, max_creates_per_hour=2_000
    )


def test_only_embeddings_have_a_limit_of_inputs() -> None:
    assert limits_for("text-embedding-3-small", Endpoint.EMBEDDINGS).max_batch_inputs == 50_000
    assert limits_for("gpt-4o", Endpoint.RESPONSES).max_batch_inputs is None


@pytest.mark.parametrize(
    ("model", "endpoint", "flex"),
    [
        ("gpt-5-mini", Endpoint.CHAT, True),
        ("gpt-5-mini-2025-08-07", Endpoint.RESPONSES, True),
        ("gpt-5-mini", Endpoint.EMBEDDINGS, False),
        ("gpt-5-chat-latest", Endpoint.CHAT, False),
        ("gpt-4o-mini", Endpoint.CHAT, False),
        ("ft:o4-mini-2025-04-16:org::id", Endpoint.CHAT, False),
        ("vllm/o3", Endpoint.CHAT, False),
    ],
)
def test_flex_is_for_some_models_and_two_endpoints(model: str, endpoint: Endpoint, flex: bool) -> None:
    assert limits_for(model, endpoint).flex is flex


def test_published_queue_limits_are_of_the_model_itself() -> None:
    assert published_queue_limits("gpt-4o-mini-2024-07-18")["tier2"] == 20_000_000
    assert published_queue_limits("gpt-4.1-mini") == {}


def test_every_number_says_where_it_is_from_and_when() -> None:
    facts = tomllib.loads(resources.files("nightmail.providers.openai").joinpath("facts.toml").read_text())
    for part in (facts["batch"], facts["models"], facts["flex"], *facts["queue"]):
        assert part["source"]
        assert isinstance(part["date"], datetime.date)
