"""Rule: the hash is of what decides. Where a daemon runs, listens and asks may differ between two that replace each
other; what they watch, how they judge and whom they tell may not."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any

import pytest

from fusion_daemon.config import Config
from fusion_daemon.config_hash import configuration_hash

EXAMPLE = tomllib.loads((Path(__file__).parents[3] / "config.toml").read_text())
Raw = MutableMapping[str, Any]


def hashed(change: Callable[[Raw], object] = lambda raw: None) -> str:
    raw = copy.deepcopy(EXAMPLE)
    change(raw)
    return configuration_hash(Config.model_validate(raw))


SAME: dict[str, Callable[[Raw], object]] = {
    "instance": lambda raw: raw["daemon"].update(instance="second", state_directory="/srv/second"),
    "database": lambda raw: raw.update(database={"dsn": "postgresql://u@elsewhere/x", "lease_seconds": 30.0}),
    "ports": lambda raw: raw["http"].update(port=1, metrics_port=2, socket="/run/x.sock"),
    "principals": lambda raw: raw["http"].pop("principals"),
    "logging": lambda raw: raw["logging"].update(level="debug"),
    "secrets": lambda raw: raw["secrets"].update(directory="/srv/secrets"),
    "endpoints": lambda raw: raw["chains"][0].update(rpc_urls=["https://other.example"], max_span=10),
    "pace of calls": lambda raw: raw["chains"][0].update(ws_urls=["ws://other.example"], calls_per_second_max=25.0),
    "pace": lambda raw: raw["oracle"].update(poll_seconds=9.0),
    "mail relay": lambda raw: raw["alerting"]["smtp"].update(host="relay.example"),
    "patience": lambda raw: raw["alerting"].update(timeout_seconds=3.0, concurrency=2),
    "explorers": lambda raw: raw["messages"].update(explorers={"ccip_api": "https://api.ccip.example"}),
    "order of chains": lambda raw: raw["chains"].reverse(),
    "order of assets": lambda raw: raw["oracle"]["assets"].reverse(),
    "order of receivers": lambda raw: raw["alerting"]["receivers"].reverse(),
    "a default, written": lambda raw: raw["chains"][1].update(finality_depth=64),
}
OTHER: dict[str, Callable[[Raw], object]] = {
    "a chain": lambda raw: raw["chains"].append(raw["chains"][1] | {"id": 10, "name": "third"}),
    "a start block": lambda raw: raw["chains"][0].update(start_block=5),
    "a vault": lambda raw: raw["chains"][0]["vaults"].append("0x" + "77" * 20),
    "a bridge's gateway": lambda raw: raw["chains"][0]["bridges"]["axelar"].update(gateway="0x" + "77" * 20),
    "a message's patience": lambda raw: raw["messages"].update(retry_seconds=1),
    "a token's asset": lambda raw: raw["chains"][0]["tokens"][0].update(asset="USDC"),
    "finality": lambda raw: raw["chains"][0].update(finality_depth=5),
    "a feed": lambda raw: raw["oracle"]["assets"][0]["sources"].pop(),
    "a deviation": lambda raw: raw["oracle"]["assets"][0].update(deviation_bps=77),
    "a limit": lambda raw: raw["risk"].update(score_bps=[6000, 3000, 1500]),
    "a receiver": lambda raw: raw["alerting"]["receivers"].pop(),
    "a receiver's key": lambda raw: raw["alerting"]["receivers"][0].update(secret="other-key"),
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME.keys())
def test_what_may_differ(change: Callable[[Raw], object]) -> None:
    assert hashed(change) == hashed()


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER.keys())
def test_what_may_not(change: Callable[[Raw], object]) -> None:
    assert hashed(change) != hashed()
