"""Rule: live, ready and healthy are three truths: what is lost outside makes a daemon unhealthy, with its reason and
the age of what it still knows, and neither unready nor dead.

The daemon's own process, between a real chain and a real Postgres.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from fusion_daemon.chain.artifacts import load_artifact
from fusion_daemon.cli import DEGRADED
from fusion_daemon.demo.anvil import Anvil, anvil
from fusion_daemon.demo.node import Node, Sent, call_data
from fusion_daemon.domain.identifiers import hex_of, parse_address
from fusion_daemon.judge import FALL, LOOK_SECONDS, RISE
from tests.integration.cli.processes import run
from tests.integration.cli.test_cli_daemon import CHAIN, config_for, daemon
from tests.integration.cli.test_cli_standby import ask
from tests.looking import until

LISTENER = f"chain_listener:{CHAIN}"
HEARTBEAT = 3_600
"""Of the feed, in seconds."""


@pytest.fixture
def node() -> Iterator[Anvil]:
    with anvil(CHAIN, options=("--block-time", "1")) as running:
        yield running


@dataclass(frozen=True)
class Seen:
    """The daemon at one moment."""

    live: int
    ready: int
    healthy: int
    components: Sequence[dict[str, object]]

    def component(self, name: str) -> dict[str, object]:
        return next(each for each in self.components if each["name"] == name)

    def unhealthy(self) -> set[object]:
        return {each["name"] for each in self.components if not each["healthy"]}


def look(config: Path) -> Seen:
    live, ready = ask(config, "/-/live")[0], ask(config, "/-/ready")[0]
    healthy, body = ask(config, "/-/healthy")
    return Seen(live, ready, healthy, json.loads(body)["components"])


def age(seen: Seen, name: str) -> float:
    found = seen.component(name)["data_age"]
    assert isinstance(found, float)
    return found


def test_a_chain_that_is_gone_makes_it_unhealthy_and_leaves_it_ready(
    open_directory: Path, postgres_dsn: str, node: Anvil
) -> None:
    config = config_for(open_directory, node.url, postgres_dsn)
    with daemon(config):
        until(lambda: look(config).healthy == 200, "everything is well", patience=RISE + 10.0)
        gone = time.monotonic()
        node.stop()
        until(lambda: look(config).healthy == 503, "it is told", patience=FALL + 20.0)
        assert time.monotonic() - gone >= FALL - LOOK_SECONDS, "a blip is not told"
        seen = look(config)
        assert (seen.live, seen.ready, seen.healthy) == (200, 200, 503)
        assert seen.unhealthy() == {LISTENER}
        listener = seen.component(LISTENER)
        assert listener["ready"] is True
        assert "127.0.0.1" in str(listener["reason"]), "whom it asks in vain"
        assert FALL - 1.0 <= age(seen, LISTENER) < 60.0
        until(lambda: age(look(config), LISTENER) > age(seen, LISTENER) + 1.0, "and what it knows grows old by itself")
        done = run("status", "--config", config)
        assert done.returncode == DEGRADED
        assert "data " in next(line for line in done.stdout.splitlines() if LISTENER in line)


def test_a_feed_that_stands_still_makes_it_unhealthy_and_leaves_it_ready(
    open_directory: Path, postgres_dsn: str, node: Anvil
) -> None:
    config = config_for(open_directory, node.url, postgres_dsn)
    with closing(Node(node.url)) as chain:
        feed = Feed(chain)
        config.write_text(config.read_text() + feed.configuration())
        with daemon(config):
            until(lambda: look(config).healthy == 200, "everything is well", patience=RISE + 10.0)
            feed.say(age=HEARTBEAT - 2)  # and from then on it stands still
            until(lambda: look(config).healthy == 503, "it is told", patience=FALL + 20.0)
            seen = look(config)
            assert (seen.live, seen.ready, seen.healthy) == (200, 200, 503)
            assert seen.unhealthy() == {"oracle_poller"}, "the chain itself goes on"
            assert "ETH is stale" in str(seen.component("oracle_poller")["reason"])
            assert age(seen, "oracle_poller") >= FALL - 1.0, "since the last good reading"
            until(lambda: age(look(config), "oracle_poller") > age(seen, "oracle_poller") + 1.0, "growing by itself")


class Feed:
    """A Chainlink feed of ETH on a local chain."""

    def __init__(self, chain: Node) -> None:
        accounts = chain.call("eth_accounts")
        assert isinstance(accounts, list)
        self._chain = chain
        self._owner = parse_address(accounts[0])
        code = load_artifact("MockV3Aggregator").bytecode
        types = ("uint8", "int256", "string")
        self._feed = chain.deploy(self._owner, code, types, 8, 2_000 * 10**8, "ETH / USD")

    def say(self, age: int) -> None:
        """One more round, so many seconds old; the last."""
        at = int(time.time()) - age
        round_ = call_data("updateRoundData(uint80,int256,uint256,uint256)", 2, 2_000 * 10**8, at, at)
        self._chain.send(Sent(self._owner, self._feed, round_))

    def configuration(self) -> str:
        """Beside it USDC, which never moves."""
        return f"""
[oracle]
poll_seconds = 0.5
[[oracle.assets]]
asset = "ETH"
[[oracle.assets.sources]]
kind = "chainlink"
chain = {CHAIN}
address = "{hex_of(self._feed)}"
decimals = 8
description = "ETH / USD"
heartbeat_seconds = {HEARTBEAT}
slack_seconds = 0
[[oracle.assets]]
asset = "USDC"
[[oracle.assets.sources]]
kind = "static"
usd = "1.00"
"""
