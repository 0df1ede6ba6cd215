"""What margin events and messages there must be, by the independent fold, phase by phase."""

from __future__ import annotations

import time
from dataclasses import replace

from fusion_daemon.demo.accounts import players
from fusion_daemon.demo.stage import Stage
from fusion_daemon.domain.identifiers import hex_of
from tests.e2e.independent_fold import Book, Standing, Tick, Transition, fold
from tests.e2e.witness import (
    await_caught_up,
    book_positions,
    chain_blocks,
    chain_logs,
    committed_ticks,
    delivery_ids,
    folded_journal,
    read_books,
    recorded_margin_events,
    stored_logs,
    stored_positions,
)
from tests.looking import until


class Expectation:
    """The second opinion: what margin events there must be, phase by phase."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._standings: dict[str, Standing] = {}
        self._prices: dict[str, Tick] = {}
        self._seen = 0
        self.transitions: set[Transition] = set()

    def prices_moved(self) -> None:
        """Positions stood still; every committed price since the last phase was folded in order."""
        ticks = committed_ticks(self._stage, self._seen)
        self._seen = ticks[-1].seq
        self.transitions.update(self._fold(ticks))

    def positions_moved(self) -> None:
        """Prices stood still (but for heartbeats); each account changed in one transaction at most. Which price
        number such an event names depends on the interleaving, so it is left out of the comparison."""
        for tick in committed_ticks(self._stage, self._seen):
            known = self._prices.setdefault(tick.asset, tick)
            assert (known.held_at, known.owed_at) == (tick.held_at, tick.owed_at), "a price moved in this phase"
            self._seen = tick.seq
        now = int(time.time())
        same = [replace(tick, seq=0, at=now) for tick in self._prices.values()]
        self.transitions.update(self._fold(same))

    def _fold(self, ticks: list[Tick]) -> list[Transition]:
        return fold(self._books(), _owners(self._stage), ticks, self._standings, self._prices)

    def _books(self) -> list[tuple[Book, dict[str, str]]]:
        tokens = [{hex_of(each.weth): "ETH", hex_of(each.usdc): "USDC"} for each in self._stage.deployments]
        return list(zip(read_books(self._stage), tokens, strict=True))


def _owners(stage: Stage) -> dict[str, list[str]]:
    return {player.id: [hex_of(address) for address in player.addresses] for player in stage.players}


def set_out(stage: Stage, accounts: int) -> Expectation:
    """So many accounts deposit and borrow; the second opinion after that. The daemon runs."""
    cast = players(accounts)
    stage.register(cast)
    stage.deposit(cast)
    await_caught_up(stage)
    stage.borrow(cast)
    await_caught_up(stage)
    expected = Expectation(stage)
    expected.positions_moved()
    return expected


def assert_nothing_lost_or_doubled(stage: Stage, expected: Expectation) -> None:
    """Of a daemon that has caught up: logs, journal and positions are the nodes', margin events the expected ones, and
    whoever had to hear of them did."""
    assert stored_logs(stage) == chain_logs(stage)
    assert folded_journal(stage) == chain_blocks(stage)
    assert stored_positions(stage) == book_positions(read_books(stage))
    assert recorded_transitions(stage) == expected.transitions
    assert_everyone_was_told(stage)


def recorded_transitions(stage: Stage) -> set[Transition]:
    rows = recorded_margin_events(stage)
    found = {
        (account, episode, step, before, after, seq if cause == "price" else 0)
        for account, episode, step, before, after, cause, seq in rows
    }
    assert len(found) == len(rows), "two margin events with one identity"
    return found


def assert_everyone_was_told(stage: Stage) -> None:
    """Every delivery arrives, and nothing else does. The daemon may raise an alert of its own state after all that was
    done to it has settled, so the two are compared until they are the same."""
    until(
        lambda: {arrival.webhook_id for arrival in stage.receiver.arrivals()} == delivery_ids(stage),
        "every delivery has arrived, and nothing else",
    )
    arrivals = stage.receiver.arrivals()
    assert all(arrival.genuine for arrival in arrivals)
    bodies: dict[str, object] = {}
    for arrival in arrivals:
        assert bodies.setdefault(arrival.webhook_id, arrival.body) == arrival.body, "one id, two messages"
    alerts = [str(arrival["data"]["alert"]) for arrival in bodies.values() if isinstance(arrival, dict)]
    assert len(alerts) == len(set(alerts)), "one alert under two ids"
