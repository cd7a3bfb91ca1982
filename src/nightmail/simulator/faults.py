"""What goes wrong, when: a plan read from TOML or JSON, and the decisions it leads to.

Three kinds of fault differ in who asks. A *call* fault strikes an HTTP call as it comes, a *batch*
fault is decided once when a batch is created, a *request* fault is decided by the seed, the
`custom_id` and how often that id was executed before, so that it is the same in every process and a
retry can succeed. A new fault is a name in one of the three sets and the place that acts on it.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from nightmail.errors import ConfigError

CALL = frozenset(
    {
        "create_lost", "create_5xx", "rate_limited", "upload_5xx", "file_not_visible", "slow",
        "truncated_download", "server_error", "dropped", "late", "bad_key", "cancel_refused", "upload_short",
        "flex_unavailable",
    }
)  # fmt: skip
BATCH = frozenset(
    {
        "batch_fails", "expire", "lying_counts", "empty_string_ids", "ids_late", "stuck", "list_lags",
        "batch_vanishes", "file_gone", "files_late", "cancelled_unasked", "rows_thrown_away",
        "half_last_line", "poison", "other_tenant",
    }
)  # fmt: skip
REQUEST = frozenset(
    {
        "missing_lines", "duplicate_lines", "unknown_lines", "malformed_output", "truncated_output",
        "schema_break", "refusal", "line_error",
    }
)  # fmt: skip
KINDS = CALL | BATCH | REQUEST
# With `seconds`, these strike everything from their first strike until that much time has passed.
_SPELLS = frozenset({"bad_key", "other_tenant"})
# Chosen when a batch is created; that they struck is known only where they come to bear.
_SEEN_LATER = frozenset({"poison", "other_tenant"})


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One entry of a plan. Of `probability`, `first` and `every` at most one; none of them means always.

    `model`, `endpoint`, `batch` (the number of the batch, from 1) and `route` restrict it. `repeat` is for
    request faults: how many executions of a chosen `custom_id` are struck, "always", or "afresh" (every
    execution is chosen anew). The rest is read by single kinds; see docs/reference/simulator.md.
    """

    kind: str
    probability: float | None = None
    first: int | None = None
    every: int | None = None
    model: str | None = None
    endpoint: str | None = None
    batch: int | None = None
    route: str | None = None
    repeat: int | str = 1
    status: int | None = None
    code: str | None = None
    message: str | None = None
    line: int | None = None
    seconds: float | None = None
    share: float | None = None
    times: int | None = None
    tokens: int | None = None
    marker: str | None = None
    named: bool = False
    accepted: bool = False


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that goes wrong, and the answers that are given instead of the model's."""

    faults: tuple[Fault, ...] = ()
    answers: dict[str, Any] = {}
    seed: int | None = None

    @property
    def digest(self) -> str:
        """Names the plan: its counters are kept under it over a restart."""
        return hashlib.blake2b(msgspec.json.encode(self, order="sorted"), digest_size=8).hexdigest()


