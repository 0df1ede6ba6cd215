"""Rule: whatever branch a chain takes, the folded journal equals the chain, nobody is called twice for one
cause, and who was told of a lost branch is told that it is lost. Reorgs are seen over HTTP polling only.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from fusion_daemon.demo.accounts import Player, players
from fusion_daemon.demo.deploy import USDC_UNIT
from fusion_daemon.demo.node import Sent, call_data, transaction_request
from fusion_daemon.demo.stage import OPENING_USD, Stage
from fusion_daemon.domain.identifiers import hex_of
from fusion_daemon.domain.price import USD_SCALE
from tests.e2e.witness import (
    await_caught_up,
    book_positions,
    chain_blocks,
    chain_logs,
    folded_journal,
    heads_stored,
    read_books,
    stored_logs,
    stored_positions,
)
from tests.faults.fake_node import FakeBlock, FakeNode, serve
from tests.looking import until
from tests.unit.chain.vault_logs import ALICE, USDC, VAULT, WETH, asset_configured, borrowed, deposited, index_updated

RAY = 10**27
SECOND = 1
"""The chain that is reorganised: the second one; prices come from the first."""


def test_transactions_come_back_in_another_order(stage: Stage) -> None:
    """``n <- a <- b <- c <- d <- e`` becomes ``n <- e' <- d' <- . <- (b', c') <- a'`` while everything runs."""
    borrowers = _five_margin_calls(stage)
    _shuffle(stage, borrowers)
    await_caught_up(stage)
    _assert_equal_to_the_chains(stage)
    _assert_opened_once_and_never_corrected(stage, borrowers)


def test_the_chain_changes_while_the_daemon_is_down(stage: Stage) -> None:
    borrowers = _five_margin_calls(stage)
    stage.daemon.kill()
    _shuffle(stage, borrowers)
    stage.daemon.start()
    await_caught_up(stage)
    _assert_equal_to_the_chains(stage)
    _assert_opened_once_and_never_corrected(stage, borrowers)


def test_the_chain_changes_while_a_consumer_is_held(stage: Stage) -> None:
    borrowers = _five_margin_calls(stage)
    assert stage.daemon.post("/v1/actors/risk_calculator/pause", {})[0] == 200
    _shuffle(stage, borrowers)
    until(lambda: heads_stored(stage), "the new branch is stored")
    assert stage.daemon.post("/v1/actors/risk_calculator/resume", {})[0] == 200
    await_caught_up(stage)
    _assert_equal_to_the_chains(stage)
    _assert_opened_once_and_never_corrected(stage, borrowers)


def test_a_call_is_lost_while_the_daemon_is_down(stage: Stage) -> None:
    """As before, but the first borrower's transaction does not come back: who was called is told, nobody else."""
    lost, *others = _five_margin_calls(stage)
    stage.daemon.kill()
    _shuffle(stage, others)
    stage.daemon.start()
    await_caught_up(stage)
    _assert_equal_to_the_chains(stage)
    assert _told(stage, lost.id) == ["margin.opened", "margin.corrected"]
    _assert_opened_once_and_never_corrected(stage, others)


def test_a_held_consumer_hears_of_every_branch(stage: Stage) -> None:
    """While it is held the chain goes A -> B (without the first call) -> C (with it, without the second)."""
    first, second, *others = _five_margin_calls(stage)
    assert stage.daemon.post("/v1/actors/risk_calculator/pause", {})[0] == 200
    _shuffle(stage, [second, *others])
    until(lambda: heads_stored(stage), "B is stored")
    _shuffle(stage, [first, *others])
    until(lambda: heads_stored(stage), "C is stored")
    _assert_opened_once_and_never_corrected(stage, [first, second, *others])
    assert stage.daemon.post("/v1/actors/risk_calculator/resume", {})[0] == 200
    await_caught_up(stage)
    _assert_equal_to_the_chains(stage)
    assert _told(stage, first.id) == ["margin.opened", "margin.corrected", "margin.reinstated"]
    assert _told(stage, second.id) == ["margin.opened", "margin.corrected"]
    _assert_opened_once_and_never_corrected(stage, others)


