"""Where the tests' files are kept, and what holds for all of them."""

import os
from pathlib import Path

from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is, nothing about the product.
settings.register_profile("nightmail", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("nightmail")

MEMORY = Path("/dev/shm")

# Every commit and every file of the product is synced to disk; hundreds of small runs would wait for the
# disk most of the time. Files in memory behave the same but for that.
if MEMORY.is_dir() and os.access(MEMORY, os.W_OK):
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))
