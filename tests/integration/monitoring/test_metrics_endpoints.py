"""Rule: what is told of an endpoint is told of all who ask it: the listener, the feeds, the tracker, the sender."""

from __future__ import annotations

import re
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from fusion_daemon.demo.stage import CHAIN_IDS, Stage, open_stage
from tests.faults.rpc_proxy import RpcProxy, proxied
from tests.looking import until

REQUESTS = re.compile(r'^fusion_rpc_requests_total\{chain="(\d+)",endpoint="0"\} (\S+)$', re.MULTILINE)


@pytest.fixture
def stage() -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="fusion-prime-endpoints-") as name:
        with open_stage(Path(name), durable=False) as opened:
            yield opened


@pytest.fixture
def proxies(stage: Stage) -> Iterator[dict[int, RpcProxy]]:
    """Between the daemon and each chain's node."""
    with ExitStack() as stack:
        made = {
            deployment.chain_id: stack.enter_context(proxied(deployment.node.url)) for deployment in stage.deployments
        }
        text = stage.config.read_text()
        for deployment in stage.deployments:
            text = text.replace(f'"{deployment.node.url}"', f'"{made[deployment.chain_id].url}"')
        stage.config.write_text(text)
        yield made
        stage.daemon.kill()


def told(stage: Stage) -> dict[int, float]:
    with urllib.request.urlopen(stage.metrics_url, timeout=10) as answer:
        return {int(chain): float(count) for chain, count in REQUESTS.findall(answer.read().decode())}


def test_every_request_is_counted_whoever_made_it(stage: Stage, proxies: dict[int, RpcProxy]) -> None:
    stage.daemon.start()
    until(lambda: sum(proxy.counts["eth_call"] for proxy in proxies.values()) >= 20, "feeds are asked, again and again")
    for chain in CHAIN_IDS:
        arrived = proxies[chain].counts["http"]
        assert told(stage)[chain] >= arrived > 0
