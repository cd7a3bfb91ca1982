"""What a tenant may use: its money in a month, its part of a model's queue."""

from datetime import timedelta

from nightmail.core.batch import ENDED_PHASES
from nightmail.core.run import PauseReason, RunState
from nightmail.core.tenancy import Tenant
from nightmail.testing.clock import START
from nightmail.testing.desk import Desk, Plain
from nightmail.testing.provider import ScriptedProvider

EACH = 10 * 75_000 + 5 * 300_000  # pico-USD: what the scripted provider bills for an answer


class Short(Plain):
    max_output_tokens = 20


class Unknown(Short):
    model = "somebodys-model"


class Counting(ScriptedProvider):
    """Knows how many tokens (12 a line, about our count) were in flight at most."""

    most = 0

    async def create(self, **arguments):
        remote = await super().create(**arguments)
        lines = sum(
            len(each.lines) for each in self.batches.values() if each.remote.phase not in ENDED_PHASES
        )
        self.most = max(self.most, 12 * lines)
        return remote


async def allowed(desk, **limits):
    store = await desk.store()
    await store.tenants.record(Tenant(name="ours", **limits), now=START)
    await store.close()


def rows(count):
    return [{"id": n, "text": f"thing {n}"} for n in range(count)]


async def test_a_tenant_s_month_costs_no_more_than_its_budget(tmp_path):
    # A run without a budget of its own is one batch unless it is cut.
    desk = Desk(tmp_path, ScriptedProvider(), task=Short, rows=rows(60), tenant="ours", max_batch_requests=5)
    await allowed(desk, budget_pusd=30 * EACH)

    run = await desk.drive()
    assert run.pause_reason is PauseReason.BUDGET
    assert "monthly budget of tenant ours" in run.pause_message
    spent = (await desk.status()).cost_pusd
    assert 0 < spent <= 30 * EACH

    desk.clock.advance(timedelta(days=31))
    await desk.resume()
    await desk.drive()
    assert spent < (await desk.status()).cost_pusd <= 60 * EACH


async def test_at_an_unknown_price_no_tenant_s_budget_can_hold(tmp_path):
    desk = Desk(tmp_path, ScriptedProvider(), task=Unknown, rows=rows(5), tenant="ours")
    await allowed(desk, budget_pusd=10**15)

    assert (await desk.drive()).pause_reason is PauseReason.BUDGET
    assert desk.provider.batches == {}


async def test_a_tenant_fills_its_part_of_the_queue_and_no_more(tmp_path):
    most = {}
    for share in (None, 0.25):
        folder = tmp_path / str(share)
        folder.mkdir()
        provider = Counting(polls=4)
        desk = Desk(folder, provider, rows=rows(120), tenant="ours", quotas={"gpt-4o-mini": 800})
        await allowed(desk, share=share)
        assert (await desk.drive()).state is RunState.FINISHED
        most[share] = provider.most
    assert most[None] > 400, "alone, a run fills the queue"
    assert 0 < most[0.25] <= 200
