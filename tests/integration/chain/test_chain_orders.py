"""Operators' orders about a chain's history: replays, redecodes and skips, as its listener obeys them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from threading import Barrier, BrokenBarrierError

import pytest
import trio

from fusion_daemon.chain.coverage import Range
from fusion_daemon.chain.events import EventTable
from fusion_daemon.chain.orders import Kind, Order, Tally
from fusion_daemon.chain.repository_orders import add_order, add_skip, load_order, load_skips
from fusion_daemon.domain.journal import REPAIR_VERSION, Op
from tests.faults.fake_node import FakeNode, Json
from tests.faults.rpc_faults import RpcFaults
from tests.faults.rpc_proxy import RpcProxy, proxied
from tests.integration.chain.listening import CHAIN, PATIENCE, TABLE, Listening, fold, folded_positions
from tests.integration.chain.provider_history import DENSEST, SPARSE, History, check, watching, written
from tests.unit.chain.vault_logs import ALICE, BOB, WETH, credit_set, deposited, garbled

LOOK_SECONDS = 0.02
MOST_LIVES = 200
NO_WAY = RpcFaults(rule="infura_results", most_logs=10, dense_by_hash=True, no_block_receipts=True, no_receipts=True)
"""No way gives the logs of a block that has more than ten."""
DEPOSIT, LINE = deposited(ALICE, WETH, 1).topics[0], credit_set(ALICE, 1).topics[0]


@pytest.fixture
def history() -> Iterator[History]:
    with written() as made:
        yield made


@pytest.fixture
def proxy(history: History) -> Iterator[RpcProxy]:
    with proxied(history.url, seed=1) as served:
        yield served


async def ordered(
    listening: Listening, kind: Kind, first: int | None = None, last: int | None = None, *, dry_run: bool = False
) -> Order:
    return await listening.store.transact(add_order, CHAIN, kind, first, last, dry_run, "ops")


async def ended(listening: Listening, order: Order) -> Order:
    with trio.fail_after(PATIENCE):
        while order.ended_at is None:
            await trio.sleep(LOOK_SECONDS)
            order = await now(listening, order)
    return order


async def now(listening: Listening, order: Order) -> Order:
    found = await listening.store.read(load_order, CHAIN, order.number)
    assert found is not None
    return found


async def obeyed(
    listening: Listening, kind: Kind, first: int | None = None, last: int | None = None, *, dry_run: bool = False
) -> Tally:
    """What came of an order, which a listener that lives obeys."""
    order = await ended(listening, await ordered(listening, kind, first, last, dry_run=dry_run))
    assert (order.state, order.trouble) == ("done", None)
    return order.tally


async def lose(listening: Listening, block: int, index: int = 0) -> None:
    """The store loses a deposit, and what it changed."""
    await listening.alter(
        "UPDATE positions SET amount = 0 WHERE owner = (SELECT substring(topics[2] FROM 13) FROM chain_logs"
        f" WHERE (block_number, log_index) = ({block}, {index}))"
    )
    await listening.alter(f"DELETE FROM chain_logs WHERE (block_number, log_index) = ({block}, {index})")


async def everything(listening: Listening) -> list[str]:
    """All rows that a repair may touch."""
    rows: list[str] = []
    for table in ("chain_logs", "chain_journal", "positions", "chain_registers", "chain_coverage", "chain_skips"):
        rows += [row.text("row") for row in await listening.rows(f"SELECT t::text AS row FROM {table} AS t ORDER BY 1")]
    return rows


async def check_positions(listening: Listening) -> None:
    """What is stored is what a consumer folds, of what is read back."""
    entries = await listening.entries()
    assert fold(entries)
    assert await listening.positions() == folded_positions(entries)


async def test_a_replay_finds_what_is_missing_and_stores_it(
    listening: Listening, history: History, proxy: RpcProxy
) -> None:
    """Two logs of a block of three, and one of another, are lost after their audit."""
    first, second = (history.rows()[place * SPARSE][0] for place in (2, 5))
    async with listening.live(proxy.url, settings=watching(history)) as life:
        await life.until_tip(history.tip())
        await listening.until_audited(second + 1)
        for block, index in ((first, 0), (first, 2), (second, 1)):
            await lose(listening, block, index)
        before = await everything(listening)
        looked = await obeyed(listening, Kind.REPLAY, first, second, dry_run=True)
        blocks = second - first + 1
        stored = blocks * SPARSE - 3
        assert looked == Tally(blocks=blocks, logs=stored, missing=3)
        assert await everything(listening) == before
        told = await obeyed(listening, Kind.REPLAY, first, second)
        assert told == replace_tally(looked, repaired=3)
        again = await obeyed(listening, Kind.REPLAY, first, second)
        assert again == Tally(blocks=blocks, logs=stored + 3)
    await check(listening, history)
    repair = [entry for entry in listening.published if entry.filter_version == REPAIR_VERSION]
    assert [(entry.block.number, len(entry.changes), entry.settles) for entry in repair[:2]] == [
        (first, 2, False),
        (second, 1, False),
    ]
    assert (repair[-1].settles, repair[-1].block.hash) == (True, history.tip())
    await check_positions(listening)


def replace_tally(tally: Tally, repaired: int) -> Tally:
    return tally.plus(Tally(repaired=repaired))


async def test_a_replay_tells_what_differs_and_leaves_it(listening: Listening, history: History) -> None:
    block = history.rows()[0][0]
    place = f"block_number = {block}"
    async with listening.live(history.url, settings=watching(history)) as life:
        await life.until_tip(history.tip())
        await listening.until_audited(block)
        await listening.alter(f"UPDATE chain_logs SET data = data || '\\x00' WHERE {place} AND log_index = 1")
        told = await obeyed(listening, Kind.REPLAY, block, block)
        assert (told.differing, told.missing, told.repaired) == (1, 0, 0)
        assert "(so far 1)" in await life.until_health("DEGRADED")
        await listening.alter(f"UPDATE chain_logs SET data = substring(data FOR 96) WHERE {place}")
        assert (await obeyed(listening, Kind.REPLAY, block, block)).differing == 0
        await life.until_health("OK")
    await check(listening, history)


@pytest.mark.parametrize("seed", range(2))
async def test_killed_at_any_point_an_order_goes_on(listening: Listening, node: FakeNode, seed: int) -> None:
    """Three hundred blocks of a deposit each, of which twenty are lost; every life ends after some answers that it
    compares with: about twenty-five make a piece."""
    dice = random.Random(seed)
    for number in range(300):
        node.mine(deposited(number.to_bytes(20, "big"), WETH, 5))
    async with listening.live(node.url) as life:
        await life.until_tip(node.head.hash)
        await listening.until_audited(236)
    for block in dice.sample(range(1, 237), 20):
        await lose(listening, block)
    asked = 0

    def hear(calls: Sequence[Json]) -> None:
        nonlocal asked
        asked += any(call["method"] == "eth_getBlockReceipts" for call in calls)

    node.before_answer = hear
    order = await ordered(listening, Kind.REPLAY, 1, 236)
    lives = 0
    while order.ended_at is None and lives < MOST_LIVES:
        lives += 1
        enough = asked + dice.randrange(2, 20 if lives == 1 else 60)
        async with listening.live(node.url):
            with trio.fail_after(PATIENCE):
                while asked < enough and order.ended_at is None:
                    await trio.sleep(LOOK_SECONDS)
                    order = await now(listening, order)
    node.before_answer = None
    assert lives > 1
    assert order.state == "done"
    assert order.tally == Tally(blocks=236, logs=216, missing=20, repaired=20)
    assert len(await listening.positions()) == 300
    await check_positions(listening)


async def test_what_the_audit_and_a_replay_find_at_once_is_stored_once(listening: Listening, node: FakeNode) -> None:
    """``0 <- 1 <- … <- 80``, of which 3, lost by the store, is compared by both when the second life begins: each
    answer for one waits for that for the other."""
    for _ in range(80):
        node.mine(deposited(ALICE, WETH, 5))
    async with listening.live(node.url) as life:
        await life.until_tip(node.head.hash)
        await listening.until_audited(16)
    await lose(listening, 3)
    await listening.alter("DELETE FROM chain_audits")
    order = await ordered(listening, Kind.REPLAY, 0, 16)
    both = Barrier(2)

    def hold(calls: Sequence[Json]) -> None:
        if any(call["method"] == "eth_getBlockReceipts" for call in calls):
            with suppress(BrokenBarrierError):  # the second look of one of them is its own
                both.wait(1.0)

    node.before_answer = hold
    async with listening.live(node.url) as life:
        await listening.until_audited(16)
        order = await ended(listening, order)
        assert order.tally.repaired + life.listener.statistics().audit.repaired == 1
    stored = await listening.rows("SELECT block_number FROM chain_logs ORDER BY 1")
    assert [row.integer("block_number") for row in stored] == list(range(1, 81))


async def test_an_order_that_does_not_get_on_fails_and_the_next_is_obeyed(
    listening: Listening, history: History, proxy: RpcProxy
) -> None:
    dense = history.rows()[SPARSE * 10][0]
    async with listening.live(proxy.url, settings=watching(history)) as life:
        await life.until_tip(history.tip())
        await listening.until_audited(dense)
        await lose(listening, dense)
        proxy.faults = replace(NO_WAY, dense_by_hash=False)
        order = await ended(listening, await ordered(listening, Kind.REPLAY, dense, dense))
        assert order.state == "failed"
        assert order.trouble is not None
        assert "eth_getBlockReceipts does not exist" not in order.trouble
        proxy.faults = RpcFaults()
        assert (await obeyed(listening, Kind.REPLAY, dense, dense)).repaired == 1
    await check(listening, history)


def without(*topics: bytes) -> EventTable:
    """Our table, of contracts that lack these events."""
    decoders = {key: decoder for key, decoder in TABLE.decoders.items() if key[0] not in topics}
    return EventTable(decoders, {key: each for key, each in TABLE.translations.items() if key[0] not in topics})


def otherwise() -> EventTable:
    """Our table, of contracts that declare a deposit's token as not indexed: nothing of it decodes."""
    deposit = next(key for key in TABLE.decoders if key[0] == DEPOSIT)
    transfer = next(key for key, each in TABLE.decoders.items() if each.name == "CollateralTransferred")
    odd = replace(TABLE.decoders[transfer], name="CollateralDeposited")
    translations = {key: each for key, each in TABLE.translations.items() if key[0] != DEPOSIT}
    return EventTable({**TABLE.decoders, deposit: odd}, translations)


