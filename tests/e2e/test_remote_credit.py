"""Rule: collateral counts once, wherever its value is: free, locked, on its way, lent against, or coming home.

    chain A   deposit ── lock ═══ GRANT ══▶ chain B   credit ── borrow ── repay ── release
              free    │  locked                                                       │
              ◀═══════╪═════════════════════ RELEASE ════════════════════════════════╯

The daemon is killed while a grant is on its way; what it tells after is what it would have told.
"""

from __future__ import annotations

from decimal import Decimal

from fusion_daemon.demo.accounts import Player, players
from fusion_daemon.demo.scenario import await_margin, await_messages
from fusion_daemon.demo.stage import CHAIN_IDS, Stage
from tests.e2e.witness import await_caught_up


def figure(stage: Stage, player: Player, name: str) -> Decimal:
    status, report = stage.daemon.get(f"/v1/accounts/{player.id}/margin")
    assert status == 200
    assert isinstance(report, dict)
    return Decimal(str(report["figures"][name]))


def collateral(stage: Stage, player: Player) -> dict[str, object]:
    status, answer = stage.daemon.get(f"/v1/collateral/{player.id}")
    assert status == 200
    assert isinstance(answer, dict)
    return answer


def at_home(answer: dict[str, object], player: Player) -> tuple[int, int]:
    """Free and locked."""
    chains = answer["chains"]
    assert isinstance(chains, list)
    [home] = [each for each in chains if each["chain"] == CHAIN_IDS[player.home]]
    assert home["height"] is not None
    assert home["finalized"] is not None
    [token] = home["tokens"]
    assert int(token["total"]) == int(token["free"]) + int(token["locked"])
    return int(token["free"]), int(token["locked"])


def on_the_way(answer: dict[str, object]) -> int:
    ways = answer["on_the_way"]
    assert isinstance(ways, list)
    return len(ways)


def test_collateral_counts_once_from_the_deposit_to_its_return(stage: Stage) -> None:
    cast = players(4)
    stage.daemon.start()
    stage.register(cast)
    stage.deposit(cast)
    await_margin(stage, cast, "collateral_usd")
    worth = {player.id: figure(stage, player, "collateral_usd") for player in cast}

    stage.lock(cast)
    await_caught_up(stage)
    for player in cast:
        assert figure(stage, player, "collateral_usd") == worth[player.id], "locking moves no value"
        told = collateral(stage, player)
        assert at_home(told, player) == (0, player.collateral)
        assert on_the_way(told) == 1

    stage.daemon.kill()
    stage.carry()
    stage.daemon.start()
    await_messages(stage, 4)
    for player in cast:
        assert figure(stage, player, "collateral_usd") == worth[player.id], "a grant that arrived adds none"
        assert on_the_way(collateral(stage, player)) == 0

    stage.draw(cast)
    await_margin(stage, cast, "health_factor")
    stage.repay(cast)
    stage.release(cast)
    await_caught_up(stage)
    for player in cast:
        assert figure(stage, player, "collateral_usd") == worth[player.id]
        told = collateral(stage, player)
        assert at_home(told, player) == (0, player.collateral), "it is locked until the release is home"
        assert on_the_way(told) == 1
    stage.carry()
    await_messages(stage, 8)
    await_caught_up(stage)
    for player in cast:
        assert figure(stage, player, "collateral_usd") == worth[player.id]
        assert figure(stage, player, "debt_usd") == 0
        assert at_home(collateral(stage, player), player) == (player.collateral, 0)

    status, page = stage.daemon.get("/v1/messages?limit=50")
    assert status == 200
    assert isinstance(page, dict)
    assert sorted((row["bridge"], row["kind"], row["state"]) for row in page["messages"]) == sorted(
        (bridge, kind, "executed_final") for bridge in ("axelar", "ccip") for kind in ("grant", "release") for _ in "12"
    )
    status, message = stage.daemon.get(f"/v1/messages/{page['messages'][0]['id']}")
    assert status == 200
    assert isinstance(message, dict)
    assert {row["chain"] for row in message["timeline"]} == set(CHAIN_IDS)
    assert stage.daemon.stop() == 0
