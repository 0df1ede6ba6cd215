"""Load under which daemons are killed: prices that move, debts that are repaid, a death at random moments. The pauses
are the load's own: only time that passes has moments to choose from."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from itertools import islice
from typing import Protocol

from fusion_daemon.demo.deploy import USDC_UNIT
from fusion_daemon.demo.node import Sent, call_data
from fusion_daemon.demo.stage import OPENING_USD, Stage
from fusion_daemon.domain.price import USD_SCALE


class Mortal(Protocol):
    """Who dies, and is there again."""

    def kill(self) -> object: ...

    def start(self) -> None:
        """Whoever does its work now is ready."""


def prices_under_kills(stage: Stage, mortal: Mortal, chance: random.Random, kills: int, start: int) -> None:
    """A crash and half a recovery in steps of random size; the daemon dies at random moments of it."""
    path = _path(chance, start, rounds=1 + kills // 6)
    for _ in range(kills):
        for _ in range(chance.randrange(1, 4)):
            stage.set_price(next(path))
            time.sleep(chance.uniform(0.0, 0.2))
        mortal.kill()
        if chance.random() < 0.5:
            stage.set_price(next(path))
        mortal.start()
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


def repayments_under_kills(stage: Stage, mortal: Mortal, chance: random.Random, kills: int) -> None:
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
        mortal.kill()
        mortal.start()
