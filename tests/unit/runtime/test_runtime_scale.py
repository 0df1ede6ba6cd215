"""What an order costs does not depend on how many others there are."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from fusion_daemon.runtime import ChildSpec, NameTaken
from tests.effort import effort
from tests.unit.runtime.troupe import Troupe, one_for_one, pool


async def test_no_order_looks_at_every_member_of_a_pool(autojump_clock: MockClock) -> None:
    troupe = Troupe()
    tree = one_for_one(troupe.child("a"), ChildSpec("pool", pool(troupe.child)), troupe.child("b"))
    costs: list[int] = []
    async with troupe.performing(tree) as supervisor:

        def give_orders() -> None:
            supervisor.update(troupe.child("b"))  # judged as a new child would be: is its name free?
            supervisor.pause("b")
            supervisor.resume("b")
            supervisor.find("m0")

        for size in (10, 100):
            for number in range(len(supervisor.tree()) - 3, size):
                await supervisor.add_member(f"m{number}", pool="pool")
            with effort() as orders:
                give_orders()
            costs.append(orders.calls)
            for taken in ("a", "pool", "root", f"m{size - 1}"):
                with pytest.raises(NameTaken):
                    await supervisor.add_member(taken, pool="pool")
                with pytest.raises(NameTaken):
                    await supervisor.add(troupe.child(taken))
        assert len(supervisor.tree()) == 103
    assert costs[0] == costs[1]
