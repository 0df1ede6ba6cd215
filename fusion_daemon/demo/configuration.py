"""The config.toml of the demonstration: the same file format that production uses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fusion_daemon.demo.links import Link
from fusion_daemon.domain.identifiers import Address, hex_of

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


def render_config(wiring: Wiring, links: Sequence[Link], max_span: int) -> str:
    """TOML text that `fusion-daemon check` accepts. ETH is priced by the first chain's feed."""
    first = links[0].deployment
    parts = [_head(wiring), *(_chain(link, links, max_span) for link in links)]
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


def _chain(link: Link, links: Sequence[Link], max_span: int) -> str:
    deployment, bridge = link.deployment, link.bridge
    [far] = [each.deployment.chain_id for each in links if each is not link]
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

[chains.bridges]
router = "{hex_of(link.router)}"

[chains.bridges.remote_credit]
address = "{hex_of(link.credit)}"
vault = "{hex_of(deployment.vault)}"

[chains.bridges.axelar]
name = "{bridge.name}"
gateway = "{hex_of(link.gateway)}"
gas_service = "{hex_of(bridge.gas_service)}"
adapter = "{hex_of(link.axelar)}"

[chains.bridges.ccip]
selector = {bridge.selector}
on_ramps = {_addresses(bridge.on_ramps.values())}
off_ramps = {_addresses(bridge.off_ramps.values())}
commit_stores = {_addresses([bridge.commit_store])}
lanes = {{ "{hex_of(bridge.off_ramps["1.5"])}" = {far} }}
adapter = "{hex_of(link.ccip)}"

[[chains.tokens]]
address = "{hex_of(deployment.weth)}"
asset = "ETH"

[[chains.tokens]]
address = "{hex_of(deployment.usdc)}"
asset = "USDC"
"""


def _addresses(addresses: Iterable[Address]) -> str:
    return "[" + ", ".join(f'"{hex_of(address)}"' for address in addresses) + "]"


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
