"""Where the tests' files are kept, and what holds for all of them."""

import gc
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is, nothing about the product.
settings.register_profile("nightmail", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("nightmail")
# For `make check`: a quarter of the examples. A test that wants more or fewer has a share of the profile's.
settings.register_profile("fast", settings.get_profile("nightmail"), max_examples=25)

MEMORY = Path("/dev/shm")

# Every commit and every file of the product is synced to disk; hundreds of small runs would wait for the
# disk most of the time. Files in memory behave the same but for that.
if MEMORY.is_dir() and os.access(MEMORY, os.W_OK):
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


def pytest_collection_finish(session: pytest.Session) -> None:
    """What is there before the first test, modules for the most part, is not looked through for garbage again
    and again: a tenth of the suite's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
