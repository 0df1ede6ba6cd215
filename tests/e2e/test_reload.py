"""Rule: a daemon that is reloaded under load decides and tells as if it had not been; and what a reload brings, works.

ETH 2000 ... crash ... 1250 ... recovery
────────────────────────────────────────▶
    ↻   ↻     ↻    ↻      ↻    ↻     ↻      every branch starts anew, in turns
"""

from __future__ import annotations

import base64
import itertools
import random
import re
import secrets
from collections.abc import Iterator
from contextlib import closing

from fusion_daemon.demo.accounts import Player, players
from fusion_daemon.demo.configuration import RECEIVER_SECRET
from fusion_daemon.demo.receiver import WebhookReceiver
from fusion_daemon.demo.stage import CHAIN_IDS, Stage
from fusion_daemon.domain.price import USD_SCALE
from tests.e2e.expectation import assert_nothing_lost_or_doubled, set_out
from tests.e2e.kills import prices_under_kills, repayments_under_kills
from tests.e2e.witness import await_caught_up
from tests.looking import until

ACCOUNTS = 60
SEED = 20_261_125
CRASH = 1_500 * USD_SCALE
LOWER = 1_300 * USD_SCALE


class Reloaded:
    """kills.Mortal, who does not die: each `kill` is a reload."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._changes = _changes()
        self.restarted: set[str] = set()

    def kill(self) -> None:
        rewrite(self._stage, *next(self._changes))
        self.restarted |= set(steps_of_reload(self._stage))

    def start(self) -> None:
        until(self._stage.daemon.ready, "ready again")


def _changes() -> Iterator[tuple[str, str]]:
    """Of keys that decide nothing; together they concern every branch."""
    for number in itertools.count(1):
        yield r"^timeout_seconds = .*$", f"timeout_seconds = {5 + number}.0"
        yield r"^poll_max_seconds = .*$", f"poll_max_seconds = 0.{50 + number % 40}"
        yield r"^poll_seconds = .*$", f"poll_seconds = 0.0{5 + number % 4}"


def rewrite(stage: Stage, pattern: str, text: str) -> None:
    changed, count = re.subn(pattern, text, stage.config.read_text(), flags=re.MULTILINE)
    assert count
    stage.config.write_text(changed)


def steps_of_reload(stage: Stage) -> list[str]:
    status, answer = stage.daemon.post("/v1/reload", {})
    assert status == 200, answer
    assert isinstance(answer, dict)
    return [f"{each['action']} {each['target']}" for each in answer["steps"]]


def test_reloads_under_load_lose_and_double_nothing(stage: Stage, kills: int) -> None:
    chance = random.Random(SEED)
    stage.daemon.start()
    expected = set_out(stage, ACCOUNTS)
    reloaded = Reloaded(stage)
    prices_under_kills(stage, reloaded, chance, kills, start=2_000)
    await_caught_up(stage)
    expected.prices_moved()
    repayments_under_kills(stage, reloaded, chance, kills // 2)
    await_caught_up(stage)
    expected.positions_moved()
    assert_nothing_lost_or_doubled(stage, expected)
    branches = ["alerting", "risk", "oracle", *(f"chain:{chain}" for chain in CHAIN_IDS)]
    assert reloaded.restarted == {f"restart {each}" for each in branches}
    assert stage.daemon.stop() == 0


def test_a_chain_a_receiver_and_a_key_come_by_reloads(stage: Stage) -> None:
    both = stage.config.read_text()
    section = re.search(rf"\[\[chains\]\]\nid = {CHAIN_IDS[1]}\n.*?(?=\[oracle\])", both, re.DOTALL)
    assert section is not None
    stage.config.write_text(both.replace(section[0], ""))
    cast = players(8)
    stage.deposit(cast)
    stage.borrow(cast)
    stage.daemon.start()
    stage.config.write_text(both)
    restarted = ("risk", "messages", "oracle", "transactions")
    assert steps_of_reload(stage) == [f"add chain:{CHAIN_IDS[1]}", *(f"restart {each}" for each in restarted)]
    stage.register(cast)
    until(lambda: all(legs(stage, each) == {"collateral", "debt"} for each in cast), "both chains count")
    await_caught_up(stage)

    with closing(WebhookReceiver(new_key(stage, "second-key"))) as second:
        stage.config.write_text(f"{both}{RECEIVER.format(url=second.url)}")
        assert steps_of_reload(stage) == [
            "update secrets",
            "restart alerting",
            "restart risk",
            "restart messages",
        ]
        stage.set_price(CRASH)
        until(lambda: told(stage.receiver), "the first hears")
        until(lambda: told(second), "and the second")
        await_caught_up(stage)
        before = len(stage.receiver.arrivals())
        stage.receiver._secret = new_key(stage, RECEIVER_SECRET)
        assert steps_of_reload(stage) == ["update secrets"]
        stage.set_price(LOWER)
        until(lambda: len(stage.receiver.arrivals()) > before, "the first hears by the new key")
        await_caught_up(stage)
        assert all(each.genuine for each in [*stage.receiver.arrivals(), *second.arrivals()])

    stage.config.write_text(both.replace(section[0], ""))
    assert f"remove chain:{CHAIN_IDS[1]}" in steps_of_reload(stage)
    until(lambda: all(legs(stage, each) != {"collateral", "debt"} for each in cast), "one chain counts")
    assert stage.daemon.stop() == 0
    log = (stage.directory / "daemon.log").read_text()
    assert "whsec_" not in log
    assert '"level": "error"' not in log


RECEIVER = """
[[alerting.receivers]]
name = "second"
channel = "webhook"
target = "{url}"
secret = "second-key"
"""


def new_key(stage: Stage, name: str) -> str:
    key = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    fresh = stage.directory / "secrets" / f"{name}.new"
    fresh.touch(mode=0o600)
    fresh.write_text(key)
    fresh.rename(fresh.with_suffix(""))
    return key


def told(receiver: WebhookReceiver) -> bool:
    return any(each.genuine for each in receiver.arrivals())


def legs(stage: Stage, player: Player) -> set[str]:
    status, answer = stage.daemon.get(f"/v1/accounts/{player.id}/margin")
    if status == 404:
        return set()  # it was registered a moment ago
    assert status == 200, answer
    assert isinstance(answer, dict)
    return {str(each["side"]) for each in answer["legs"]}
