"""The config.toml of the demonstration: the same file format that production uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fusion_daemon.demo.deploy import Deployment
from fusion_daemon.domain.identifiers import hex_of

RECEIVER_SECRET = "desk-webhook-key"
TOKEN_SECRET = "demo-token"


@dataclass(frozen=True, slots=True)
class Wiring:
    """Where everything listens."""

    state: Path
    secrets: Path
    dsn: str
    port: int
    metrics_port: int
    receiver: str


def render_config(wiring: Wiring, deployments: Sequence[Deployment], max_span: int) -> str:
    """TOML text that `fusion-daemon check` accepts. ETH is priced by the first chain's feed."""
    first = deployments[0]
    parts = [_head(wiring), *(_chain(deployment, max_span) for deployment in deployments)]
    parts.append("[oracle]\npoll_seconds = 0.05\n")
    parts.append(_asset("ETH", first.chain_id, hex_of(first.weth_feed)))
    parts.append(_asset("USDC", first.chain_id, hex_of(first.usdc_feed)))
    parts.append(_receiver(wiring.receiver))
    return "\n".join(parts)


def _head(wiring: Wiring) -> str:
    return f"""
[daemon]
instance = "demo"
state_directory = "{wiring.state}"

[database]
dsn = "{wiring.dsn}"

[http]
port = {wiring.port}
metrics_port = {wiring.metrics_port}

[[http.principals]]
name = "demo"
role = "admin"
token = "{TOKEN_SECRET}"

[logging]
style = "json"

[secrets]
directory = "{wiring.secrets}"
"""


def _chain(deployment: Deployment, max_span: int) -> str:
    return f"""
[[chains]]
id = {deployment.chain_id}
name = "local-{deployment.chain_id}"
rpc_urls = ["{deployment.node.url}"]
start_block = 0
vaults = ["{hex_of(deployment.vault)}"]
escrow_factories = ["{hex_of(deployment.factory)}"]
poll_min_seconds = 0.05
poll_max_seconds = 0.5
max_span = {max_span}

[[chains.tokens]]
address = "{hex_of(deployment.weth)}"
asset = "ETH"

[[chains.tokens]]
address = "{hex_of(deployment.usdc)}"
asset = "USDC"
"""


def _asset(asset: str, chain: int, feed: str) -> str:
    return f"""
[[oracle.assets]]
asset = "{asset}"
deviation_bps = 0

[[oracle.assets.sources]]
kind = "chainlink"
chain = {chain}
address = "{feed}"
decimals = 8
description = "{asset} / USD"
heartbeat_seconds = 86400
"""


def _receiver(url: str) -> str:
    return f"""
[alerting]
timeout_seconds = 5.0

[[alerting.receivers]]
name = "desk"
channel = "webhook"
target = "{url}"
secret = "{RECEIVER_SECRET}"
"""
