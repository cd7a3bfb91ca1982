"""Which encoding each model's text is counted in."""

from __future__ import annotations

import pytest

from nightmail.tokens.encodings import encoding_of, family_name


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        ("gpt-4o", "o200k_base"),
        ("gpt-4o-mini-2024-07-18", "o200k_base"),
        ("gpt-4.1-nano", "o200k_base"),
        ("ft:gpt-4.1-2025-04-14:acme::a1b2", "o200k_base"),
        ("ft:gpt-4o-mini-2024-07-18:acme:name:a1b2", "o200k_base"),
        ("ft:gpt-3.5-turbo:acme::a1b2", "cl100k_base"),
        ("gpt-4", "cl100k_base"),
        ("gpt-4-turbo-2024-04-09", "cl100k_base"),
        ("gpt-4-1106-preview", "cl100k_base"),
        ("gpt-3.5-turbo-0125", "cl100k_base"),
        ("gpt-35-turbo", "cl100k_base"),
        ("gpt-5", "o200k_base"),
        ("gpt-5-mini", "o200k_base"),
        ("gpt-5.4-pro", "o200k_base"),
        ("gpt-5.6-sol", "o200k_base"),
        ("gpt-6-astra", "o200k_base"),
        ("gpt-6.1-terra", "o200k_base"),
        ("o1", "o200k_base"),
        ("o3-mini", "o200k_base"),
        ("o4-mini-2025-04-16", "o200k_base"),
        ("chatgpt-4o-latest", "o200k_base"),
        ("omni-moderation-latest", "o200k_base"),
        ("gpt-oss-120b", "o200k_harmony"),
        ("openai/gpt-oss-20b", "o200k_harmony"),
        ("openai/gpt-4o", "o200k_base"),
        ("text-embedding-3-small", "cl100k_base"),
        ("text-embedding-ada-002", "cl100k_base"),
        ("davinci-002", "cl100k_base"),
    ],
)
def test_a_known_model_has_its_encoding_exactly(model: str, encoding: str) -> None:
    assert encoding_of(model) == (encoding, True)


@pytest.mark.parametrize(
    "model",
    ["vllm/name", "meta-llama/Llama-3.1-8B", "qwen3", "gpt-7", "gpt-40", "o-ne", "text-embedding-4", ""],
)
def test_an_unknown_model_is_counted_as_o200k_and_not_called_exact(model: str) -> None:
    assert encoding_of(model) == ("o200k_base", False)


def test_prefix_case_and_fine_tuning_do_not_hide_the_family() -> None:
    assert family_name(" Azure/OpenAI/GPT-4o ") == "gpt-4o"
    assert family_name("ft:gpt-4.1-mini-2025-04-14:org::id") == "gpt-4.1-mini-2025-04-14"


def test_our_table_agrees_with_tiktokens_wherever_it_has_the_model() -> None:
    model = pytest.importorskip("tiktoken.model")
    wrong_there = {"ft:gpt-4"}  # takes ft:gpt-4.1 for the older family
    ours = {"cl100k_base", "o200k_base", "o200k_harmony"}  # the rest are retired models
    for name, encoding in {**model.MODEL_TO_ENCODING, **model.MODEL_PREFIX_TO_ENCODING}.items():
        # A prefix that ends without a dash stands for the models that continue it.
        example = name.removesuffix("-")
        if encoding in ours and name not in wrong_there and name != "gpt-3.5":
            assert encoding_of(example).name == encoding, name
