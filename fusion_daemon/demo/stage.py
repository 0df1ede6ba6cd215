"""The stage: a Postgres, two chains with contracts and positions, a receiver, and the daemon as a child.

Demonstration, end-to-end tests and benchmarks all play here. Everything is started by the calling
thread, which must be the main one, and is gone when the block ends.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fusion_daemon.demo.accounts import Player
from fusion_daemon.demo.anvil import anvil
from fusion_daemon.demo.bridge import DevBridge, Faults
from fusion_daemon.demo.child import DaemonChild, free_port
from fusion_daemon.demo.configuration import RECEIVER_SECRET, TOKEN_SECRET, Wiring, render_config
from fusion_daemon.demo.deploy import USDC_UNIT, Deployment, Opening, borrow, deploy, deposit, draw, repay
from fusion_daemon.demo.deployments import write_deployment
from fusion_daemon.demo.links import AXELAR, CCIP, Link, join
from fusion_daemon.demo.node import Node
from fusion_daemon.demo.receiver import WebhookReceiver
from fusion_daemon.domain.identifiers import Hash32, hex_of
from fusion_daemon.domain.price import USD_SCALE
from fusion_daemon.store.embedded import EmbeddedPostgres, running_postgres

CHAIN_IDS = (31337, 31338)
OPENING_USD = 2_000 * USD_SCALE
_ANVIL_OPTIONS = ("--gas-limit", "1000000000")
_BPS = 10_000
_TERM = 30 * 86_400
_BLOCKS_TO_FINALITY = 66
"""anvil calls a block final that is two epochs of 32 slots old."""
_CARRIES = 4
"""Axelar approves and executes, CCIP commits and executes; then all of it becomes final."""


@dataclass(slots=True)
class Stage:
    directory: Path
    postgres: EmbeddedPostgres
    links: tuple[Link, Link]
    bridge: DevBridge
    receiver: WebhookReceiver
    daemon: DaemonChild
    config: Path
    metrics_url: str
    players: list[Player] = field(default_factory=list)
    locks: dict[str, Hash32] = field(default_factory=dict)
    """The lock of each player who made one."""

    @property
    def deployments(self) -> tuple[Deployment, Deployment]:
        return self.links[0].deployment, self.links[1].deployment

    @property
    def dsn(self) -> str:
        return self.postgres.dsn

    def deposit(self, players: Sequence[Player]) -> None:
        """The players put collateral into the vault of their home chain. The daemon need not run."""
        for home, deployment in enumerate(self.deployments):
            deposit(deployment, [_opening(player) for player in players if player.home == home])
        self.players.extend(players)

    def borrow(self, players: Sequence[Player]) -> None:
        """The desk grants credit on each player's other chain, and the player draws it."""
        for away, deployment in enumerate(self.deployments):
            borrow(deployment, [_opening(player) for player in players if player.away == away])

    def lock(self, players: Sequence[Player]) -> None:
        """The players lock their collateral at home for credit on their other chain, by pairs over one bridge and the
        other. Nothing arrives before `carry`."""
        for index, player in enumerate(players):
            opening, home = _opening(player), self.links[player.home]
            bridge, until = (AXELAR, CCIP)[index // 2 % 2], home.deployment.node.timestamp() + _TERM
            self.locks[player.id] = home.lock(
                opening.depositor, opening.collateral, opening.credit, CHAIN_IDS[player.away], bridge, until
            )

    def draw(self, players: Sequence[Player]) -> None:
        """The players borrow against their credit on their other chain."""
        for away, deployment in enumerate(self.deployments):
            draw(deployment, [_opening(player) for player in players if player.away == away])

    def repay(self, players: Sequence[Player]) -> None:
        """All debt with its interest."""
        for away, deployment in enumerate(self.deployments):
            repay(deployment, [_opening(player) for player in players if player.away == away])

    def release(self, players: Sequence[Player]) -> None:
        """The players give their credit back, over the bridge over which it did not come."""
        for index, player in enumerate(players):
            opening, bridge = _opening(player), (CCIP, AXELAR)[index // 2 % 2]
            self.links[player.away].release(opening.borrower, self.locks[player.id], opening.credit, bridge)

    def carry(self) -> None:
        """Whatever was sent becomes final at its source and is carried to its destination, until that is final too."""
        for _ in range(_CARRIES):
            for deployment in self.deployments:
                deployment.node.call("anvil_mine", hex(_BLOCKS_TO_FINALITY))
            self.bridge.step()

    def register(self, players: Sequence[Player]) -> None:
        """Tell the running daemon which addresses belong to whom."""
        body = [_registration(player) for player in players]
        status, answer = self.daemon.post("/v1/accounts", body)
        if status >= 300:
            raise RuntimeError(f"registration was refused: {status} {answer}")

    def set_price(self, usd: int) -> None:
        """Move the ETH feed of both chains. The daemon reads the first one's; each vault its own."""
        for deployment in reversed(self.deployments):
            deployment.set_weth_price(usd)


@contextmanager
def open_stage(directory: Path, *, durable: bool = True, max_span: int = 2_000) -> Iterator[Stage]:
    """Postgres, chains, contracts and receiver run inside the block; the daemon is made but not started."""
    with ExitStack() as stack:
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o711)  # when root plays, Postgres runs under another account and must pass through
        credentials = _secrets(directory)
        postgres = stack.enter_context(running_postgres(directory / "postgres", durable=durable))
        deployments = []
        for chain in CHAIN_IDS:
            node = Node(stack.enter_context(anvil(chain, options=_ANVIL_OPTIONS)).url)
            stack.callback(node.close)
            deployments.append(deploy(node, chain, OPENING_USD))
        links = join((deployments[0], deployments[1]))
        for here, there in (links, reversed(links)):
            write_deployment(directory, here, there)
        receiver = WebhookReceiver(credentials[RECEIVER_SECRET])
        stack.callback(receiver.close)
        wiring = Wiring(
            directory / "daemon", directory / "secrets", postgres.dsn, free_port(), free_port(), receiver.url
        )
        wiring.state.mkdir(mode=0o700, exist_ok=True)
        config = directory / "config.toml"
        config.write_text(render_config(wiring, links, max_span))
        daemon = DaemonChild(config, directory / "daemon.log", wiring.port, credentials[TOKEN_SECRET])
        stack.callback(daemon.kill)
        metrics = f"http://127.0.0.1:{wiring.metrics_port}/metrics"
        bridge = DevBridge((links[0].bridge, links[1].bridge), Faults())
        yield Stage(directory, postgres, links, bridge, receiver, daemon, config, metrics)


def _opening(player: Player) -> Opening:
    value = player.collateral * OPENING_USD // 10**18
    return Opening(
        depositor=player.addresses[player.home],
        collateral=player.collateral,
        borrower=player.addresses[player.away],
        credit=value * 8_000 // _BPS,
        debt=value * player.borrowed_bps // _BPS * USDC_UNIT // USD_SCALE,
    )


def _registration(player: Player) -> dict[str, object]:
    addresses = zip(CHAIN_IDS, player.addresses, strict=True)
    return {
        "id": player.id,
        "customer": player.customer,
        "name": f"{player.customer} treasury",
        "addresses": [{"chain_id": chain, "address": hex_of(address)} for chain, address in addresses],
    }


def _secrets(directory: Path) -> dict[str, str]:
    """Random secrets as files, made once a directory, so that the demonstration runs like production."""
    folder = directory / "secrets"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = {
        RECEIVER_SECRET: "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode(),
        TOKEN_SECRET: secrets.token_urlsafe(32),
    }
    for name, value in fresh.items():
        path = folder / name
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(value)
    return {name: (folder / name).read_text() for name in fresh}
