"""Operators who bring messages on: two of them, and a key of the daemon's own in a keystore file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from eth_account import Account
from eth_utils.crypto import keccak

from fusion_daemon.demo.accounts import Player
from fusion_daemon.demo.child import DaemonChild
from fusion_daemon.demo.links import Link
from fusion_daemon.demo.node import Node
from fusion_daemon.demo.stage import CHAIN_IDS, Stage
from fusion_daemon.domain.identifiers import Address, hex_of
from tests.looking import until

KEY = keccak(text="fusion prime recovery key")
SIGNER = Address(bytes.fromhex(Account.from_key(KEY).address[2:]))
PASSPHRASE = "horse battery staple"
TO_FINALITY = 66
"""Blocks: anvil calls a block final that is two epochs of 32 slots old."""


@dataclass(slots=True)
class Desk:
    """`ada` proposes and `bob` approves, over HTTP, whichever daemon runs."""

    stage: Stage
    ada: DaemonChild
    bob: DaemonChild

    def states(self, message: str) -> list[str]:
        """All that it was told to be in, the first one first. What several blocks bring at once is told once."""
        return [str(change["after"]) for change in self._standing(message)["changes"]]

    def events(self, message: str) -> list[str]:
        """What the chains showed of it, oldest first."""
        return [str(event["event"]) for event in self._standing(message)["timeline"]]

    def _standing(self, message: str) -> Mapping[str, list[dict[str, object]]]:
        status, found = self.ada.get(f"/v1/messages/{message}")
        assert status == 200
        assert isinstance(found, dict)
        return found

    def message(self, player: Player, state: str) -> str:
        """The id of the player's message, once it is in this state."""
        mine = hex_of(player.addresses[player.away])
        found: list[str] = []

        def look() -> bool:
            status, page = self.ada.get(f"/v1/messages?state={state}")
            assert status == 200
            assert isinstance(page, dict)
            found[:] = [row["id"] for row in page["messages"] if row["account"] == mine]
            return bool(found)

        until(look, f"a message of {player.id} is {state}", patience=60.0)
        return found[0]

    def retry(self, message: str) -> str:
        status, answer = self.ada.post(f"/v1/messages/{message}/retry", {"signer": hex_of(SIGNER)})
        assert status == 202, answer
        assert isinstance(answer, dict)
        return str(answer["transaction"])

    def approve(self, transaction: str) -> None:
        path = f"/v1/transactions/{transaction}/approve"
        status, answer = self.ada.post(path, {})
        assert status == 409
        assert isinstance(answer, dict)
        assert "proposed" in str(answer["detail"]) or "proposed" in str(answer["title"])
        status, answer = self.bob.post(path, {})
        assert status == 200, answer

    def detail(self, transaction: str) -> dict[str, object]:
        status, found = self.ada.get(f"/v1/transactions/{transaction}")
        assert status == 200
        assert isinstance(found, dict)
        return found

    def kinds(self, transaction: str) -> list[str]:
        return [str(step["kind"]) for step in self._steps(transaction)]

    def signed(self, transaction: str) -> list[str]:
        """The hashes of all raw bytes that there ever were."""
        return [str(step["hash"]) for step in self._steps(transaction) if step["void"] is not None]

    def _steps(self, transaction: str) -> list[dict[str, object]]:
        steps = self.detail(transaction)["steps"]
        assert isinstance(steps, list)
        return steps

    def until(self, transaction: str, state: str) -> None:
        def look() -> bool:
            found = self.detail(transaction)["transaction"]
            assert isinstance(found, dict)
            return str(found["state"]) == state

        until(look, f"{transaction} is {state}", patience=60.0)


def open_desk(stage: Stage) -> Desk:
    """Before the daemon starts."""
    secrets = stage.directory / "secrets"
    keystore = Account.encrypt(KEY, PASSPHRASE, kdf="pbkdf2", iterations=1_000)
    tokens = {name: f"{name}-token-that-nobody-could-guess" for name in ("ada", "bob")}
    for name, text in {"keystore": json.dumps(keystore), "passphrase": PASSPHRASE, **tokens}.items():
        path = secrets / name
        path.touch(mode=0o600)
        path.write_text(text)
    calls = [text for link in stage.links for text in _calls(link)]
    people = [f'[[http.principals]]\nname = "{name}"\nrole = "operator"\ntoken = "{name}"\n' for name in tokens]
    stage.config.write_text("\n".join([stage.config.read_text(), *people, _SIGNER, *calls]))
    for link in stage.links:
        link.deployment.node.call("anvil_setBalance", hex_of(SIGNER), hex(10**18))
    port = urlsplit(stage.daemon.url).port
    assert port is not None
    ada, bob = (DaemonChild(stage.config, stage.directory / "no.log", port, token) for token in tokens.values())
    return Desk(stage, ada, bob)


_SIGNER = f"""
[[signers]]
name = "recovery"
address = "{hex_of(SIGNER)}"
chains = [{CHAIN_IDS[0]}, {CHAIN_IDS[1]}]
keystore = "keystore"
passphrase = "passphrase"
gas_wei_a_day = "{10**18}"

[transactions]
poll_seconds = 0.1
"""


def _calls(link: Link) -> list[str]:
    chain = link.deployment.chain_id
    allowed = [(link.router, "retry(bytes)"), (link.axelar, "execute(bytes32,string,string,bytes)")]
    return [
        f'[[transactions.calls]]\nchain = {chain}\nto = "{hex_of(to)}"\n'
        f'selector = "{hex_of(keccak(text=signature)[:4])}"\npurposes = ["bridge.retry"]\napproval = true\n'
        for to, signature in allowed
    ]


def nonce(node: Node) -> int:
    """How many transactions of the signer a chain has."""
    return int(str(node.call("eth_getTransactionCount", hex_of(SIGNER), "latest")), 16)
