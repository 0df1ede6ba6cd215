"""Rule: kill the daemon anywhere; after each restart nothing is lost, nothing is doubled, nothing is forgotten.

deposits, borrows        ETH 2000 ... crash ... 1250 ... recovery
────────────────────────────────────────────────────────────────▶
      ✝   ✝        ✝   ✝   ✝      ✝     ✝   ✝     ✝    ✝          kill -9 at random moments
"""

from __future__ import annotations

import random

from fusion_daemon.demo.stage import Stage
from tests.e2e.expectation import assert_nothing_lost_or_doubled, set_out
from tests.e2e.kills import prices_under_kills, repayments_under_kills
from tests.e2e.witness import await_caught_up

ACCOUNTS = 200
SEED = 20_261_124


def test_no_kill_loses_or_doubles_anything(stage: Stage, kills: int) -> None:
    chance = random.Random(SEED)
    stage.daemon.start()
    expected = set_out(stage, ACCOUNTS)
    for round_number in range(2):
        prices_under_kills(stage, stage.daemon, chance, kills // 4, start=2_000 - 150 * round_number)
        await_caught_up(stage)
        expected.prices_moved()
        repayments_under_kills(stage, stage.daemon, chance, kills - kills // 4 * 3 if round_number == 0 else kills // 4)
        await_caught_up(stage)
        expected.positions_moved()
    assert_nothing_lost_or_doubled(stage, expected)
    assert stage.daemon.stop() == 0
