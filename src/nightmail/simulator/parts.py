"""Everything a route works with."""

from __future__ import annotations

import msgspec
from starlette.requests import Request

from nightmail.simulator.clock import Clock
from nightmail.simulator.faults import Plan, Struck
from nightmail.simulator.lifecycle import Lifecycle
from nightmail.simulator.settings import Settings
from nightmail.simulator.state import State
from nightmail.simulator.upstream import Upstream


class Parts(msgspec.Struct, kw_only=True):
    """One running simulator."""

    settings: Settings
    state: State
    clock: Clock
    lifecycle: Lifecycle
    upstream: Upstream | None

    @property
    def struck(self) -> Struck:
        return self.lifecycle.struck

    def replace_plan(self, plan: Plan) -> None:
        """Let another plan of faults hold from now on, its counters as they were when it last held."""
        self.lifecycle.struck = struck_by(plan, self.settings, self.state)

    def keep_counts(self) -> None:
        """Remember how often faults have struck: "the first two" are not two more after a restart."""
        struck = self.struck
        if struck.counts != struck.kept:
            self.state.note(f"faults {struck.plan.digest}", struck.counts)
            struck.kept = dict(struck.counts)
        if struck.strikes:
            self.state.ledger.strike(struck.strikes)
            struck.strikes.clear()


def struck_by(plan: Plan, settings: Settings, state: State) -> Struck:
    """The decisions of a plan, going on where its counters stand."""
    return Struck(plan, settings.seed, state.noted(f"faults {plan.digest}"))


def parts_of(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts
