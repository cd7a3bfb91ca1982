"""What call faults do to a call: before its effect, or after it and before the answer."""

from __future__ import annotations

import asyncio

from starlette.requests import Request

from nightmail.simulator.faults import Fault
from nightmail.simulator.parts import Parts
from nightmail.simulator.refusal import Refusal

_LATE_SECONDS = 30.0
_ROUTED = ("rate_limited", "server_error", "dropped", "bad_key")
_SPENT = "You exceeded your current quota, please check your plan and billing details."
# Error codes guide and help article 6614457 of OpenAI: the 429s that no waiting mends, in its words.
_SPENT_MESSAGES = {
    "credit_balance_exhausted": "Your credit balance is used up. Please add credits to go on.",
    "organization_spend_limit_exceeded": "Your organization has reached its monthly spend limit.",
    "project_spend_limit_exceeded": "This project has reached its monthly spend limit.",
    "organization_usage_limit_exceeded": "Your organization has reached its usage limit.",
    "billing_hard_limit_reached": "Billing hard limit has been reached.",
}


class HungUp(Exception):
    """The connection is closed; nothing is left to answer."""


async def before(request: Request, parts: Parts, route: str) -> list[Fault]:
    """Let strike what comes before the effect; gives back what comes after it.

    Raises `Refusal` for an error answer and `HungUp` where the connection was cut.
    """
    if not parts.struck.plan.faults:
        return []
    now = parts.clock.now()
    kinds = ["slow", "late", *_ROUTED]
    if route in ("create", "upload"):
        kinds.append(f"{route}_5xx")
    elif route == "cancel":
        kinds.append("cancel_refused")
    found = [fault for kind in kinds if (fault := parts.struck.find(kind, route=route, now=now))]
    parts.keep_counts()
    for fault in found:
        if not _follows(fault):
            await _strike(request, fault)
    return [fault for fault in found if _follows(fault)]


async def after(request: Request, faults: list[Fault]) -> None:
    """Let strike what comes when the call has had its effect. Raises as `before` does."""
    for fault in faults:
        await _strike(request, fault)


def _follows(fault: Fault) -> bool:
    return fault.kind == "late" or fault.accepted


async def _strike(request: Request, fault: Fault) -> None:
    match fault.kind:
        case "slow":
            await asyncio.sleep(1.0 if fault.seconds is None else fault.seconds)
        case "late":
            await asyncio.sleep(_LATE_SECONDS if fault.seconds is None else fault.seconds)
        case "dropped":
            await hang_up(request)
            raise HungUp
        case "rate_limited":
            raise _rate_limited(fault)
        case "bad_key":
            message = fault.message or "Incorrect API key provided: sk-***."
            raise Refusal(fault.status or 401, message, code=fault.code or "invalid_api_key")
        case "cancel_refused":
            message = fault.message or "Cannot cancel this batch at the moment."
            raise Refusal(fault.status or 409, message, code=fault.code)
        case _:
            raise server_error(fault.status or 500, fault.message)


def _rate_limited(fault: Fault) -> Refusal:
    code = fault.code or "rate_limit_exceeded"
    slow_down = code == "slow_down"
    spent = code != "rate_limit_exceeded" and not slow_down
    message = "Rate limit reached for requests. Please try again later."
    if slow_down:
        message = "Slow down: please reduce your request rate and hold it for at least 15 minutes."
    elif spent:
        message = _SPENT_MESSAGES.get(code, _SPENT)
    headers = {}
    if not spent or fault.seconds is not None:
        headers = waiting(1.0 if fault.seconds is None else fault.seconds)
    kind = "insufficient_quota" if spent else "requests"
    status = fault.status or (503 if slow_down else 429)
    return Refusal(status, fault.message or message, type=kind, code=code, headers=headers)


def flex_unavailable(fault: Fault) -> Refusal:
    """The 429 of a flex call for which there is no capacity. It is not billed."""
    return Refusal(
        fault.status or 429,
        fault.message or "Resource unavailable: there is no flex capacity now. Please try again later.",
        type="resource_unavailable",
        code=fault.code or "resource_unavailable",
        headers={} if fault.seconds is None else waiting(fault.seconds),
    )


def waiting(seconds: float) -> dict[str, str]:
    """The headers that say how long to wait."""
    return {"retry-after": str(max(int(-(-seconds // 1)), 0)), "retry-after-ms": str(int(seconds * 1000))}


def server_error(status: int, message: str | None = None) -> Refusal:
    """The provider's 5xx."""
    text = message or "The server had an error while processing your request. Sorry about that!"
    return Refusal(status, text, type="server_error")


async def hang_up(request: Request) -> None:
    """Close the connection without an answer, as if it had been lost on the way.

    Whatever the route answers after this is not sent. Under a server other than ours, which keeps its
    connections to itself, the call ends in an error instead.
    """
    transport = request.scope.get("extensions", {}).get("nightmail.transport", {}).get("transport")
    if transport is None:
        raise ConnectionResetError("the simulator hangs up, as its plan of faults says")
    transport.abort()
    for _ in range(5):  # until the server has noticed that nobody is there to answer
        await asyncio.sleep(0)
