"""What every store must do for a service that several share; part of `exercise_store`."""

from __future__ import annotations

from datetime import datetime, timedelta

from nightmail.core.ids import RunId
from nightmail.core.run import RunSpec
from nightmail.core.scope import Scope
from nightmail.core.tenancy import ApiKey, Tenant
from nightmail.stores.base import Store


async def tenants_and_their_keys(store: Store, now: datetime) -> None:
    """Tenants are changed by writing them again; a key is revoked once; runs come by tenant, newest first."""
    await store.tenants.record(Tenant(name="ours"), now=now)
    await store.tenants.record(Tenant(name="ours", budget_pusd=5, share=0.5), now=now)
    assert list(await store.tenants.list()) == [Tenant(name="ours", budget_pusd=5, share=0.5)]
    assert await store.tenants.spent("ours", since=now - timedelta(days=1)) == 0

    key = ApiKey(key_id="a" * 16, tenant="ours", scope=Scope.READ, digest="0" * 64, created_at=now)
    await store.tenants.record_key(key)
    assert list(await store.tenants.list_keys()) == [key]
    await _sessions(store, key, now)
    assert await store.tenants.record_revoked(key.key_id, now=now)
    assert await store.tenants.read_session("2" * 64, now=now) is None, "a session ends with its key"
    assert not await store.tenants.record_revoked(key.key_id, now=now), "once"
    assert [each.revoked_at for each in await store.tenants.list_keys()] == [now]

    for number, tenant in enumerate(("ours", "theirs", "ours")):
        spec = RunSpec(task="t:T", task_name="T", tenant=tenant)
        run_id = RunId(f"tenancy-{number}")
        await store.runs.record(run_id=run_id, identity=run_id, spec=spec, fingerprint={}, now=now)
    page = await store.runs.page(tenant="ours", before=None, limit=10)
    assert [run.run_id for run in page] == ["tenancy-2", "tenancy-0"]
    page = await store.runs.page(tenant=None, before=RunId("tenancy-2"), limit=1)
    assert [run.run_id for run in page] == ["tenancy-1"]


async def _sessions(store: Store, key: ApiKey, now: datetime) -> None:
    """A session is good until its end, or until it is deleted."""
    until = now + timedelta(hours=1)
    for digest in ("1" * 64, "2" * 64):
        await store.tenants.record_session(digest, key.key_id, now=now, until=until)
    assert await store.tenants.read_session("1" * 64, now=now) == key
    assert await store.tenants.read_session("1" * 64, now=until) is None
    assert await store.tenants.read_session("3" * 64, now=now) is None
    await store.tenants.delete_session("1" * 64)
    assert await store.tenants.read_session("1" * 64, now=now) is None
