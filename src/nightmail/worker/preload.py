"""Load what working needs before anybody waits for an answer.

Most of it is imported where it is first used, so that a command that does not need it starts fast. In a
service that would be amid requests, and an import holds up every other thread: half a second in which
nothing is answered.
"""

from __future__ import annotations

import gc

from nightmail import plugins
from nightmail.tokens.counter import counter_for

# A model of the newest vocabulary, which is the largest.
MODEL = "gpt-4o-mini"


def load_arrow() -> None:
    """Import what outputs are written with. Blocking, a tenth of a second and more: a run does it while its
    processes start, or while the provider works on its first batch, and there is nothing else to do."""
    import pyarrow as pa
    import pyarrow.compute
    import pyarrow.parquet

    assert pyarrow.compute is not None
    assert pyarrow.parquet is not None
    # Arrow looks for pandas at the first conversion, and imports it where it is installed.
    pa.array([0])


def preload(provider: str) -> None:
    """Import the provider, Arrow and a vocabulary. Blocking, most of a second."""
    plugins.load("providers", provider)
    load_arrow()
    counter_for(MODEL).text("")
    # All this stays: it is not looked through again for garbage.
    gc.freeze()
