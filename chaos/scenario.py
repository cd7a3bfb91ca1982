"""One random night, drawn from a seed: what is to be done, and what is to go wrong meanwhile.

Everything that is left to chance is decided here, so that a seed names a night. When exactly a process
dies is decided here too, but what it was doing at that moment is the machine's own business: a night
that was repeated is very like the first, not the same to the microsecond.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MODELS = {"Labels": "gpt-4o-mini", "Words": "gpt-4.1-nano"}
# What one record's request takes at most by our count, for quotas that hold several batches.
TOKENS_EACH = 230


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """Something done to the processes: `what` happens `after` so many seconds; it may last `seconds`."""

    after: float
    what: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A night. `quota` holds for nightmail; the simulator's own, if any, is `their_quota`."""

    seed: int
    task: str
    mode: str
    records: int
    keys: str  # "integer", "text" or "row"
    bad_rows: int
    output: str
    max_batch_requests: int
    quota: int | None
    their_quota: int | None
    companion: str | None  # a second process on the same home: "run" or "worker"
    second_run: bool  # a second run shares the home, the model and its quota
    timing: str
    speed: float
    poll_interval: float
    retry: bool
    changes: tuple[str, ...]  # of nightmail; see chaos.changed. `pooled`: some of its processes are killed
    repeats: float = 0.0  # how many of the texts were there before
    faults: tuple[dict[str, Any], ...] = ()
    deeds: tuple[Deed, ...] = ()

    @property
    def model(self) -> str:
        return MODELS[self.task]


_Draw = Callable[[random.Random], dict[str, Any]]

