"""Of two comparisons that ran at the same time, one alone may repair what both found missing."""

from __future__ import annotations

from typing import cast

from actors.chain_comparison import ChainComparison, Compared
from actors.chain_reader import ChainReader
from fusion_daemon.chain.audit import Stretch
from fusion_daemon.chain.blocks import Log
from fusion_daemon.chain.coverage import Range
from fusion_daemon.chain.events import EventTable
from fusion_daemon.chain.repair import Repair
from fusion_daemon.store import Store
from tests.faults.fake_node import FakeNode
from tests.integration.chain.listening import SETTINGS
from tests.unit.chain.chains import logs_of
from tests.unit.chain.vault_logs import ALICE, WETH, deposited


def compared(missing: tuple[Log, ...], repairs: int) -> Compared:
    return Compared(Stretch((1,), Range(1, 1)), 1, 0, Repair({}, missing), (), repairs)


def test_who_compared_before_a_repair_compares_again() -> None:
    comparison = ChainComparison(SETTINGS, cast("Store", None), cast("ChainReader", None), EventTable({}, {}))
    logs = tuple(logs_of(FakeNode().mine(deposited(ALICE, WETH, 5))))
    assert comparison.takes(compared((), 0))
    assert comparison.takes(compared(logs, 0)), "what found nothing is in nobody's way"
    assert not comparison.takes(compared(logs, 0))
    assert not comparison.takes(compared((), 0))
    assert comparison.takes(compared(logs, 1))