def test_a_margin_call_is_corrected_and_reinstated(stage: Stage) -> None:
    """``n <- a(borrow)`` becomes ``n <- a'`` and grows to ``n <- a' <- b'(borrow)``: one episode, three steps."""
    _cast(stage)
    player = stage.players[0]
    node = stage.deployments[SECOND].node
    node.send(_draw(stage, player))
    await_caught_up(stage)
    assert _told(stage, player.id) == ["margin.opened"]
    node.call("anvil_reorg", 1, [])
    await_caught_up(stage)
    assert _told(stage, player.id) == ["margin.opened", "margin.corrected"]
    node.send(_draw(stage, player))
    await_caught_up(stage)
    assert _told(stage, player.id) == ["margin.opened", "margin.corrected", "margin.reinstated"]
    assert {arrival["episode"] for arrival in _bodies(stage, player.id)} == {1}
    _assert_equal_to_the_chains(stage)


@pytest.mark.parametrize("down", [False, True], ids=["while it runs", "behind its back"])
def test_a_branch_that_comes_back(stage: Stage, down: bool) -> None:
    """A -> B -> A, on the project's own node: ``1 <- 2(borrow)``, then ``1 <- 2'``, then ``1 <- 2(borrow) <- 3``.
    With `down` the daemon is killed on B: its next life knows A's blocks from the store alone."""
    # Of today: older than its prices, the chain would be history to the calculator.
    fake = FakeNode(chain_id=stage.deployments[SECOND].chain_id, genesis_time=int(time.time()) - 60)
    with serve(fake):
        _watch(stage, fake.url)
        fake.mine(
            asset_configured(WETH, 18, 8_000, 8_250),
            asset_configured(USDC, 6, 0, 0),
            index_updated(USDC, RAY, 0, 1_700_000_000),
            deposited(ALICE, WETH, 10 * 10**18),
            borrowed(ALICE, USDC, 10_000 * USDC_UNIT),
        )
        stage.daemon.start()
        account = {"chain_id": fake.chain_id, "address": hex_of(ALICE)}
        body = {"id": "alice", "customer": "Alice", "name": "Alice", "addresses": [account]}
        assert stage.daemon.post("/v1/accounts", body)[0] < 300
        until(lambda: _health(stage, "alice") is not None, "Alice is margined")
        parent = fake.head
        branch_a = fake.mine(borrowed(ALICE, USDC, 5_800 * USDC_UNIT))
        until(lambda: _told(stage, "alice") == ["margin.opened"], "the call")
        fake.switch(parent)
        branch_b = fake.mine()
        until(lambda: _told(stage, "alice")[1:] == ["margin.corrected"], "the correction")
        assert branch_a.number == branch_b.number
        if down:
            stage.daemon.kill()
        fake.switch(branch_a)
        if down:
            stage.daemon.start()
        until(lambda: _told(stage, "alice")[2:] == ["margin.reinstated"], "the call again")
        tip = fake.mine()
        until(lambda: _folded(stage, fake)[-1:] == [_hash(tip)], "the tip is folded")
        assert _folded(stage, fake) == [_hash(block) for block in fake.canonical()]
        owed = [row[4] for row in stored_positions(stage) if row[1] == hex_of(ALICE) and row[3] == "debt"]
        assert owed == [15_800 * USDC_UNIT]
        assert {arrival["episode"] for arrival in _bodies(stage, "alice")} == {1}
        assert stage.daemon.stop() == 0


def _cast(stage: Stage) -> None:
    """Ten healthy accounts, half of which borrow on the second chain; the daemon knows them."""
    stage.daemon.start()
    cast = [player for player in players(60) if player.borrowed_bps < 4_600][:10]
    stage.register(cast)
    stage.deposit(cast)
    await_caught_up(stage)
    stage.borrow(cast)
    await_caught_up(stage)


def _five_margin_calls(stage: Stage) -> list[Player]:
    """Five accounts draw nearly all of their line on the second chain, a block each, and are called."""
    _cast(stage)
    borrowers = [player for player in stage.players if player.away == SECOND]
    assert len(borrowers) == 5
    for player in borrowers:
        stage.deployments[SECOND].node.send(_draw(stage, player))
    await_caught_up(stage)
    for player in borrowers:
        assert _told(stage, player.id) == ["margin.opened"]
    return borrowers


