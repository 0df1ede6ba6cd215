"""Rule: kill the daemon anywhere; after each restart nothing is lost, nothing is doubled, nothing is forgotten.

deposits, borrows        ETH 2000 ... crash ... 1250 ... recovery
────────────────────────────────────────────────────────────────▶
      ✝   ✝        ✝   ✝   ✝      ✝     ✝   ✝     ✝    ✝          kill -9 at random moments
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from itertools import islice

from fusion_daemon.demo.accounts import players
from fusion_daemon.demo.deploy import USDC_UNIT
from fusion_daemon.demo.node import Sent, call_data
from fusion_daemon.demo.stage import OPENING_USD, Stage
from fusion_daemon.domain.price import USD_SCALE
from tests.e2e.expectation import Expectation, assert_everyone_was_told, recorded_transitions
from tests.e2e.witness import (
    await_caught_up,
    book_positions,
    chain_blocks,
    chain_logs,
    folded_journal,
    read_books,
    stored_logs,
    stored_positions,
)

ACCOUNTS = 200
SEED = 20_261_124


def test_no_kill_loses_or_doubles_anything(stage: Stage, kills: int) -> None:
    chance = random.Random(SEED)
    stage.daemon.start()
    stage.register(players(ACCOUNTS))
    stage.deposit(players(ACCOUNTS))
    await_caught_up(stage)
    stage.borrow(players(ACCOUNTS))
    await_caught_up(stage)
    expected = Expectation(stage)
    expected.positions_moved()
    for round_number in range(2):
        _prices_under_kills(stage, chance, kills // 4, start=2_000 - 150 * round_number)
        await_caught_up(stage)
        expected.prices_moved()
        _repayments_under_kills(stage, chance, kills - kills // 4 * 3 if round_number == 0 else kills // 4)
        await_caught_up(stage)
        expected.positions_moved()
    assert stored_logs(stage) == chain_logs(stage)
    assert folded_journal(stage) == chain_blocks(stage)
    assert stored_positions(stage) == book_positions(read_books(stage))
    assert recorded_transitions(stage) == expected.transitions
    assert_everyone_was_told(stage)
    assert stage.daemon.stop() == 0


def _prices_under_kills(stage: Stage, chance: random.Random, kills: int, start: int) -> None:
    """A crash and half a recovery in steps of random size; the daemon dies at random moments of it."""
    path = _path(chance, start, rounds=1 + kills // 6)
    for _ in range(kills):
        for _ in range(chance.randrange(1, 4)):
            stage.set_price(next(path))
            time.sleep(chance.uniform(0.0, 0.2))
        stage.daemon.kill()
        if chance.random() < 0.5:
            stage.set_price(next(path))
        stage.daemon.start()
    for usd in path:
        stage.set_price(usd)
        time.sleep(0.1)


def _path(chance: random.Random, start: int, rounds: int) -> Iterator[int]:
    """USD x 1e8: down by a third, then up again, and so on as often as there are kills to spread over it."""
    usd = start * USD_SCALE
    for _ in range(rounds):
        for _ in range(12):
            usd -= usd * chance.randrange(10, 60) // 1_000
            yield usd
        for _ in range(12):
            usd += usd * chance.randrange(10, 60) // 1_000
            yield usd


def _repayments_under_kills(stage: Stage, chance: random.Random, kills: int) -> None:
    """A few accounts repay a tenth of their debt, one transaction each, while the daemon dies."""
    each = min(3, len(stage.players) // max(kills, 1))
    chosen = iter(chance.sample(stage.players, each * kills))
    for _ in range(kills):
        for player in islice(chosen, each):
            away = stage.deployments[player.away]
            borrower = player.addresses[player.away]
            value = player.collateral * OPENING_USD // 10**18
            amount = value * player.borrowed_bps // 100_000 * USDC_UNIT // USD_SCALE
            away.node.send(Sent(borrower, away.usdc, call_data("approve(address,uint256)", away.vault, amount)))
            repay = call_data("repay(address,uint256,address)", away.usdc, amount, borrower)
            away.node.send(Sent(borrower, away.vault, repay))
            time.sleep(chance.uniform(0.0, 0.1))
        stage.daemon.kill()
        stage.daemon.start()
