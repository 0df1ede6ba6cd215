"""Rule: a message that does not get on is brought on by the daemon's own transaction, once, after two people's word.

    ada: retry ──▶ proposed ──  bob: approve  ──▶ signed ──▶ sent ──▶ mined ──▶ final
                                                    │ kill -9  ▲  │ reorg ▲
                                                    ╰──────────╯  ╰───────╯   the same bytes, the same nonce
"""

from __future__ import annotations

from fusion_daemon.demo.accounts import Player, players
from fusion_daemon.demo.deploy import DESK
from fusion_daemon.demo.links import AXELAR
from fusion_daemon.demo.node import Node, Sent, call_data
from fusion_daemon.demo.stage import Stage
from tests.e2e.recovery_desk import KEY, PASSPHRASE, TO_FINALITY, Desk, nonce, open_desk
from tests.e2e.witness import await_caught_up
from tests.looking import until

RECEIVING = 2


def credit(stage: Stage, player: Player) -> int:
    vault = stage.deployments[player.away].vault
    [found] = away(stage, player).view(vault, "creditLineOf(address)", ["uint256"], player.addresses[player.away])
    assert isinstance(found, int)
    return found


def away(stage: Stage, player: Player) -> Node:
    return stage.deployments[player.away].node


def pooled(node: Node) -> list[str]:
    block = node.call("eth_getBlockByNumber", "pending", False)
    assert isinstance(block, dict)
    return [str(each) for each in block["transactions"]]


def gate(stage: Stage, player: Player, verb: str) -> None:
    """The way into the player's other chain over Axelar: `pause` or `unpause`."""
    link = stage.links[player.away]
    away(stage, player).send(Sent(DESK, link.router, call_data(f"{verb}(bytes32,uint8)", AXELAR, RECEIVING)))


def recover(desk: Desk, player: Player, message: str) -> None:
    """Through a kill between approval and block, and through a reorg."""
    stage, node = desk.stage, away(desk.stage, player)
    before = nonce(node)
    transaction = desk.retry(message)
    assert desk.retry(message) == transaction
    node.call("evm_setAutomine", False)
    await_caught_up(stage)
    assert (desk.kinds(transaction), credit(stage, player)) == (["proposed"], 0), "nobody has approved it"
    desk.approve(transaction)
    desk.until(transaction, "sent")
    stage.daemon.kill()
    stage.daemon.start()
    until(lambda: pooled(node) == desk.signed(transaction), "it waits in the pool, alone")
    node.call("anvil_mine", "0x1")
    desk.until(transaction, "mined")
    node.call("anvil_reorg", 1, [])
    until(lambda: "reorged" in desk.kinds(transaction), "the reorg is seen")
    until(lambda: pooled(node) == desk.signed(transaction), "the same bytes are in the pool again")
    node.call("anvil_mine", hex(TO_FINALITY))
    desk.until(transaction, "final")
    node.call("evm_setAutomine", True)
    assert len(desk.signed(transaction)) == 1
    assert nonce(node) == before + 1


def test_what_failed_is_brought_on_once(stage: Stage) -> None:
    stored, starved = cast = players(2)
    desk = open_desk(stage)
    stage.daemon.start()
    stage.register(cast)
    stage.deposit(cast)
    gate(stage, stored, "pause")
    stage.lock([stored])
    stage.carry()
    gate(stage, stored, "unpause")
    stage.bridge.faults.starve = 1.0
    stage.lock([starved])
    stage.carry()

    first, second = desk.message(stored, "app_failed"), desk.message(starved, "approved")
    assert [credit(stage, player) for player in cast] == [0, 0]
    recover(desk, stored, first)
    recover(desk, starved, second)

    until(lambda: desk.states(first)[-1] == "executed_final", "the stored one is applied for good")
    until(lambda: desk.states(second)[-1] == "executed_final", "the approved one is applied for good")
    assert "app_failed" in desk.states(first)
    assert desk.events(first).count("Recovered") == 1
    assert all(credit(stage, player) > 0 for player in cast)
    assert stage.daemon.stop() == 0
    log = (stage.directory / "daemon.log").read_text()
    assert KEY.hex() not in log
    assert PASSPHRASE not in log
