"""Rule: bad input gets an error that says what happened, what it means and what to do; nothing is lost by it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fusion_daemon.alerting.settings import AlertingSettings
from fusion_daemon.cli import CONFIGURATION
from fusion_daemon.demo.accounts import Player, players
from fusion_daemon.demo.configuration import RECEIVER_SECRET
from fusion_daemon.demo.receiver import Answer, Arrival, WebhookReceiver
from fusion_daemon.demo.scenario import move_price
from fusion_daemon.demo.stage import Stage
from fusion_daemon.domain.price import USD_SCALE
from tests.e2e.witness import (
    await_caught_up,
    chain_blocks,
    chain_logs,
    delivery_ids,
    folded_journal,
    heads_stored,
    stored_logs,
)
from tests.looking import until

CRASH = 1_500
"""ETH in USD."""
ATTEMPT_SECONDS = 5.0
"""Until an attempt at a receiver of the stage's configuration is given up."""


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fusion_daemon", *words], capture_output=True, text=True, timeout=60, check=False
    )


def test_without_a_configuration_run_says_what_to_do() -> None:
    done = command("run")
    assert done.returncode == CONFIGURATION
    assert "--config" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_key_is_named(stage: Stage) -> None:
    text = stage.config.read_text()
    stage.config.write_text(text.replace("poll_seconds", "pol_seconds"))
    for verb in ("run", "check"):
        done = command(verb, "--config", str(stage.config))
        assert done.returncode == CONFIGURATION
        assert "oracle.pol_seconds: unknown key" in done.stderr
        assert "Traceback" not in done.stderr


def test_another_chain_behind_an_rpc_url(stage: Stage) -> None:
    first, second = stage.deployments
    text = stage.config.read_text()
    stage.config.write_text(text.replace(second.node.url, first.node.url))
    checked = command("check", "--config", str(stage.config))
    assert checked.returncode == 1
    assert "31338" in checked.stdout
    stage.daemon.launch()
    # While it starts it is not ready either, but has no reason yet.
    until(lambda: "31337" in str(_told(stage, "chain_listener:31338").get("reason")), "the listener says so")
    until(lambda: _told(stage, "chain_listener:31338").get("ready") is False, "it has had the patience of an actor")
    said = _told(stage, "chain_listener:31338")
    assert "the configuration says chain 31338" in str(said["reason"])
    # The other chain goes on.
    first.set_weth_price(1_999 * USD_SCALE)
    until(lambda: _price(stage, "ETH") == "1999", "prices go on")
    until(lambda: _told(stage, "chain_listener:31337").get("ready") is True, "the other listener is well")
    assert stage.daemon.stop() == 0
    # Nothing of the wrong chain has been stored as the right one's; mended, all of the right one is read.
    stage.config.write_text(text)
    _margin_calls(stage)
    await_caught_up(stage)
    assert stored_logs(stage) == chain_logs(stage)
    assert folded_journal(stage) == chain_blocks(stage)


def test_a_feed_with_unexpected_decimals_is_refused(stage: Stage) -> None:
    text = stage.config.read_text()
    stage.config.write_text(text.replace("decimals = 8", "decimals = 18", 1))  # of ETH; USDC's stays right
    checked = command("check", "--config", str(stage.config))
    assert checked.returncode == 1
    assert "18" in checked.stdout
    stage.daemon.launch()
    until(lambda: _price(stage, "USDC") == "1", "the other asset is priced")
    # Other assets go on, so the component is degraded, not down.
    until(lambda: _told(stage, "oracle_poller").get("state") == "degraded", "the poller says so")
    reason = str(_told(stage, "oracle_poller")["reason"])
    assert "ETH" in reason
    assert "18" in reason
    assert _price(stage, "ETH") is None
    assert stage.daemon.stop() == 0
    # Mended, the asset is priced and who has to be called is called.
    stage.config.write_text(text)
    called = _margin_calls(stage)
    await_caught_up(stage)
    assert len(stage.receiver.arrivals()) == len(called)


def test_a_receiver_that_fails_is_tried_again_under_the_same_id(stage: Stage) -> None:
    seen: Counter[str] = Counter()

    def answer(arrival: Arrival) -> Answer:
        seen[arrival.webhook_id] += 1
        return Answer(500 if seen[arrival.webhook_id] <= 2 else 204)

    stage.receiver.answer = answer
    _margin_calls(stage)
    await_caught_up(stage)
    assert seen
    assert set(seen.values()) == {3}


