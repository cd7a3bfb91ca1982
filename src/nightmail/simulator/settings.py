"""How one simulator is set up: read from its command line, or given by who starts it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from nightmail.errors import ConfigError
from nightmail.simulator.dialect import DIALECTS, FEATURES, Dialect, dialect_of
from nightmail.simulator.faults import Plan, read_plan

TIMINGS = ("instant", "realistic")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set. Times are seconds, `speed` divides the waiting of realistic timing."""

    state: Path
    host: str = "127.0.0.1"
    port: int = 8687
    timing: str = "instant"
    speed: float = 1.0
    seed: int = 0
    upstream: str | None = None
    upstream_concurrency: int = 16
    plan: Plan = Plan()
    quotas: dict[str, int] = {}
    api_key: str | None = None
    unknown_models: frozenset[str] = frozenset()
    max_batch_requests: int = 50_000
    max_batch_bytes: int = 200_000_000
    max_batch_inputs: int = 50_000
    max_creates_per_hour: int = 2_000
    requests_per_minute: int = 30_000
    tokens_per_minute: int = 150_000_000
    processes: int = 0
    dialect: Dialect = Dialect()

    def __post_init__(self) -> None:
        if self.timing not in TIMINGS:
            raise ConfigError(f"timing is {' or '.join(TIMINGS)}, not {self.timing!r}")
        if self.speed <= 0:
            raise ConfigError(f"speed is a number above 0, not {self.speed!r}")


def parser() -> argparse.ArgumentParser:
    """The options of `python -m nightmail.simulator`, which are those of `nightmail simulate`."""
    options = argparse.ArgumentParser(
        prog="nightmail simulate", description="A local provider: the OpenAI batch API over real HTTP."
    )
    add = options.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    add("--port", type=int, default=8687, help="port to listen on; 0 chooses a free one (8687)")
    add(
        "--state", type=Path, default=Path(".nightmail/simulator"), help="folder for files, batches and books"
    )
    add("--timing", choices=TIMINGS, default="instant", help="how long batches take (instant)")
    add("--speed", type=float, default=1.0, help="divides the waiting of realistic timing (1)")
    add("--seed", type=int, default=0, help="decides what is left to chance (0)")
    add("--upstream", metavar="URL", help="forward requests to this OpenAI-compatible server")
    add("--upstream-concurrency", type=int, default=16, help="requests at the upstream server at a time (16)")
    add("--faults", type=Path, metavar="FILE", help="plan of faults and answers, .toml or .json")
    add(
        "--quota",
        nargs="+",
        action="extend",
        default=[],
        metavar="MODEL=TOKENS",
        help="enqueued tokens a model may have",
    )
    add("--api-key", help="the only key accepted; without it every key is")
    add(
        "--unknown-model",
        action="append",
        default=[],
        metavar="MODEL",
        help="a model that does not exist here",
    )
    add("--max-batch-requests", type=int, default=50_000, help="requests in one batch (50000)")
    add("--max-batch-bytes", type=int, default=200_000_000, help="bytes of one input file (200000000)")
    add("--max-creates-per-hour", type=int, default=2_000, help="batches created in an hour (2000)")
    add(
        "--requests-per-minute",
        type=int,
        default=30_000,
        help="synchronous requests a minute per model (30000)",
    )
    add(
        "--tokens-per-minute",
        type=int,
        default=150_000_000,
        help="synchronous tokens a minute per model (150000000)",
    )
    add(
        "--processes",
        type=int,
        default=0,
        help="processes that answer large batches (0: one per processor, at most 4)",
    )
    add("--without", default="", metavar="FEATURES", help=f"comma-separated, of: {','.join(FEATURES)}")
    add("--dialect", choices=DIALECTS, default="openai", help="shapes of a compatible server (openai)")
    return options


def from_arguments(arguments: Sequence[str]) -> Settings:
    """Settings from a command line. Raises `ConfigError`; unknown options exit as argparse does."""
    given = parser().parse_args(arguments)
    without = [name for name in given.without.split(",") if name]
    if unknown := set(without) - set(FEATURES):
        raise ConfigError(f"--without {min(unknown)}: not a feature; known are {', '.join(FEATURES)}")
    return Settings(
        state=given.state,
        host=given.host,
        port=given.port,
        timing=given.timing,
        speed=given.speed,
        seed=given.seed,
        upstream=given.upstream,
        upstream_concurrency=given.upstream_concurrency,
        plan=read_plan(given.faults) if given.faults is not None else Plan(),
        quotas=dict(_quota(entry) for entry in given.quota),
        api_key=given.api_key,
        unknown_models=frozenset(given.unknown_model),
        max_batch_requests=given.max_batch_requests,
        max_batch_bytes=given.max_batch_bytes,
        max_creates_per_hour=given.max_creates_per_hour,
        requests_per_minute=given.requests_per_minute,
        tokens_per_minute=given.tokens_per_minute,
        processes=given.processes or min(os.cpu_count() or 1, 4),
        dialect=dialect_of(given.dialect, without),
    )


def _quota(entry: str) -> tuple[str, int]:
    model, _, tokens = entry.rpartition("=")
    number = tokens.replace("_", "").replace(",", "")
    if not model or not number.isdigit():
        raise ConfigError(f"--quota {entry}: give MODEL=TOKENS, for example gpt-4o-mini=2000000")
    return model, int(number)
