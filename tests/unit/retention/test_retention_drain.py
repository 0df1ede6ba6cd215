"""Rule: a keeper that is asked to drain ends the drop under way, begins no other, and returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import actors.retention_keeper as keeper_module
from actors.retention_keeper import RetentionKeeper
from actors.retention_settings import RetentionSettings
from fusion_daemon.runtime import ActorContext, TrioClock
from fusion_daemon.store import Store
from fusion_daemon.store.partitions import Partition, drop_partitions

SETTINGS = RetentionSettings(86_400.0, 86_400.0, 86_400.0, 86_400.0, 86_400.0, ())
GROUPS = [[Partition("prices", f"prices_p{each}", None, each, each + 1)] for each in range(3)]


class SlowStore(Store):
    """Finds three partitions; each drop takes until it is let go."""

    def __init__(self) -> None:
        self.dropping: list[str] = []
        self.let_go = trio.Event()

    async def read(self, *_: object, **__: object) -> Sequence[Sequence[Partition]]:  # type: ignore[override]
        await trio.lowlevel.checkpoint()
        return GROUPS

    async def transact(  # type: ignore[override]
        self, job: object, found: Sequence[Partition] | float, *_: float, **__: object
    ) -> Mapping[str, int]:
        if job is drop_partitions and not isinstance(found, float):
            self.dropping += [each.name for each in found]
            await self.let_go.wait()
        return {}


@pytest.mark.parametrize("at_rest", [True, False])
async def test_it_ends_the_drop_under_way_and_returns(autojump_clock: MockClock, at_rest: bool) -> None:
    assert keeper_module.PASS_SECONDS > 100
    store = SlowStore()
    keeper = RetentionKeeper(lambda: SETTINGS, store)
    context = ActorContext(keeper.name, TrioClock(1_800_000_000.0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run, context)
        if at_rest:
            store.let_go.set()
            await trio.sleep(33.0)
        else:
            await wait_all_tasks_blocked()
        context.drain("SIGTERM")
        await wait_all_tasks_blocked()
        store.let_go.set()
    assert len(store.dropping) == (3 if at_rest else 1)
    assert trio.current_time() == (33.0 if at_rest else 0.0)
