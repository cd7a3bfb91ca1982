"""Keys: who may ask this service, and what for. For administrators."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from nightmail.core.scope import Scope
from nightmail.errors import ConfigError
from nightmail.web.api.asking import Money
from nightmail.web.asked import Asked
from nightmail.web.keys import needs_admin
from nightmail.web.problems import documented, not_found

router = APIRouter(prefix="/keys", tags=["keys"], dependencies=[needs_admin])


class NewKey(BaseModel):
    """`budget` is what the tenant's runs may cost in a UTC month, `share` the part of each model's queue that
    they may fill; where neither is given, what the tenant has stays."""

    model_config = ConfigDict(extra="forbid")

    tenant: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    scope: Scope = Scope.SUBMIT
    budget: Money | None = None
    share: Annotated[float, Field(gt=0, le=1)] | None = None


class KeyMade(BaseModel):
    """The only time that the key is told: the service keeps a digest of it."""

    key: str
    tenant: str
    scope: Scope


class KeyShown(BaseModel):
    """A key by its id."""

    key_id: str
    tenant: str
    scope: Scope
    created_at: datetime
    revoked_at: datetime | None


class Keys(BaseModel):
    keys: list[KeyShown]


@router.get("", responses=documented(401, 403, 429))
async def list_keys(client: Asked) -> Keys:
    """All keys, revoked ones too, oldest first."""
    found = await client.keys.list()
    return Keys(
        keys=[KeyShown(**{name: getattr(each, name) for name in KeyShown.model_fields}) for each in found]
    )


@router.post("", status_code=201, responses=documented(401, 403, 408, 413, 422, 429))
async def add_key(asked: NewKey, client: Asked) -> KeyMade:
    """Make a key. A service that had none asks everybody for one from now on."""
    key = await client.keys.add(asked.tenant, scope=asked.scope, budget=asked.budget, share=asked.share)
    return KeyMade(key=key, tenant=asked.tenant, scope=asked.scope)


@router.delete("/{key_id}", status_code=204, responses=documented(401, 403, 404, 429))
async def revoke_key(key_id: str, client: Asked) -> None:
    """Make a key good for nothing; every service on this home knows within seconds."""
    try:
        await client.keys.revoke(key_id)
    except ConfigError as error:
        raise not_found("such key that is still good") from error
