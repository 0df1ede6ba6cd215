"""Rule: what a running daemon serves is valid, complete, documented, and true."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from fusion_daemon.demo.accounts import players
from fusion_daemon.demo.stage import CHAIN_IDS, Stage, open_stage
from tests.looking import until
from tests.unit.http.test_http_metrics import check_exposition
from tools.metrics_page import PAGE

ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \|", re.MULTILINE)
PRICE = 1_500 * 10**8

Scraped = dict[str, dict[str, float]]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="fusion-prime-metrics-") as name:
        with open_stage(Path(name), durable=False) as opened:
            yield opened


@pytest.fixture(scope="module")
def busy(stage: Stage) -> Stage:
    """Two accounts of which one is called, so that every room has something to tell."""
    cast = players(2)
    stage.daemon.start()
    stage.register(cast)
    stage.deposit(cast)
    stage.borrow(cast)
    stage.set_price(PRICE)
    until(lambda: len(stage.receiver.arrivals()) > 0, "a webhook arrives")
    until(lambda: caught_up(parse(scrape(stage))), "the listeners stand at the head")
    until(lambda: total(parse(scrape(stage)), "fusion_deliveries_ended_total") > 0, "its end is recorded")
    return stage


def scrape(stage: Stage) -> str:
    with urllib.request.urlopen(stage.metrics_url, timeout=10) as answer:
        return str(answer.read().decode())


def parse(text: str) -> Scraped:
    return check_exposition(text)


def total(scraped: Scraped, family: str) -> float:
    return sum(scraped[family].values())


def caught_up(scraped: Scraped) -> bool:
    return set(scraped["fusion_chain_behind_blocks"].values()) == {0.0}


def documented() -> dict[str, tuple[str, set[str]]]:
    """Family -> its kind and its labels."""
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in ROW.findall(PAGE.read_text())}


def test_promtool_has_nothing_to_say(busy: Stage) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool (Debian: prometheus) is not installed; the project's own parser judges below")
    done = subprocess.run(
        [promtool, "check", "metrics"], input=scrape(busy), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_family_is_documented_and_every_documented_one_is_served(busy: Stage) -> None:
    text = scrape(busy)
    scraped = parse(text)
    kinds = dict(re.findall(r"^# TYPE (fusion_\w+) (\w+)$", text, re.MULTILINE))
    assert kinds == {name: kind for name, (kind, _) in documented().items()}
    for name, (_, labels) in documented().items():
        for each in scraped[name]:
            assert set(re.findall(r'(\w+)="', each)) - {"le"} == labels, each


def test_what_is_told_is_true(busy: Stage) -> None:
    scraped = parse(scrape(busy))
    assert total(scraped, "fusion_metrics_source_failures_total") == 0
    chains = {f'{{chain="{chain}"}}' for chain in CHAIN_IDS}
    assert set(scraped["fusion_actor_running"].values()) == {1.0}
    assert set(scraped["fusion_actor_health"].values()) == {2.0}
    for name in ("fusion_chain_tip_block", "fusion_chain_logs_total", "fusion_chain_blocks_total"):
        assert scraped[name].keys() == {name + chain for chain in chains}
        assert min(scraped[name].values()) > 0, name
    for deployment in busy.deployments:
        head = int(str(deployment.node.call("eth_blockNumber")), 16)
        assert scraped["fusion_chain_tip_block"][f'fusion_chain_tip_block{{chain="{deployment.chain_id}"}}'] == head
    assert max(scraped["fusion_chain_tip_age_seconds"].values()) < 120
    ages, allowed = scraped["fusion_feed_age_seconds"], scraped["fusion_feed_allowed_age_seconds"]
    assert len(ages) == len(allowed) == 2
    assert set(allowed.values()) == {86_460.0}, "heartbeat and slack"
    assert 0 <= min(ages.values()) <= max(ages.values()) < 120
    ended = scraped["fusion_deliveries_ended_total"]
    assert ended['fusion_deliveries_ended_total{state="delivered"}'] == len(
        {arrival.webhook_id for arrival in busy.receiver.arrivals()}
    )
    assert ended['fusion_deliveries_ended_total{state="exhausted"}'] == 0, "told from zero on"
    assert scraped["fusion_topic_head"]['fusion_topic_head{stream="accounts"}'] == 2
    assert total(scraped, "fusion_zombies") == 0


def test_counters_never_fall_while_the_daemon_lives(busy: Stage) -> None:
    before, after = parse(scrape(busy)), parse(scrape(busy))
    for name, (kind, _) in documented().items():
        if kind == "counter":
            assert all(after[name][each] >= value for each, value in before[name].items()), name
