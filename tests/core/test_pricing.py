"""Costs, and the price table against genai-prices."""

from __future__ import annotations

import json
from decimal import Decimal
from importlib import resources
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightmail.core.pricing import (
    PUSD_PER_USD,
    LongContext,
    Price,
    PriceTable,
    Rates,
    cost_pusd,
    format_usd,
    merged,
    parse,
    parse_usd,
    price_of,
    sync_cost,
    tariff,
)
from nightmail.core.request import Mode
from nightmail.core.usage import Usage, Usages
from nightmail.errors import ConfigError

DATA = resources.files("nightmail.core").joinpath("prices.json").read_bytes()
TABLE = parse(DATA)
MILLION = 1_000_000
usages = st.builds(Usage, st.integers(0, 10**7), st.integers(0, 10**7), st.integers(0, 10**7))


def _one_model(standard_input: str) -> str:
    rates = '{"input": 1, "output": 1}'
    return (
        f'{{"models": {{"m": {{"standard": {{"input": {standard_input}, "output": 1}}, "batch": {rates}}}}}}}'
    )


def price(model: str) -> Price:
    found = price_of(model, TABLE)
    assert found is not None
    return found


def usd(amount: str) -> int:
    return int(Decimal(amount) * PUSD_PER_USD)


def test_a_million_tokens_cost_the_published_price() -> None:
    usage = Usage(input_tokens=200_000, output_tokens=100_000)
    mini = price("gpt-4o-mini")
    assert cost_pusd(usage, mini, mode=Mode.BATCH) == usd("0.015") + usd("0.03")
    assert cost_pusd(usage, mini, mode=Mode.FLEX) == usd("0.045")
    assert cost_pusd(usage, mini, mode=Mode.SYNC) == usd("0.09")
    assert sync_cost(usage, mini) == usd("0.09")


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("model", ["gpt-4o-mini", "gpt-5", "gpt-5.4", "gpt-4.1"])
@pytest.mark.parametrize(
    "usage", [Usage(0, 0), Usage(10, 3), Usage(10, 3, 4), Usage(10, 3, 50), Usage(300_000, 9, 7, 2)]
)
def test_a_tariff_is_the_cost_with_the_rates_looked_up_once(mode: Mode, model: str, usage: Usage) -> None:
    counts = (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens)

    costs = tariff(price(model), mode=mode)(Usages(*([count, count] for count in counts)))

    assert costs == [cost_pusd(usage, price(model), mode=mode)] * 2


def test_auto_is_estimated_as_the_dearer_of_what_it_may_become() -> None:
    usage = Usage(1000, 1000)
    assert cost_pusd(usage, price("gpt-4o"), mode=Mode.AUTO) == sync_cost(usage, price("gpt-4o"))


def test_reasoning_tokens_are_not_paid_twice() -> None:
    model = price("o3")
    assert cost_pusd(Usage(10, 100, 0, 90), model, mode=Mode.BATCH) == cost_pusd(
        Usage(10, 100), model, mode=Mode.BATCH
    )