@pytest.mark.parametrize("table", [without(DEPOSIT, LINE), otherwise()], ids=["unknown", "declared otherwise"])
async def test_what_decodes_by_now_is_decoded_by_order(
    listening: Listening, node: FakeNode, table: EventTable
) -> None:
    """``1(deposit 5, deposit 7, a garbled one) <- 2 <- 3(line 9) <- … <- 70``, read with a table that lacks events."""
    node.mine(deposited(ALICE, WETH, 5), deposited(BOB, WETH, 7), garbled())
    node.mine()
    node.mine(credit_set(ALICE, 9), deposited(ALICE, WETH, 11))
    for _ in range(67):
        node.mine()
    async with listening.live(node.url, table=table) as life:
        await life.until_tip(node.head.hash)
    before = await everything(listening)
    undecoded = len(await listening.rows("SELECT 1 FROM chain_logs WHERE args IS NULL"))
    assert await listening.positions() == {}
    read = tuple(await listening.entries())
    assert read == tuple(listening.published), "whatever the table knows by now"
    async with listening.live(node.url) as life:
        node.mine()
        await life.until_tip(node.head.hash)
        looked = await obeyed(listening, Kind.REDECODE, dry_run=True)
        decodable = undecoded - 1
        assert looked == Tally(blocks=8, logs=undecoded, decodable=decodable)
        assert (await listening.positions(), len(await listening.entries())) == ({}, len(read) + 1)
        assert await obeyed(listening, Kind.REDECODE) == replace_tally(looked, repaired=decodable)
        assert await obeyed(listening, Kind.REDECODE) == Tally(blocks=8, logs=1)
    assert before != await everything(listening)
    assert await listening.entries() == tuple(listening.published)
    await check_positions(listening)
    assert sorted((await listening.positions()).values()) == [7, 16]
    named = await listening.rows(
        "SELECT name, args->>'amount' AS amount FROM chain_logs WHERE args IS NOT NULL ORDER BY block_number, log_index"
    )
    assert [(row.text("name"), row.optional_text("amount")) for row in named] == [
        ("CollateralDeposited", "5"),
        ("CollateralDeposited", "7"),
        ("CreditLineSet", None),
        ("CollateralDeposited", "11"),
    ]
    registers = await listening.rows("SELECT block_number, credit_limit FROM chain_registers")
    assert [(row.integer("block_number"), row.integer("credit_limit")) for row in registers] == [(3, 9)]
    assert all(entry.op is Op.APPLY for entry in listening.published)


