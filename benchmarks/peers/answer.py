"""The answer as a pydantic model, which is what the peers with typed answers take."""

from __future__ import annotations

from typing import Literal

import job
from pydantic import BaseModel, ConfigDict


class Filed(BaseModel):
    model_config = ConfigDict(extra="forbid")

    section: Literal[job.LABELS]  # type: ignore[valid-type]
    why: str
