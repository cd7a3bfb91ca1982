"""Every page of the dashboard, in the order in which paths are tried."""

from __future__ import annotations

from nightmail.web.pages import (
    assets,
    batch,
    errors,
    notices,
    overview,
    quotas,
    record,
    run,
    runs,
    schedules,
    scheduling,
    search,
    sign_in,
    starting,
    steering,
)

# /runs/new is tried before /runs/{run_id}.
PAGES = tuple(
    each.router
    for each in (
        assets, sign_in, overview, runs, starting, run, steering, record, batch, search, errors, quotas,
        schedules, scheduling, notices,
    )
)  # fmt: skip