# Each kind with what may vary in it. Probabilities are of calls, of batches or of requests.
CALLS: dict[str, _Draw] = {
    "create_lost": lambda chance: {"probability": chance.uniform(0.1, 0.5)},
    "create_lost repeated": lambda chance: {
        "kind": "create_lost", "times": 2, "probability": chance.uniform(0.05, 0.3),
    },
    "create_5xx accepted": lambda chance: {
        "kind": "create_5xx", "accepted": True, "probability": chance.uniform(0.1, 0.4),
        "status": chance.choice([500, 502, 503]),
    },
    "rate_limited": lambda chance: {
        "probability": chance.uniform(0.05, 0.3), "seconds": chance.choice([0.1, 0.5, 1]),
    },
    "rate_limited billing": lambda chance: {
        "kind": "rate_limited", "code": "insufficient_quota", "route": "create", "first": 1,
    },
    "upload_5xx": lambda chance: {"probability": chance.uniform(0.1, 0.4), "status": 503},
    "file_not_visible": lambda chance: {"probability": chance.uniform(0.1, 0.5)},
    "slow": lambda chance: {"probability": chance.uniform(0.05, 0.3), "seconds": chance.uniform(0.2, 2)},
    "truncated_download": lambda chance: {"probability": chance.uniform(0.1, 0.4)},
    "truncated_download short": lambda chance: {
        "kind": "truncated_download", "code": "short", "probability": chance.uniform(0.1, 0.3),
    },
    "dropped accepted": lambda chance: {
        "kind": "dropped", "accepted": True, "probability": chance.uniform(0.02, 0.1),
    },
    "dropped": lambda chance: {
        "route": chance.choice(["upload", "poll", "list", "download", "delete"]),
        "probability": chance.uniform(0.1, 0.3),
    },
    "server_error": lambda chance: {
        "route": chance.choice(["poll", "list", "download", "delete", "cancel"]),
        "probability": chance.uniform(0.1, 0.3), "status": chance.choice([500, 502, 504]),
    },
    "upload_short": lambda chance: {"probability": chance.uniform(0.1, 0.3)},
    "cancel_refused": lambda chance: {"probability": 0.5},
    "bad_key": lambda chance: {"first": 1, "route": chance.choice(["upload", "create", "poll"])},
}  # fmt: skip
# Each of these makes a client that knows its duty wait for more than a minute.
PATIENCE: dict[str, _Draw] = {
    "create_5xx": lambda chance: {"probability": chance.uniform(0.05, 0.2), "status": 500},
    "batch_fails queue": lambda chance: {
        "kind": "batch_fails", "code": "token_limit_exceeded", "probability": chance.uniform(0.05, 0.2),
        "message": "Enqueued token limit reached for the model. Limit: 90,000 enqueued tokens.",
    },
    "late": lambda chance: {
        "route": chance.choice(["create", "create", "upload", "poll", "list", "download", "delete"]),
        "seconds": 33.0, "first": 1,
    },
    "slow create": lambda chance: {"kind": "slow", "route": "create", "seconds": 34.0, "first": 1},
    "dropped create": lambda chance: {
        "kind": "dropped", "route": "create", "probability": chance.uniform(0.05, 0.2),
    },
    "other_tenant": lambda chance: {"first": 2},
}  # fmt: skip
BATCHES: dict[str, _Draw] = {
    "batch_fails": lambda chance: {"probability": chance.uniform(0.05, 0.3)},
    "batch_fails line": lambda chance: {
        "kind": "batch_fails", "code": "invalid_json_line", "line": chance.randint(1, 3),
        "probability": chance.uniform(0.05, 0.2),
    },
    "batch_fails billing": lambda chance: {
        "kind": "batch_fails", "code": "billing_hard_limit_reached", "first": 1,
        "message": "Billing hard limit has been reached.",
    },
    "expire": lambda chance: {
        "probability": chance.uniform(0.1, 0.5), "share": chance.choice([0.0, 0.3, 0.5, 0.9]),
    },
    "lying_counts": lambda chance: {"probability": chance.uniform(0.2, 0.8)},
    "empty_string_ids": lambda chance: {"probability": chance.uniform(0.2, 0.8)},
    "ids_late": lambda chance: {"probability": chance.uniform(0.1, 0.4), "times": chance.randint(1, 3)},
    "stuck": lambda chance: {"probability": chance.uniform(0.05, 0.2), "share": chance.choice([0.0, 0.4])},
    "poison": lambda chance: {
        "marker": f" {chance.randint(3, 60)}: ", "named": chance.random() < 0.5,
    },
    "cancelled_unasked": lambda chance: {
        "probability": chance.uniform(0.1, 0.3), "share": chance.choice([0.0, 0.5]),
    },
    "rows_thrown_away": lambda chance: {"probability": chance.uniform(0.1, 0.3)},
    "batch_vanishes": lambda chance: {
        "probability": chance.uniform(0.05, 0.2), "accepted": chance.random() < 0.3,
    },
    # By the clock, as a real list lags, and for less than LISTING_LAG: nobody looks for ever.
    "list_lags": lambda chance: {
        "probability": chance.uniform(0.2, 0.6), "seconds": 2.0 * chance.randint(1, 3),
    },
    "files_late": lambda chance: {"probability": chance.uniform(0.1, 0.4), "times": chance.randint(1, 2)},
    "file_gone": lambda chance: {
        "probability": chance.uniform(0.05, 0.2), "status": chance.choice([404, 410]),
    },
    "half_last_line": lambda chance: {"probability": chance.uniform(0.1, 0.4)},
}  # fmt: skip
REQUESTS: dict[str, _Draw] = {
    kind: lambda chance: {
        "probability": chance.uniform(0.005, 0.08), "repeat": chance.choice([1, 1, 2, "afresh"]),
    }
    for kind in (
        "missing_lines", "duplicate_lines", "unknown_lines", "malformed_output", "schema_break",
        "truncated_output", "refusal",
    )
}  # fmt: skip
REQUESTS |= {
    "line_error": lambda chance: {
        "probability": chance.uniform(0.005, 0.05), "status": chance.choice([0, 408, 429, 500, 503]),
    },
    "line_error unanswered": lambda chance: {
        "kind": "line_error", "code": "request_timeout", "probability": chance.uniform(0.005, 0.05),
    },
    "line_error refused": lambda chance: {
        "kind": "line_error", "status": 400, "code": "invalid_request_error", "probability": 0.005,
    },
}  # fmt: skip
SYNC_CALLS = ("rate_limited", "slow", "dropped accepted")
# A file that cannot be read is believed to be gone after a minute (`gullible`).
WAITED_FOR = ("file_gone", "rows_thrown_away")


