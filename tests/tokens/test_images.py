"""Tokens of images by model, size and detail."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightmail.tokens.images import Patches, Tiles, image_rule, image_tokens

MODELS = [
    "gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini", "gpt-4.1-nano", "gpt-4.5-preview", "gpt-5",
    "gpt-5-mini", "gpt-5-nano", "gpt-5-chat-latest", "gpt-5.1", "gpt-5.2", "gpt-5.4", "gpt-5.4-mini",
    "gpt-5.4-nano", "gpt-5.5", "gpt-5.6-sol", "gpt-6-astra", "o1", "o1-pro", "o3", "o4-mini",
    "computer-use-preview", "vllm/seer",
]  # fmt: skip
sides = st.integers(1, 20_000)
details = st.sampled_from(["low", "high", "auto", "original"])


@pytest.mark.parametrize(
    ("model", "size", "detail", "tokens"),
    [
        ("gpt-4o", (1024, 1024), "high", 765),
        ("gpt-4o", (2048, 4096), "high", 1105),
        ("gpt-4o", (4096, 8192), "low", 85),
        ("gpt-4o", (512, 512), "high", 255),
        ("gpt-4.1-2025-04-14", (1024, 1024), "auto", 765),
        ("gpt-4o-mini", (1024, 1024), "high", 2833 + 4 * 5667),
        ("gpt-4o-mini-2024-07-18", (1024, 1024), "low", 2833),
        ("gpt-5", (1024, 1024), "high", 70 + 4 * 140),
        ("gpt-5-chat-latest", (1024, 1024), "high", 70 + 4 * 140),
        ("gpt-5.1", (1024, 1024), "high", 70 + 4 * 140),
        ("o1", (1024, 1024), "high", 75 + 4 * 150),
        ("o3", (1024, 1024), "high", 75 + 4 * 150),
        ("computer-use-preview", (1024, 1024), "high", 65 + 4 * 129),
        # 1,024 patches; 1,452 patches (OpenAI's guide)
        ("gpt-4.1-mini", (1024, 1024), "high", 1659),
        ("gpt-4.1-mini", (1800, 2400), "high", 2353),
        ("gpt-5-mini", (1800, 2400), "high", 2353),
        ("gpt-5-nano", (1024, 1024), "high", 2520),
        ("gpt-4.1-nano", (1024, 1024), "high", 2520),
        ("o4-mini", (1024, 1024), "high", 1762),
        # a budget of 2,500 patches, 2,048 px; original 10,000 and 6,000 px
        ("gpt-5.4", (4096, 4096), "high", 3000),
        ("gpt-5.4", (4096, 4096), "auto", 3000),
        ("gpt-5.4-mini", (4096, 4096), "high", 4050),
        ("gpt-5.4-nano", (4096, 4096), "high", 6150),
        ("gpt-5.4", (3200, 3200), "original", 12_000),
        ("gpt-5.5", (3200, 3200), "auto", 12_000),
        ("gpt-5.5", (4096, 4096), "low", 308),
        ("gpt-5.6-sol", (6400, 6400), "auto", 48_000),
        ("gpt-6-astra", (6400, 6400), "original", 48_000),
        ("openai/gpt-4o", (1024, 1024), "high", 765),
        ("ft:gpt-4o-2024-08-06:org::id", (1024, 1024), "high", 765),
    ],
)
def test_published_examples_and_rules(model: str, size: tuple[int, int], detail: str, tokens: int) -> None:
    assert image_tokens(model, size, detail) == tokens


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("gpt-4o", 85 + 8 * 170),
        ("gpt-4.1-mini", 2489),
        ("gpt-5.4", 3000),
        ("gpt-5.5", 12_000),
        ("gpt-5.6-sol", 12_000),
    ],
)
def test_an_image_of_unknown_size_is_counted_at_the_models_maximum(model: str, tokens: int) -> None:
    assert image_tokens(model, None) == tokens


@given(model=st.sampled_from(MODELS), width=sides, height=sides, detail=details)
def test_no_image_is_more_than_the_maximum_where_the_model_has_one(
    model: str, width: int, height: int, detail: str
) -> None:
    tokens = image_tokens(model, (width, height), detail)
    rule, _ = image_rule(model)
    endless = isinstance(rule, Patches) and rule.original.patches is None and detail in ("auto", "original")
    assert tokens > 0
    assert endless or tokens <= image_tokens(model, None, detail)


@given(model=st.sampled_from(MODELS), width=sides, height=sides, detail=details)
def test_turning_an_image_changes_nothing(model: str, width: int, height: int, detail: str) -> None:
    assert image_tokens(model, (width, height), detail) == image_tokens(model, (height, width), detail)


def test_a_model_without_a_known_rule_is_counted_dearly_and_says_so() -> None:
    _, known = image_rule("vllm/seer")
    assert not known
    assert image_tokens("vllm/seer", (1024, 1024)) >= image_tokens("gpt-4.1-nano", (1024, 1024))


def test_a_later_model_is_not_taken_for_an_earlier_one() -> None:
    assert isinstance(image_rule("gpt-5")[0], Tiles)
    assert isinstance(image_rule("gpt-5.1")[0], Tiles)
    assert isinstance(image_rule("gpt-5.2")[0], Patches)
    assert isinstance(image_rule("gpt-5.6-luna")[0], Patches)
