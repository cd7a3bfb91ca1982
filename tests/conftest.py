"""Where the tests' files are kept."""

import os
from pathlib import Path

MEMORY = Path("/dev/shm")

# Every commit and every file of the product is synced to disk; hundreds of small runs would wait for the
# disk most of the time. Files in memory behave the same but for that.
if MEMORY.is_dir() and os.access(MEMORY, os.W_OK):
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))
