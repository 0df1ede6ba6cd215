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

from fusion_daemon.cli import CONFIGURATION
from fusion_daemon.demo.accounts import Player, players
from fusion_daemon.demo.configuration import RECEIVER_SECRET
from fusion_daemon.demo.receiver import Answer, Arrival, WebhookReceiver
from fusion_daemon.demo.stage import Stage
from fusion_daemon.domain.price import USD_SCALE
from tests.e2e.witness import await_caught_up, heads_stored, until

CRASH = 1_500 * USD_SCALE


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
    stage.config.write_text(stage.config.read_text().replace(second.node.url, first.node.url))
    checked = command("check", "--config", str(stage.config))
    assert checked.returncode == 1
    assert "31338" in checked.stdout
    stage.daemon.launch()
    until(lambda: _told(stage, "chain_listener:31338").get("ready") is False, "the listener says so")
    reason = str(_told(stage, "chain_listener:31338")["reason"])
    assert "31337" in reason
    assert "31338" in reason
    # The other chain goes on.
    first.set_weth_price(1_999 * USD_SCALE)
    until(lambda: _price(stage, "ETH") == "1999", "prices go on")
    until(lambda: _told(stage, "chain_listener:31337").get("ready") is True, "the other listener is well")
    assert stage.daemon.stop() == 0


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
    released = threading.Event()

    def hang(arrival: Arrival) -> Answer:
        released.wait(30)
        return Answer()

    stage.receiver.answer = hang
    with _another_receiver(stage) as other:
        called = _margin_calls(stage)
        until(lambda: len(other.arrivals()) >= len(called), "the other receiver is told", patience=5.0)
        released.set()
        await_caught_up(stage)
        # A hung attempt timed out; whether it arrived was unknown, so it came again under the same id.
        assert {each.webhook_id for each in stage.receiver.arrivals()} != set()


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


def _margin_calls(stage: Stage) -> list[Player]:
    """Four accounts, of which the two that owe most are called when the price falls."""
    cast = players(4)
    stage.daemon.start()
    stage.register(cast)
    stage.deposit(cast)
    await_caught_up(stage)
    stage.borrow([player for player in cast if player.borrowed_bps <= 5_100])
    until(lambda: heads_stored(stage), "positions are stored")
    stage.set_price(CRASH)
    return [player for player in cast if player.borrowed_bps == 5_066]


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
    rows = answer["prices"] if isinstance(answer, dict) else []
    return next((row["usd"] for row in rows if row["asset"] == asset), None)