def test_cached_tokens_have_the_batch_cached_price_where_there_is_one() -> None:
    usage = Usage(input_tokens=MILLION // 10, cached_tokens=MILLION // 10)
    assert cost_pusd(usage, price("gpt-5"), mode=Mode.BATCH) == usd("0.00625")


def test_cached_tokens_have_the_batch_input_price_where_there_is_none() -> None:
    usage = Usage(input_tokens=MILLION, cached_tokens=MILLION)
    assert cost_pusd(usage, price("gpt-4.1"), mode=Mode.BATCH) == usd("1")
    assert cost_pusd(usage, price("gpt-4.1"), mode=Mode.SYNC) == usd("0.5")


def test_more_cached_than_input_tokens_are_not_believed() -> None:
    assert cost_pusd(Usage(10, 0, 50), price("gpt-5"), mode=Mode.SYNC) == cost_pusd(
        Usage(10, 0, 10), price("gpt-5"), mode=Mode.SYNC
    )


def test_a_request_above_the_long_context_costs_more_as_a_whole() -> None:
    model = price("gpt-5.4")
    assert cost_pusd(Usage(272_000, 1000), model, mode=Mode.BATCH) == 272_000 * 1_250_000 + 1000 * 7_500_000
    assert cost_pusd(Usage(272_001, 1000), model, mode=Mode.BATCH) == 272_001 * 2_500_000 + 1000 * 11_250_000
    assert cost_pusd(Usage(272_001, 0, 272_001), model, mode=Mode.BATCH) == 272_001 * 250_000
    assert sync_cost(Usage(272_001, 1000), model) == 272_001 * 5_000_000 + 1000 * 22_500_000


def test_the_sum_over_many_requests_is_not_one_long_request() -> None:
    model = price("gpt-5.4")
    one, many = Usage(1000, 10), Usage(1000 * MILLION, 10 * MILLION)
    assert cost_pusd(many, model, mode=Mode.BATCH, requests=MILLION) == MILLION * cost_pusd(
        one, model, mode=Mode.BATCH
    )


@given(usages, usages)
def test_costs_add_up_exactly(one: Usage, other: Usage) -> None:
    rates = Rates(input=75_000, output=300_000, cached=7_500)
    flat = Price(standard=rates, batch=rates)
    both = Usage(min(one.input_tokens, one.cached_tokens), 0, min(one.input_tokens, one.cached_tokens))
    one = Usage(one.input_tokens, one.output_tokens, both.cached_tokens)
    other = Usage(other.input_tokens, other.output_tokens, min(other.input_tokens, other.cached_tokens))
    apart = cost_pusd(one, flat, mode=Mode.BATCH) + cost_pusd(other, flat, mode=Mode.BATCH)
    assert cost_pusd(one + other, flat, mode=Mode.BATCH) == apart


@given(usage=usages, model=st.sampled_from(sorted(TABLE.models)))
def test_batch_never_costs_more_than_sync_but_for_cached_tokens(usage: Usage, model: str) -> None:
    uncached = Usage(usage.input_tokens, usage.output_tokens)
    assert cost_pusd(uncached, price(model), mode=Mode.BATCH) <= sync_cost(uncached, price(model))


@pytest.mark.parametrize(
    ("model", "same_as"),
    [
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("gpt-5.4-2026-03-05", "gpt-5.4"),
        ("o3-2025-04-16", "o3"),
        ("gpt-4", "gpt-4-0613"),
        ("gpt-4-turbo", "gpt-4-turbo-2024-04-09"),
        ("gpt-3.5-turbo", "gpt-3.5-turbo-0125"),
        ("text-embedding-ada-002", "text-embedding-ada-002-v2"),
        ("ft:gpt-4.1-2025-04-14:acme:name:a1b2", "ft:gpt-4.1-2025-04-14"),
        ("ft:gpt-3.5-turbo:acme::a1b2", "ft:gpt-3.5-turbo"),
    ],
)
def test_a_snapshot_an_alias_and_a_tuned_model_have_their_price(model: str, same_as: str) -> None:
    assert price_of(model, TABLE) is TABLE.models[same_as]


def test_a_snapshot_with_its_own_price_keeps_it() -> None:
    assert price("gpt-4o-2024-05-13").standard.input == 2 * price("gpt-4o-2024-08-06").standard.input


@pytest.mark.parametrize(
    "model",
    [
        "vllm/gpt-4o", "openai/gpt-4o", "llama3", "simulated", "", "gpt-4o-audio-preview",
        "gpt-5-chat-latest", "gpt-4o-minimal", "ft:gpt-4o-2024-11-20:acme::a1", "ft:gpt-4o:acme::a1",
        "ft:davinci-002:acme::a1",
    ],
)  # fmt: skip
def test_an_unknown_model_has_no_price(model: str) -> None:
    assert price_of(model, TABLE) is None


def test_a_users_table_wins_per_model_and_may_name_a_prefix() -> None:
    override = parse(
        b'{"models": {"vllm/own": {"standard": {"input": 0, "output": 0},'
        b' "batch": {"input": 0, "output": 0}},'
        b' "gpt-4o": {"standard": {"input": "2", "output": 9.99}, "batch": {"input": 1, "output": 5}}}}'
    )
    table = merged(TABLE, override)
    own, changed = price_of("vllm/own", table), price_of("gpt-4o-2024-08-06", table)
    assert own is not None
    assert changed is not None
    assert cost_pusd(Usage(10, 10), own, mode=Mode.BATCH) == 0
    assert (changed.standard.input, changed.standard.output) == (2_000_000, 9_990_000)
    assert price_of("gpt-5", table) is TABLE.models["gpt-5"]
    assert table.date == TABLE.date


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"models": {"m": {"standard": {"input": 1, "output": 1}}}}', r"batch.*\$\.models"),
        ('{"models": {}, "currency": "EUR"}', "currency"),
        ('{"models": {}, "unit": "EUR"}', "EUR"),
        (_one_model("-1"), "'m'"),
        (_one_model('"NaN"'), "'m'"),
        (_one_model("1e-9"), "'m'"),
        (
            '{"models": {"m": {"standard": {"input": 1, "output": 1}, "batch": {"input": 1, "output": 1},'
            ' "aliases": ["m"]}}}',
            "two prices for 'm'",
        ),
    ],
)
def test_a_wrong_price_file_is_an_error_that_says_where(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        parse(text.encode())


@pytest.mark.parametrize(
    ("pusd", "text"),
    [
        (None, "unknown"),
        (0, "0.0"),
        (1, "0.000000000001"),
        (75_000, "0.000000075"),
        (PUSD_PER_USD, "1.0"),
        (1_500_000_000_000, "1.5"),
        (-250_000_000_000, "-0.25"),
        (10**20, "100000000.0"),
    ],
)
def test_money_is_shown_as_a_plain_decimal(pusd: int | None, text: str) -> None:
    assert format_usd(pusd) == text


@given(st.integers(0, 10**20))
def test_money_reads_back_as_it_was_shown(pusd: int) -> None:
    assert parse_usd(format_usd(pusd)) == pusd


@pytest.mark.parametrize(
    ("text", "pusd"), [("5", 5 * PUSD_PER_USD), (" $0.25 ", PUSD_PER_USD // 4), ("1e-6", MILLION)]
)
def test_an_amount_may_be_written_in_the_usual_ways(text: str, pusd: int) -> None:
    assert parse_usd(text) == pusd


@pytest.mark.parametrize("text", ["", "five", "-1", "nan", "inf", "1e-13", "1e999999999", "1,50", "unknown"])
def test_what_is_no_amount_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match="no amount of US dollars"):
        parse_usd(text)


def test_the_table_is_dated_and_says_where_it_is_from() -> None:
    written = json.loads(DATA)
    assert TABLE.date is not None
    assert written["sources"]
    assert price("gpt-5").retires is not None


# Where genai-prices has no batch price of its own it silently gives the standard one, and where it has no
# batch price for cached tokens it gives the standard cached one: only what it lists is compared.
NO_BATCH_THERE = {
    "text-embedding-3-large",
    "text-embedding-3-small",
    "text-embedding-ada-002-v2",
    "ft:gpt-4o-2024-08-06",
    "gpt-3.5-turbo-1106",  # listed, with no rates: the standard ones hold
}
NOT_THERE = {
    "ft:gpt-4.1-2025-04-14",
    "ft:gpt-4.1-mini-2025-04-14",
    "ft:gpt-4.1-nano-2025-04-14",
    "ft:o4-mini-2025-04-16",
}
NO_LONG_BATCH_THERE = {"gpt-5.5-pro"}
NO_STANDARD_CACHED_THERE = {"ft:gpt-4o-2024-08-06", "ft:gpt-4o-mini-2024-07-18"}
NAMED_DIFFERENTLY = {
    "gpt-4-turbo-2024-04-09": "gpt-4-turbo",
    "gpt-4-0613": "gpt-4",
    "gpt-3.5-turbo-0125": "gpt-3.5-turbo",
    "text-embedding-ada-002-v2": "text-embedding-ada-002",
    "ft:gpt-4o-2024-08-06": "ft:gpt-4o",
    "ft:gpt-4o-mini-2024-07-18": "ft:gpt-4o-mini",
    "ft:gpt-3.5-turbo": "ft:gpt-3.5-turbo-",
}
ROWS = sorted(json.loads(DATA)["models"])


@pytest.mark.parametrize("model", [row for row in ROWS if row not in NOT_THERE])
def test_every_row_agrees_with_genai_prices(model: str) -> None:
    theirs = _their_model(NAMED_DIFFERENTLY.get(model, model))
    ours = TABLE.models[model]
    standard = _newest(theirs.prices)
    _compare(ours.standard, standard, long=False, cached=model not in NO_STANDARD_CACHED_THERE)
    variants = [
        variant.prices for variant in theirs.price_variants or () if variant.when == {"processing": "batch"}
    ]
    assert bool(variants) == (model not in NO_BATCH_THERE - {"gpt-3.5-turbo-1106"})
    if model not in NO_BATCH_THERE:
        # A batch price for cached tokens that genai-prices does not list is one source's word only.
        _compare(ours.batch, variants[0], long=False, cached=not model.startswith("ft:"))
    if ours.long is not None:
        _compare(ours.long.standard, standard, long=True, cached=True)
        if model not in NO_LONG_BATCH_THERE:
            _compare(ours.long.batch, variants[0], long=True, cached=True)


@pytest.mark.parametrize("model", ROWS)
def test_batch_is_half_but_for_the_known_exceptions(model: str) -> None:
    ours = TABLE.models[model]
    if model in {"gpt-3.5-turbo-1106", "ft:gpt-4o-2024-08-06"}:
        assert 2 * ours.batch.input > ours.standard.input
    else:
        assert (2 * ours.batch.input, 2 * ours.batch.output) == (ours.standard.input, ours.standard.output)
        if ours.long is not None:
            assert 2 * ours.long.batch.input == ours.long.standard.input
            assert 2 * ours.long.batch.output == ours.long.standard.output


def test_a_table_can_be_made_in_code() -> None:
    rates = Rates(input=1, output=2)
    long = LongContext(above=10, standard=rates, batch=rates)
    table = PriceTable(date=None, models={"m": Price(standard=rates, batch=rates, long=long)})
    found = price_of("m", table)
    assert found is not None
    assert cost_pusd(Usage(20, 1), found, mode=Mode.BATCH) == 22


def _their_model(name: str) -> Any:
    data = pytest.importorskip("genai_prices.data")
    openai = next(provider for provider in data.providers if provider.id == "openai")
    return next(model for model in openai.models if model.id == name)


def _newest(prices: Any) -> Any:
    return prices[-1].prices if isinstance(prices, list) else prices


def _compare(ours: Rates, theirs: Any, *, long: bool, cached: bool) -> None:
    assert _pusd(theirs.input_mtok, long) == ours.input
    assert (_pusd(theirs.output_mtok, long) or 0) == ours.output
    if cached:
        assert _pusd(theirs.cache_read_mtok, long) == ours.cached


def _pusd(price_per_million: Any, long: bool) -> int | None:
    if price_per_million is None:
        return None
    if hasattr(price_per_million, "tiers"):
        tier = price_per_million.tiers[0]
        assert tier.start == 272_000
        price_per_million = tier.price if long else price_per_million.base
    else:
        assert not long
    return int(Decimal(price_per_million) * MILLION)
