"""What tokens cost, exactly: integers of 1e-12 USD (pico-USD, `pusd`), no rounding anywhere.

1 USD per million tokens is 1,000,000 pusd per token, so every published price is a whole number. A model
without a known price costs None, never 0. The table is data (`prices.json` beside this file, dated, with its
sources; a user's file of the same form on top of it); reading the file is the caller's business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal

import msgspec

from nightmail.core.request import Mode
from nightmail.core.usage import Usage, Usages
from nightmail.errors import ConfigError

PUSD_PER_USD = 10**12
FLEX_TIER = "flex"

# USD per million tokens -> pusd per token
_PUSD_PER_TOKEN = PUSD_PER_USD // 10**6


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """pusd per token. `cached` None: no such price is published, cached tokens cost what input costs."""

    input: int
    output: int
    cached: int | None = None


class LongContext(msgspec.Struct, frozen=True, kw_only=True):
    """The rates of a whole request whose input is longer than `above` tokens."""

    above: int
    standard: Rates
    batch: Rates


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """What one model costs. `retires` is the day after which the provider no longer serves it, if told."""

    standard: Rates
    batch: Rates
    long: LongContext | None = None
    retires: date | None = None


class PriceTable(msgspec.Struct, frozen=True, kw_only=True):
    """Prices by model name, and by every other name of it. `date` is the day they were collected."""

    date: date | None
    models: Mapping[str, Price]


class _WrittenRates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    input: Decimal
    output: Decimal
    cached: Decimal | None = None


class _WrittenLong(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    above: int
    standard: _WrittenRates
    batch: _WrittenRates


class _WrittenPrice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    standard: _WrittenRates
    batch: _WrittenRates
    long: _WrittenLong | None = None
    retires: date | None = None
    aliases: tuple[str, ...] = ()


class _WrittenTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    models: dict[str, _WrittenPrice]
    date: date | None = None
    unit: str = "USD per 1,000,000 tokens"
    sources: tuple[str, ...] = ()


def parse(data: bytes) -> PriceTable:
    """A price file's content. Raises `ConfigError` that says where it is wrong."""
    try:
        written = msgspec.json.decode(data, type=_WrittenTable)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the price file cannot be read: {error}") from error
    if written.unit != _WrittenTable(models={}).unit:
        raise ConfigError(
            f"the price file has the unit {written.unit!r}; it must be USD per 1,000,000 tokens"
        )
    models: dict[str, Price] = {}
    for name, entry in written.models.items():
        price = Price(
            standard=_rates(name, entry.standard),
            batch=_rates(name, entry.batch),
            long=_long(name, entry.long),
            retires=entry.retires,
        )
        for key in (name, *entry.aliases):
            if key in models:
                raise ConfigError(f"the price file has two prices for {key!r}")
            models[key] = price
    return PriceTable(date=written.date, models=models)


def merged(table: PriceTable, override: PriceTable) -> PriceTable:
    """`table` with the models of `override` in place of its own."""
    return PriceTable(date=table.date, models={**table.models, **override.models})


_SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}$")


def price_of(model: str, table: PriceTable) -> Price | None:
    """The price of a model, of its dated snapshot, or of a model fine-tuned from it; None if unknown.

    `vllm/name` and any other prefix is unknown, because somebody else sends the bill, unless the table has
    that very name. A fine-tuned model has its own prices, per base model: `ft:gpt-4.1-2025-04-14:org::id`.
    """
    if (price := table.models.get(model)) is not None:
        return price
    if model.startswith("ft:"):
        base = "ft:" + model[3:].partition(":")[0]
        return table.models.get(base)
    return table.models.get(_SNAPSHOT.sub("", model))