def draw(seed: int, *, short: bool = False) -> Scenario:
    """The night of a seed. A short one has few records and nothing that takes a minute by itself."""
    chance = random.Random(seed)
    task = chance.choice(["Labels", "Labels", "Words"])
    mode = "sync" if chance.random() < 0.2 else "batch"
    records = chance.randint(100, 300) if short else int(10 ** chance.uniform(2.3, 3.7))
    if mode == "sync":
        records = min(records, 1500)
    batch = max(5, records // chance.randint(3, 25))
    patience = not short and chance.random() < 0.25
    long_stop = not short and chance.random() < 0.25
    quota = int(batch * TOKENS_EACH * chance.uniform(2, 5)) if chance.random() < 0.6 else None
    # A provider whose limit is lower than we were told refuses batches, and each refusal costs a minute.
    their_quota = int(quota * 0.6) if quota and patience and chance.random() < 0.5 else None
    companion = chance.choice([None, "run", "worker"])
    if long_stop:
        companion = companion or "worker"
    pooled = chance.random() < 0.5
    return Scenario(
        seed=seed,
        task=task,
        mode=mode,
        records=records,
        keys=chance.choice(["integer", "text", "row"]),
        bad_rows=chance.choice([0, 0, 3]),
        output=chance.choice(["out.parquet", "out.jsonl", "out.csv"]),
        max_batch_requests=batch,
        quota=quota,
        their_quota=their_quota,
        companion=companion,
        second_run=companion == "worker" and chance.random() < 0.5,
        timing=chance.choice(["instant", "realistic", "realistic"]),
        speed=chance.choice([60.0, 150.0, 400.0]),
        poll_interval=chance.choice([0.2, 0.5, 1.0]),
        retry=chance.random() < 0.6,
        # What a night, or a short one, cannot wait for is made short.
        changes=("gullible", *(["pooled"] if pooled else []), *(["hasty"] if short else [])),
        # Drawn apart: a seed stands for the night that it stood for before.
        repeats=random.Random(f"{seed}/repeats").choice([0.0, 0.0, 0.3, 0.9]),
        faults=_faults(chance, mode=mode, patience=patience, short=short),
        deeds=_deeds(chance, mode=mode, short=short, long_stop=long_stop, pooled=pooled),
    )


def _faults(chance: random.Random, *, mode: str, patience: bool, short: bool) -> tuple[dict[str, Any], ...]:
    """Some of each sort; one entry per kind, so that it can be counted how often each struck."""
    calls = CALLS if mode == "batch" else {name: CALLS[name] for name in SYNC_CALLS}
    chosen = _some(chance, calls, chance.randint(1, min(6, len(calls))))
    chosen |= _some(chance, REQUESTS, chance.randint(2, 6))
    if mode == "batch":
        chosen |= _some(chance, BATCHES, chance.randint(2, 7))
        if patience:
            # Before the others: of two of a kind the first is kept.
            chosen = _some(chance, PATIENCE, 1) | chosen
    entries: dict[str, dict[str, Any]] = {}
    for name, drawing in chosen.items():
        if short and name in WAITED_FOR:
            continue
        entry = {"kind": name.partition(" ")[0], **drawing(chance)}
        entries.setdefault(entry["kind"], entry)
    return tuple(entries.values())


def _some(chance: random.Random, kinds: dict[str, _Draw], count: int) -> dict[str, _Draw]:
    return {name: kinds[name] for name in chance.sample(sorted(kinds), count)}


def _deeds(
    chance: random.Random, *, mode: str, short: bool, long_stop: bool, pooled: bool
) -> tuple[Deed, ...]:
    weights = {
        "kill": 6, "stop": 2, "kill_simulator": 2, "jump": 2 if mode == "batch" else 0, "pause": 1,
        "terminate": 1, "retry": 1, "nothing": 2, "kill_shard": 4 if pooled else 0,
    }  # fmt: skip
    count = chance.randint(3, 5) if short else chance.randint(4, 14)
    names = chance.choices(list(weights), list(weights.values()), k=count)
    deeds = [_deed(chance, name) for name in names]
    if long_stop:
        deeds.insert(
            chance.randrange(len(deeds)),
            Deed(after=chance.uniform(0.3, 2.5), what="stop", seconds=chance.uniform(34, 95)),
        )
    if chance.random() < 0.12:
        deeds.append(Deed(after=chance.uniform(0.5, 3), what="cancel"))
    return tuple(deeds)


def _deed(chance: random.Random, name: str) -> Deed:
    after = chance.choice([chance.uniform(0.02, 0.6), chance.uniform(0.3, 2.5)])
    seconds = {
        "stop": chance.uniform(0.5, 4), "kill_simulator": chance.uniform(0, 2), "jump": 90_000.0,
    }.get(name, 0.0)  # fmt: skip
    return Deed(after=after, what=name, seconds=seconds)