def test_a_receiver_that_asks_for_time_gets_it(stage: Stage) -> None:
    seen: dict[str, float] = {}
    waited: list[float] = []

    def answer(arrival: Arrival) -> Answer:
        if arrival.webhook_id in seen:
            waited.append(arrival.at - seen[arrival.webhook_id])
            return Answer()
        seen[arrival.webhook_id] = arrival.at
        return Answer(429, (("Retry-After", "2"),))

    stage.receiver.answer = answer
    _margin_calls(stage)
    await_caught_up(stage)
    assert len(waited) == len(seen) > 0
    assert min(waited) >= 2.0


def test_a_receiver_that_hangs_delays_nobody_else(stage: Stage) -> None:
    """More calls than one destination may have in flight, to a receiver that never answers and to another."""
    released = threading.Event()
    asked: list[float] = []

    def hang(arrival: Arrival) -> Answer:
        asked.append(arrival.at)
        released.wait(30.0)
        return Answer()

    stage.receiver.answer = hang
    with _another_receiver(stage) as other:
        called = _margin_calls(stage, 120)
        assert len(called) > AlertingSettings(()).per_destination
        until(lambda: _ids(other) == delivery_ids(stage, "receiver = 'other'"), "the other receiver is told of all")
        assert max(arrival.at for arrival in other.arrivals()) < asked[0] + ATTEMPT_SECONDS
        released.set()
        await_caught_up(stage)
        # What was cut off in the middle came again under the same id: once each it has everything.
        assert _ids(stage.receiver) == delivery_ids(stage, "receiver = 'desk'")


def test_a_redirect_is_never_followed(stage: Stage) -> None:
    lure = WebhookReceiver((stage.directory / "secrets" / RECEIVER_SECRET).read_text())
    tries: Counter[str] = Counter()

    def answer(arrival: Arrival) -> Answer:
        tries[arrival.webhook_id] += 1
        return Answer(302, (("Location", lure.url),)) if tries[arrival.webhook_id] == 1 else Answer()

    stage.receiver.answer = answer
    try:
        _margin_calls(stage)
        await_caught_up(stage)
        # Not followed, not taken for success: the next attempt went to the configured address.
        assert set(tries.values()) == {2}
        assert lure.arrivals() == []
    finally:
        lure.close()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def _margin_calls(stage: Stage, count: int = 4) -> list[Player]:
    """`count` accounts, of which half borrow what is healthy at first; those that owe most are called when the price
    has fallen, which it has (folded, too) when this returns."""
    cast = players(count)
    stage.daemon.start()
    stage.register(cast)
    stage.deposit(cast)
    await_caught_up(stage)
    borrowers = [player for player in cast if player.borrowed_bps <= 5_450]
    stage.borrow(borrowers)
    until(lambda: heads_stored(stage), "positions are stored")
    move_price(stage, CRASH)
    # Called below a health factor of 1.25, the liquidation threshold being 82.5 %.
    return [player for player in borrowers if player.borrowed_bps * 2_000 * 1.25 > 8_250 * CRASH]


def _ids(receiver: WebhookReceiver) -> set[str]:
    return {arrival.webhook_id for arrival in receiver.arrivals()}


@contextmanager
def _another_receiver(stage: Stage) -> Iterator[WebhookReceiver]:
    other = WebhookReceiver((stage.directory / "secrets" / RECEIVER_SECRET).read_text())
    block = f"""
[[alerting.receivers]]
name = "other"
channel = "webhook"
target = "{other.url}"
secret = "{RECEIVER_SECRET}"
"""
    _append(stage.config, block)
    try:
        yield other
    finally:
        other.close()


def _append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def _told(stage: Stage, component: str) -> dict[str, object]:
    """What /-/ready says of a component; empty while nobody answers."""
    try:
        _, answer = stage.daemon.get("/-/ready")
    except OSError:
        return {}
    parts = answer["components"] if isinstance(answer, dict) else []
    return next((part for part in parts if part["name"] == component), {})


def _price(stage: Stage, asset: str) -> object:
    try:
        _, answer = stage.daemon.get("/v1/prices")
    except OSError:
        return None
    rows = answer.get("prices", ()) if isinstance(answer, dict) else ()
    return next((row["usd"] for row in rows if row["asset"] == asset), None)