def _draw(stage: Stage, player: Player) -> Sent:
    """Up to 79 % of the collateral's value: a margin call by both measures."""
    away = stage.deployments[player.away]
    value = player.collateral * OPENING_USD // 10**18
    more = value * (7_900 - player.borrowed_bps) // 10_000 * USDC_UNIT // USD_SCALE
    borrower = player.addresses[player.away]
    return Sent(borrower, away.vault, call_data("borrow(address,uint256,address)", away.usdc, more, borrower))


def _shuffle(stage: Stage, borrowers: Sequence[Player]) -> None:
    """The last five blocks of the second chain are replaced; these borrowers' loans come back in other ones."""
    places = (4, 3, 3, 1, 0)
    again = [
        [transaction_request(_draw(stage, player)), place] for player, place in zip(borrowers, places, strict=False)
    ]
    before = chain_blocks(stage)[stage.deployments[SECOND].chain_id]
    with _listener_held(stage):
        stage.deployments[SECOND].node.call("anvil_reorg", 5, again)
    after = chain_blocks(stage)[stage.deployments[SECOND].chain_id]
    assert len(after) == len(before)
    assert after[:-5] == before[:-5]
    assert not set(after[-5:]) & set(before[-5:])


@contextmanager
def _listener_held(stage: Stage) -> Iterator[None]:
    """Real nodes switch to another branch at once. anvil shows every height on the way (seen: n - 5, n - 4 …), and a
    listener that looks in between would rightly correct a call whose transaction is not there yet."""
    if not stage.daemon.running:
        yield
        return
    name = f"chain_listener:{stage.deployments[SECOND].chain_id}"
    assert stage.daemon.post(f"/v1/actors/{name}/pause", {})[0] == 200
    until(lambda: _state(stage, name) == "paused", "the listener is held")
    yield
    assert stage.daemon.post(f"/v1/actors/{name}/resume", {})[0] == 200


def _state(stage: Stage, actor: str) -> object:
    _, answer = stage.daemon.get("/v1/actors")
    actors = answer["actors"] if isinstance(answer, dict) else []
    return next(each["state"] for each in actors if each["name"] == actor)


def _assert_equal_to_the_chains(stage: Stage) -> None:
    assert folded_journal(stage) == chain_blocks(stage)
    assert stored_logs(stage) == chain_logs(stage)
    assert stored_positions(stage) == book_positions(read_books(stage))


def _assert_opened_once_and_never_corrected(stage: Stage, borrowers: Sequence[Player]) -> None:
    """The same transactions in other blocks: nothing to tell anybody."""
    for player in borrowers:
        assert _told(stage, player.id) == ["margin.opened"]


def _told(stage: Stage, account: str) -> list[str]:
    """What the receiver was told of an account, once an id, by step."""
    return [str(body["type"]) for body in _bodies(stage, account)]


def _bodies(stage: Stage, account: str) -> list[dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    for arrival in stage.receiver.arrivals():
        data = arrival.body["data"]
        assert arrival.genuine
        if isinstance(data, dict) and data["account"] == account:
            found[arrival.webhook_id] = {"type": arrival.body["type"], **data}
    return sorted(found.values(), key=lambda body: int(str(body["step"])))


def _health(stage: Stage, account: str) -> object:
    status, report = stage.daemon.get(f"/v1/accounts/{account}/margin")
    figures = report.get("figures") if status == 200 and isinstance(report, dict) else None
    return figures.get("health_factor") if isinstance(figures, dict) else None


def _watch(stage: Stage, url: str) -> None:
    """Point the configuration's second chain to another node, with the vault and tokens of the fake chain."""
    second = stage.deployments[SECOND]
    text = stage.config.read_text()
    for before, after, often in (
        (second.node.url, url, 1),
        (hex_of(second.vault), hex_of(VAULT), 2),  # the vault, and where its locked collateral lies
        (hex_of(second.weth), hex_of(WETH), 1),
        (hex_of(second.usdc), hex_of(USDC), 1),
    ):
        head, mark, tail = text.partition(f"id = {second.chain_id}")
        assert tail.count(before) == often
        text = head + mark + tail.replace(before, after)
    stage.config.write_text(text)


def _folded(stage: Stage, fake: FakeNode) -> list[str]:
    return folded_journal(stage)[fake.chain_id]


def _hash(block: FakeBlock) -> str:
    return hex_of(block.hash)
