"""A batch that the provider has twice: one is adopted, the others are asked to end, and what they cost and
answered is not lost. What belongs to another home is left alone."""

from __future__ import annotations

import pytest

from nightmail.core.run import RunState
from nightmail.errors import ProviderUnavailable
from nightmail.testing.desk import Desk
from nightmail.testing.provider import ScriptedProvider


class LostOnce(ScriptedProvider):
    """The answer to create call number `lost` does not arrive."""

    lost = 0
    creates = 0

    async def create(self, *, input_file_id, endpoint, metadata):
        remote = await super().create(input_file_id=input_file_id, endpoint=endpoint, metadata=metadata)
        self.creates += 1
        if self.creates == self.lost:
            raise ProviderUnavailable("the connection closed", ambiguous=True)
        return remote


async def test_the_batch_of_another_home_with_the_same_names_is_not_adopted(tmp_path):
    """Two machines run the same task over the same paths, with one account: their runs have one name."""
    provider = LostOnce()
    provider.lost = 2
    first = Desk(tmp_path, provider, home=tmp_path / "one", keep_remote_files=True)
    second = Desk(tmp_path, provider, home=tmp_path / "two")
    await first.drive()
    theirs = set(provider.uploads)

    run = await second.drive()

    assert await first.run_id() == await second.run_id()
    assert run.state is RunState.FINISHED
    store = await second.store()
    (batch,) = await store.batches.list(run.run_no)
    await store.close()
    assert batch.provider_batch_id == "batch_2"
    assert set(provider.uploads) == theirs
