"""How full a model's queue is kept, by the simulator's own books; alone, and beside another program."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path

from chaos.place import KEY, MODEL, Place, Shown, place, seconds, summary

# Words of a record; with what is around them, a request has about 560 tokens.
WORDS = (300, 620)
TOKENS_EACH = 575
# Of the batches on their way when somebody else is met all may be refused; then one for each minute.
WAVE = 16


def alone(folder: Path, *, quota: int, tokens: int, speed: float) -> Shown:
    """At least 85 % of the quota is in use while work waits, never more than all, and nothing is refused."""
    shown = Shown(f"{tokens:,} tokens of work through a quota of {quota:,}, at {speed:g} times the speed")
    with place(folder, speed=speed, quota=quota) as here:
        records = tokens // TOKENS_EACH
        here.write_rows(records, words=WORDS)
        told = summary(here.run(here.command("--quota", f"{MODEL}={quota}")))
        utilisation, window = use_while_work_waits(here, quota)
        peak = here.books()["peak_enqueued"].get(MODEL, 0)
        shown.figures |= {
            "records": told.get("succeeded"),
            "tokens": told.get("input_tokens"),
            "batches": told.get("batches"),
            "most enqueued": peak,
            "seconds in which work waited": round(window, 1),
            "utilisation": round(utilisation, 3),
            "refused batches": here.failed_batches(),
        }
        shown.must(told.get("succeeded") == records, f"{told.get('succeeded')} of {records} succeeded")
        shown.must(peak <= quota, f"{peak:,} tokens were enqueued")
        shown.must(utilisation >= 0.85, f"only {utilisation:.1%} of the quota were in use")
        shown.must(not here.failed_batches(), f"{here.failed_batches()} batches were refused")
    return shown


def use_while_work_waits(here: Place, quota: int) -> tuple[float, float]:
    """The share of the quota that was enqueued at the provider, on the mean over the time from our first
    create call to our last (until then work waited here), and how many seconds that is. What the
    provider still validates does not count as enqueued."""
    created = sorted(seconds(at) for (at,) in here.rows_of("SELECT submitted_at FROM batches"))
    begin, end = created[0], created[-1]
    levels = here.simulator.get(f"/_simulator/books/levels?model={MODEL}")
    area, since, enqueued = 0.0, begin, 0
    for at, tokens in [*levels, (end, 0)]:
        now = min(max(at, begin), end)
        area += (now - since) * enqueued
        since, enqueued = now, tokens
    return area / (end - begin) / quota, end - begin


def beside_another(folder: Path, *, quota: int, tokens: int, speed: float, minutes: float) -> Shown:
    """Another program has 60 % of the account's queue for some minutes: its place is not fought for."""
    shown = Shown(
        f"{tokens:,} tokens of work through a quota of {quota:,}, 60 % of it taken for {minutes:g} min"
    )
    with (
        place(folder, speed=speed, quota=quota, faults=[{"kind": "stuck", "batch": 1}]) as here,
        _another_program(here, int(quota * 0.6), minutes),
    ):
        records = tokens // TOKENS_EACH
        here.write_rows(records, words=WORDS)
        told = summary(here.run(here.command("--quota", f"{MODEL}={quota}")))
        refused = here.failed_batches()
        peak = here.books()["peak_enqueued"].get(MODEL, 0)
        attempts = here.rows_of("SELECT count(*) FROM requests WHERE attempts > 1")
        shown.figures |= {
            "records": told.get("succeeded"),
            "most enqueued, with theirs": peak,
            "refused batches": refused,
            "records with more than one attempt": attempts[0][0],
        }
        shown.must(told.get("succeeded") == records, f"{told.get('succeeded')} of {records} succeeded")
        shown.must(refused > 0, "the other program was not felt")
        shown.must(refused <= WAVE + minutes, f"{refused} batches were refused")
        shown.must(attempts[0][0] == 0, "a refusal was counted as an attempt")
    return shown


@contextlib.contextmanager
def _another_program(here: Place, tokens: int, minutes: float) -> Iterator[None]:
    """Through the provider's own API: a batch of so many tokens, cancelled after some minutes."""
    import threading

    import openai

    text = "word " * 999
    count = tokens // 1_006
    lines = (
        json.dumps(
            {
                "custom_id": f"theirs-{n}", "method": "POST", "url": "/v1/chat/completions",
                "body": {"model": MODEL, "messages": [{"role": "user", "content": text}]},
            }
        )
        for n in range(count)
    )  # fmt: skip
    with openai.OpenAI(base_url=here.simulator.url, api_key=KEY, max_retries=0) as api:
        file = api.files.create(file=io.BytesIO("\n".join(lines).encode()), purpose="batch")
        batch = api.batches.create(
            input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        leaving = threading.Timer(minutes * 60, lambda: api.batches.cancel(batch.id))
        leaving.start()
        try:
            while api.batches.retrieve(batch.id).status == "validating":
                threading.Event().wait(0.1)
            yield
        finally:
            leaving.cancel()
            leaving.join()