def read_plan(path: Path) -> Plan:
    """The plan in a .toml or .json file. Raises `ConfigError` that names the file and what is wrong."""
    try:
        text = path.read_text("utf-8")
        data = tomllib.loads(text) if path.suffix == ".toml" else msgspec.json.decode(text)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (tomllib.TOMLDecodeError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    try:
        return plan_from(data)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def plan_from(data: object) -> Plan:
    """A plan from plain values: `{"faults": [...], "answers": {...}, "seed": n}`.

    `faults` may also map a kind to an entry, a list of entries, a probability or true. Raises `ConfigError`.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"a plan of faults is a table, not {data!r}")
    unknown = set(data) - {"faults", "answers", "seed"}
    if unknown:
        raise ConfigError(f"unknown key {min(unknown)!r}; a plan has faults, answers and seed")
    given = data.get("faults") or []
    entries = _spread(given) if isinstance(given, Mapping) else list(given)
    try:
        faults = tuple(msgspec.convert(entry, Fault) for entry in entries)
        plan = Plan(
            faults=faults,
            answers=msgspec.convert(data.get("answers") or {}, dict[str, Any]),
            seed=msgspec.convert(data.get("seed"), int | None),
        )
    except msgspec.ValidationError as error:
        raise ConfigError(f"plan of faults: {error}") from error
    for number, fault in enumerate(faults, 1):
        _check(number, fault)
    return plan


def _spread(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    for kind, value in given.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, Mapping):
                entries.append({"kind": kind, **one})
            elif one is True:
                entries.append({"kind": kind})
            elif one is not False:
                entries.append({"kind": kind, "probability": one})
    return entries


def _check(number: int, fault: Fault) -> None:
    where = f"fault {number} ({fault.kind})"
    if fault.kind not in KINDS:
        raise ConfigError(
            f"fault {number}: unknown kind {fault.kind!r}; known are {', '.join(sorted(KINDS))}"
        )
    if sum(value is not None for value in (fault.probability, fault.first, fault.every)) > 1:
        raise ConfigError(f"{where}: give one of probability, first and every")
    if fault.probability is not None and not 0 <= fault.probability <= 1:
        raise ConfigError(f"{where}: probability {fault.probability} is not between 0 and 1")
    if (fault.every is not None and fault.every < 1) or (fault.first is not None and fault.first < 0):
        raise ConfigError(f"{where}: first and every are counts")
    if isinstance(fault.repeat, str) and fault.repeat not in ("always", "afresh"):
        raise ConfigError(f"{where}: repeat is a number, 'always' or 'afresh', not {fault.repeat!r}")
    if fault.share is not None and not 0 <= fault.share <= 1:
        raise ConfigError(f"{where}: share {fault.share} is not between 0 and 1")
    if fault.kind == "poison" and not fault.marker:
        raise ConfigError(f"{where}: `marker` is the text that makes a batch fail")


def chance(seed: int, *parts: object) -> float:
    """A number in [0, 1) that depends on nothing but its arguments."""
    text = "\x1f".join(map(str, (seed, *parts))).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=7).digest(), "big") / 2**56


class Struck:
    """Decides call and batch faults.

    `counts[n]` is how many opportunities entry n has had, `counts["n until"]` when its spell ends;
    `strikes` gathers how often each kind struck until somebody books it; `kept` are the counts that
    were last written down.
    """

    def __init__(self, plan: Plan, seed: int, counts: Mapping[str, float] | None = None) -> None:
        self.plan = plan
        self.seed = plan.seed if plan.seed is not None else seed
        self.counts = dict(counts or {})
        self.kept = dict(self.counts)
        self.strikes: Counter[str] = Counter()
        self._entries: dict[str, list[tuple[int, Fault]]] = {}
        for number, fault in enumerate(plan.faults):
            self._entries.setdefault(fault.kind, []).append((number, fault))

    def find(
        self,
        kind: str,
        *,
        now: float,
        route: str | None = None,
        model: str | None = None,
        endpoint: str | None = None,
        batch: int | None = None,
    ) -> Fault | None:
        """The first entry of this kind that strikes; every entry that could have counts the opportunity."""
        found = None
        for number, fault in self._entries.get(kind, ()):
            if not _selected(fault, model, endpoint, batch) or fault.route not in (None, "any", route):
                continue
            count = self.counts[str(number)] = self.counts.get(str(number), 0) + 1
            thrown = chance(self.seed, number, count) if fault.probability is not None else 0.0
            strikes = _strikes(fault, count, thrown)
            if kind in _SPELLS and fault.seconds is not None:
                strikes = self._spell(f"{number} until", fault.seconds, strikes, now)
            if found is None and strikes:
                found = fault
        if found is not None and kind not in _SEEN_LATER:
            self.strikes[kind] += 1
        return found

    def _spell(self, name: str, seconds: float, begins: bool, now: float) -> bool:
        if name not in self.counts and begins:
            self.counts[name] = now + seconds
        return now < self.counts.get(name, 0)


class RequestFaults:
    """Decides request faults inside one batch."""

    def __init__(self, plan: Plan, seed: int, *, model: str, endpoint: str, batch: int | None) -> None:
        self._seed = plan.seed if plan.seed is not None else seed
        self._entries = [
            (number, fault)
            for number, fault in enumerate(plan.faults)
            if fault.kind in REQUEST and _selected(fault, model, endpoint, batch)
        ]

    def __bool__(self) -> bool:
        return bool(self._entries)

    def on(self, custom_id: str, attempt: int, position: int) -> dict[str, Fault]:
        """What strikes this execution: `attempt` counts from 1, `position` is the line's, from 1."""
        return {
            fault.kind: fault
            for number, fault in self._entries
            if (isinstance(fault.repeat, str) or attempt <= fault.repeat)
            and _strikes(
                fault,
                position,
                chance(self._seed, number, custom_id, attempt if fault.repeat == "afresh" else 1)
                if fault.probability is not None
                else 0.0,
            )
        }


def _selected(fault: Fault, model: str | None, endpoint: str | None, batch: int | None) -> bool:
    return (
        (fault.model is None or fault.model == model)
        and (fault.endpoint is None or fault.endpoint == endpoint)
        and (fault.batch is None or fault.batch == batch)
    )


def _strikes(fault: Fault, count: float, thrown: float) -> bool:
    if fault.probability is not None:
        return thrown < fault.probability
    if fault.first is not None:
        return count <= fault.first
    if fault.every is not None:
        return count % fault.every == 0
    return True
