"""Rule: of two daemons on one database one works; kill or freeze it, and the other goes on where it stood: nothing is
lost, nothing is doubled, and whoever comes back late changes nothing.

prices, repayments  ─────────────────────────────────────────────▶
first               ═══ active ═══╳   ─ stands by ─╔═══ active ═══
second              ─ stands by ──╔═══ active ═════╳
"""

from __future__ import annotations

import random
import signal
import statistics
from collections.abc import Iterator

import pytest

from fusion_daemon.demo.stage import Stage
from tests.e2e.conftest import SOAK
from tests.e2e.expectation import assert_nothing_lost_or_doubled, set_out
from tests.e2e.kills import prices_under_kills, repayments_under_kills
from tests.e2e.pair import Pair, open_pair, terms
from tests.e2e.witness import await_caught_up


class Freezing:
    """A death that is none: the process stands still, and holds on to all that it has."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair

    def kill(self) -> None:
        self._pair.active.daemon.send(signal.SIGSTOP)

    def start(self) -> None:
        self._pair.succeed()


class Untouched:
    def kill(self) -> None:
        pass

    def start(self) -> None:
        pass


ACCOUNTS = 100
SEED = 20_261_125
KILLS = 50 if SOAK else 5
LONG = 300.0
"""Seconds of a lease that no death may wait for."""
SHORT = 5.0


@pytest.fixture
def pair(request: pytest.FixtureRequest, stage: Stage) -> Iterator[Pair]:
    opened = open_pair(stage, request.param)
    try:
        yield opened
    finally:
        opened.close()


@pytest.mark.parametrize("pair", [LONG], indirect=True)
def test_a_killed_daemon_is_replaced_at_once_and_nothing_is_lost(
    stage: Stage, pair: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(SEED)
    pair.open()
    expected = set_out(stage, ACCOUNTS)
    prices_under_kills(stage, pair, chance, KILLS - KILLS // 3, start=2_000)
    await_caught_up(stage)
    expected.prices_moved()
    repayments_under_kills(stage, pair, chance, KILLS // 3)
    await_caught_up(stage)
    expected.positions_moved()
    assert_nothing_lost_or_doubled(stage, expected)
    first, *others = terms(stage.dsn)
    assert first.taken == "free"
    assert [term.taken for term in others] == ["ended"] * KILLS, "the death freed it, not the time"
    assert all(term.waited_ms is not None and term.waited_ms < LONG * 1_000 for term in others)
    with capsys.disabled():
        seconds = sorted(pair.takeovers)
        print(
            f"\n{KILLS} takeovers under load, kill -9 to ready:"
            f" median {statistics.median(seconds):.2f} s, longest {seconds[-1]:.2f} s"
        )
    assert pair.standby.daemon.stop() == 0, "a standby stops as it is told, too"
    assert pair.active.daemon.stop() == 0


@pytest.mark.parametrize("pair", [SHORT], indirect=True)
def test_a_frozen_daemon_is_replaced_after_its_time_and_fenced_when_it_wakes(stage: Stage, pair: Pair) -> None:
    chance = random.Random(SEED)
    pair.open()
    expected = set_out(stage, ACCOUNTS)
    prices_under_kills(stage, Freezing(pair), chance, 1, start=2_000)
    await_caught_up(stage)
    expected.prices_moved()
    frozen = pair.standby
    frozen.daemon.send(signal.SIGCONT)
    assert frozen.daemon.wait() == 1
    assert "has taken over this database" in frozen.log.read_text()
    repayments_under_kills(stage, Untouched(), chance, 1)
    await_caught_up(stage)
    expected.positions_moved()
    assert_nothing_lost_or_doubled(stage, expected)
    assert [term.taken for term in terms(stage.dsn)] == ["free", "silent"]
    _, answer = stage.daemon.get("/v1/actors")
    assert isinstance(answer, dict)
    assert {actor["restarts"] for actor in answer["actors"]} == {0}, "the late one has fenced nobody"
    assert stage.daemon.stop() == 0
