"""The doctor's look at the home. Mending is left to the command line on the service's own machine."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from nightmail.web.asked import Asked
from nightmail.web.keys import needs_admin
from nightmail.web.problems import documented

router = APIRouter(prefix="/doctor", tags=["doctor"])


class FindingShown(BaseModel):
    """Something that is not as it should be, and what to do about it."""

    kind: str
    where: str
    what: str
    advice: str
    done: str | None


class AuditShown(BaseModel):
    """What was looked at and found. `left` counts the findings that are still as they were; `asked` is false
    if the provider, or one of its lists, could not be asked."""

    runs: int
    batches: int
    provider: str
    asked: bool
    findings: list[FindingShown]
    left: int


@router.get("", dependencies=[needs_admin], responses=documented(401, 403, 429))
async def look(client: Asked) -> AuditShown:
    """Compare the store with itself, with the spool and with the provider's account; changes nothing. Takes
    as long as the provider's lists are."""
    audit = await client.doctor()
    findings = [
        FindingShown(**{name: getattr(each, name) for name in FindingShown.model_fields})
        for each in audit.findings
    ]
    return AuditShown(
        runs=audit.runs,
        batches=audit.batches,
        provider=audit.provider,
        asked=audit.asked,
        findings=findings,
        left=audit.left,
    )