async def test_a_skip_lets_the_chain_go_on_and_a_replay_makes_it_good(
    listening: Listening, history: History, proxy: RpcProxy
) -> None:
    """``… <- dense <- …``: no way gives the logs of the dense block, until the provider is better."""
    proxy.faults = NO_WAY
    settings = watching(history)
    dense = history.rows()[SPARSE * 10][0]
    async with listening.live(proxy.url, settings=settings) as life:
        assert f"the single block {dense}" in await life.until_health("UNHEALTHY")
        await listening.store.transact(add_skip, CHAIN, Range(dense, dense), "too dense for our provider", "ops")
        await life.until_tip(history.tip())
        assert f"blocks {dense}-{dense} were skipped" in await life.until_health("DEGRADED")
        assert life.listener.statistics().skipped == 1
        assert life.listener.statistics().missing == 0
        tip = len(history.hashes()) - 1
        assert await listening.covered() == {1: (Range(0, dense - 1), Range(dense + 1, tip))}
        assert not await listening.rows(f"SELECT 1 FROM chain_logs WHERE block_number = {dense}")
    proxy.faults = RpcFaults()
    async with listening.live(proxy.url, settings=settings) as life:
        assert "were skipped" in await life.until_health("DEGRADED"), "also in the next life"
        await listening.until_audited(dense + 1)
        assert life.listener.statistics().audit.mismatches == 0, "what was skipped was not withheld"
        looked = await obeyed(listening, Kind.REPLAY, dense - 1, dense + 1, dry_run=True)
        assert looked == Tally(blocks=3, logs=2 * SPARSE, missing=DENSEST)
        assert life.listener.statistics().skipped == 1
        told = await obeyed(listening, Kind.REPLAY, dense - 1, dense + 1)
        assert told == looked.plus(Tally(repaired=DENSEST, made_good=1))
        await life.until_health("OK")
        assert life.listener.statistics().skipped == 0
        assert await listening.covered() == {1: (Range(0, tip),)}
        [skip] = await listening.store.read(load_skips, CHAIN)
        assert skip.in_force_at is not None
        assert skip.made_good_at is not None
    await check(listening, history)
    assert await listening.entries() == tuple(listening.published)
    await check_positions(listening)


async def test_a_skipped_block_is_read_from_its_receipts_whatever_endpoints_say_of_it(
    listening: Listening, history: History, proxy: RpcProxy
) -> None:
    """Both endpoints give no logs by range by now, without a word: an empty block would not be told from this one."""
    proxy.faults = NO_WAY
    dense = history.rows()[SPARSE * 10][0]
    async with listening.live(proxy.url, settings=watching(history)) as life:
        await life.until_health("UNHEALTHY")
        await listening.store.transact(add_skip, CHAIN, Range(dense, dense), "too dense", "ops")
        await life.until_tip(history.tip())
    proxy.faults = RpcFaults(truncated=0)
    with proxied(history.url) as other:
        other.faults = RpcFaults(truncated=0)
        async with listening.live(proxy.url, other.url, settings=watching(history)) as life:
            await life.until_health("DEGRADED")
            told = await obeyed(listening, Kind.REPLAY, dense, dense)
            assert told == Tally(blocks=1, missing=DENSEST, repaired=DENSEST, made_good=1)
    await check(listening, history)
