"""Limits per minute on synchronous calls, and the headers that tell about them."""

from __future__ import annotations

from nightmail.simulator.refusal import Refusal


class Rates:
    """One model's limits: two buckets that fill evenly. `now` is seconds."""

    def __init__(self, requests_per_minute: int, tokens_per_minute: int) -> None:
        self._limits = (float(requests_per_minute), float(tokens_per_minute))
        self._left = list(self._limits)
        self._at: float | None = None

    def take(self, model: str, tokens: int, now: float) -> dict[str, str]:
        """The headers of a call that may go; raises `Refusal` (429) if it may not."""
        elapsed = 0.0 if self._at is None else max(now - self._at, 0.0)
        self._at = now
        for index, limit in enumerate(self._limits):
            self._left[index] = min(limit, self._left[index] + elapsed * limit / 60)
        wanted = (1.0, float(tokens))
        for index, name in enumerate(("requests per min (RPM)", "tokens per min (TPM)")):
            limit = self._limits[index]
            short = min(wanted[index], limit) - self._left[index]
            if short > 0:
                seconds = short * 60 / limit
                raise Refusal(
                    429,
                    f"Rate limit reached for {model} in organization org-simulated on {name}: "
                    f"Limit {limit:.0f}, "
                    f"Used {limit - self._left[index]:.0f}, Requested {wanted[index]:.0f}. "
                    f"Please try again in {seconds:.3f}s.",
                    type="requests" if index == 0 else "tokens",
                    code="rate_limit_exceeded",
                    headers={
                        **self.headers(),
                        "retry-after": str(int(-(-seconds // 1))),
                        "retry-after-ms": str(int(seconds * 1000) + 1),
                    },
                )
        self._left = [left - want for left, want in zip(self._left, wanted, strict=True)]
        return self.headers()

    def headers(self) -> dict[str, str]:
        """`x-ratelimit-*` as they stand."""
        shown = {}
        for kind, limit, left in zip(("requests", "tokens"), self._limits, self._left, strict=True):
            shown[f"x-ratelimit-limit-{kind}"] = f"{limit:.0f}"
            shown[f"x-ratelimit-remaining-{kind}"] = f"{max(left, 0):.0f}"
            shown[f"x-ratelimit-reset-{kind}"] = duration((limit - left) * 60 / limit)
        return shown


def duration(seconds: float) -> str:
    """As the provider writes it: `12ms`, `1.5s`, `6m0s`."""
    if seconds < 1:
        return f"{max(int(seconds * 1000), 0)}ms"
    if seconds < 60:
        return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"
    return f"{int(seconds // 60)}m{int(seconds % 60)}s"