def cost_pusd(usage: Usage, price: Price, *, mode: Mode, requests: int = 1) -> int:
    """What `usage` costs, in pusd.

    Batch and flex have the batch prices, sync the standard ones, and so has auto, which may become either:
    an estimate is rather too high. Reasoning tokens are output tokens already. A request above the long
    context has other rates as a whole, so give one request's usage at a time; `requests` is for an
    estimate over that many of about the same size.
    """
    by_batch = mode in (Mode.BATCH, Mode.FLEX)
    tier = (
        price.long if price.long is not None and usage.input_tokens > price.long.above * requests else price
    )
    rates = tier.batch if by_batch else tier.standard
    cached = min(usage.cached_tokens, usage.input_tokens)
    cached_rate = rates.input if rates.cached is None else rates.cached
    return (
        (usage.input_tokens - cached) * rates.input
        + cached * cached_rate
        + usage.output_tokens * rates.output
    )


def billed_mode(mode: Mode, tier: str | None) -> Mode:
    """By which prices an answer is billed: a call that asked for flex may be answered by another tier, and
    an answer that does not tell its tier is taken for the dearer one."""
    return Mode.SYNC if mode is Mode.FLEX and tier != FLEX_TIER else mode


def tariff(price: Price, *, mode: Mode) -> Callable[[Usages], list[int]]:
    """`cost_pusd` of each of many requests: the rates are looked up once."""
    if price.long is not None:
        return lambda usages: [
            cost_pusd(Usage(*counts), price, mode=mode) for counts in zip(*usages, strict=True)
        ]
    rates = price.batch if mode in (Mode.BATCH, Mode.FLEX) else price.standard
    into, out, cached_rate = rates.input, rates.output, rates.input if rates.cached is None else rates.cached
    off = into - cached_rate

    def costs(usages: Usages) -> list[int]:
        given, got, cached, _ = usages
        if not any(cached):
            return [asked * into + answered * out for asked, answered in zip(given, got, strict=True)]
        return [
            asked * into + answered * out - min(again, asked) * off
            for asked, answered, again in zip(given, got, cached, strict=True)
        ]

    return costs


def sync_cost(usage: Usage, price: Price, *, requests: int = 1) -> int:
    """What the same usage costs by synchronous calls: the difference is what was saved."""
    return cost_pusd(usage, price, mode=Mode.SYNC, requests=requests)


def format_usd(pusd: int | None) -> str:
    """US dollars as a plain decimal, exact: `0.0`, `1.5`, `0.000000075`; `unknown` for None."""
    if pusd is None:
        return "unknown"
    whole, rest = divmod(abs(pusd), PUSD_PER_USD)
    digits = f"{rest:012d}".rstrip("0") or "0"
    return f"{'-' if pusd < 0 else ''}{whole}.{digits}"


def parse_usd(text: str) -> int:
    """pusd of an amount that somebody wrote in US dollars (`5`, `0.25`, `$3`). Raises `ConfigError`."""
    try:
        amount = Decimal(text.strip().removeprefix("$"))
        pusd = amount * PUSD_PER_USD
        if 0 <= amount < PUSD_PER_USD and pusd == pusd.to_integral_value():
            return int(pusd)
    except ArithmeticError:
        pass
    raise ConfigError(f"{text!r} is no amount of US dollars; write it like 5 or 0.25")


def _long(name: str, written: _WrittenLong | None) -> LongContext | None:
    if written is None:
        return None
    return LongContext(
        above=written.above, standard=_rates(name, written.standard), batch=_rates(name, written.batch)
    )


def _rates(name: str, written: _WrittenRates) -> Rates:
    return Rates(
        input=_per_token(name, written.input),
        output=_per_token(name, written.output),
        cached=None if written.cached is None else _per_token(name, written.cached),
    )


def _per_token(name: str, usd_per_million: Decimal) -> int:
    if usd_per_million.is_finite() and usd_per_million >= 0:
        pusd = usd_per_million * _PUSD_PER_TOKEN
        if pusd == pusd.to_integral_value():
            return int(pusd)
    raise ConfigError(
        f"the price file has {usd_per_million} for {name!r}: no price in USD per million tokens"
    )
