"""Endpoints that refuse, lie, limit, lag or hang: nothing wrong is stored, and the listener says what it
meets.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest
import trio
from eth_utils.crypto import keccak

from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.chain.validate import may_hold
from fusion_daemon.domain.journal import journal_stream
from fusion_daemon.store import Fenced, WriteConflict
from tests.faults.fake_node import FakeBlock, FakeNode, Json
from tests.integration.chain.listening import CHAIN, PATIENCE, Life, Listening, fold, folded_positions
from tests.unit.chain.chains import header
from tests.unit.chain.vault_logs import ALICE, BOB, STRANGER, VAULT, WETH, deposited, garbled, unknown

FINAL_BLOCKS = 40


def mine_history(node: FakeNode) -> bytes:
    """40 final blocks, every other one with two deposits, and a few that are not final."""
    node.finality = 3
    for number in range(1, FINAL_BLOCKS + 1):
        node.mine(*[deposited(ALICE, WETH, number), deposited(ALICE, WETH, 1)] * (number % 2))
    for _ in range(3):
        node.mine()
    return node.head.hash


async def check_chain(listening: Listening, node: FakeNode) -> None:
    entries = await listening.entries()
    assert fold(entries) == [block.hash for block in node.canonical()]
    assert await listening.positions() == folded_positions(entries)


async def check(listening: Listening, node: FakeNode) -> None:
    """Of a chain that was never reorganised."""
    await check_chain(listening, node)
    stored = await listening.rows("SELECT block_number, log_index FROM chain_logs ORDER BY 1, 2")
    expected = [(block.number, index) for block in node.canonical() for index in range(len(block.logs))]
    assert [(row.integer("block_number"), row.integer("log_index")) for row in stored] == expected


@pytest.mark.parametrize(
    ("longest", "densest", "refusal"),
    [
        (7, None, (-32602, "You can make eth_getLogs requests with up to a 7 block range.")),
        (10, None, (-32000, "block range is too wide")),
        (None, 5, (-32005, "query returned more than 5 results")),
        (None, 6, (-32008, "Log response size exceeded. Retry")),
    ],
)
async def test_ranges_shrink_to_what_the_provider_answers(
    listening: Listening,
    node: FakeNode,
    longest: int | None,
    densest: int | None,
    refusal: tuple[int, str],
) -> None:
    tip = mine_history(node)
    node.faults.longest_range, node.faults.densest_range, node.faults.refusal = longest, densest, refusal
    async with listening.live(node.url) as life:
        await life.until_tip(tip)
        assert life.listener.statistics().splits
        assert life.listener.statistics().faults == 0
    await check(listening, node)


async def test_one_block_over_the_limit_is_asked_by_hash(listening: Listening, node: FakeNode) -> None:
    tip = mine_history(node)
    node.faults.densest_range = 1
    async with listening.live(node.url) as life:
        await life.until_tip(tip)
    await check(listening, node)


@pytest.mark.parametrize("no_bloom", [False, True])
async def test_truncated_range_is_asked_again_by_hash(listening: Listening, node: FakeNode, no_bloom: bool) -> None:
    tip = mine_history(node)
    node.faults.logs_per_range, node.faults.no_bloom = 9, no_bloom
    async with listening.live(node.url) as life:
        await life.until_tip(tip)
        assert life.listener.statistics().repaired > 0
    await check(listening, node)


async def test_an_empty_range_is_not_believed(listening: Listening, node: FakeNode) -> None:
    tip = mine_history(node)
    node.faults.empty_ranges = True
    async with listening.live(node.url) as life:
        await life.until_tip(tip)
    await check(listening, node)


@pytest.mark.parametrize("no_block_receipts", [False, True])
async def test_logs_that_a_young_block_announces_are_taken_from_its_receipts(
    listening: Listening, node: FakeNode, no_block_receipts: bool
) -> None:
    """The node has the header, and finds no log of it by hash: the bloom filter says otherwise."""
    node.final_number = 0
    node.mine(deposited(ALICE, WETH, 5), unknown(), deposited(BOB, WETH, 1, vault=STRANGER))
    tip = node.mine(deposited(ALICE, WETH, 6))
    node.faults.unindexed, node.faults.no_block_receipts = 2, no_block_receipts
    async with listening.live(node.url) as life:
        await life.until_tip(tip.hash)
        assert life.listener.statistics().repaired == 2
    await check_chain(listening, node)
    stored = await listening.rows("SELECT block_number, log_index FROM chain_logs ORDER BY 1, 2")
    assert [(row.integer("block_number"), row.integer("log_index")) for row in stored] == [(1, 0), (1, 1), (2, 0)]


@pytest.mark.parametrize("no_block_receipts", [False, True])
async def test_a_young_block_without_its_receipts_is_not_stored(
    listening: Listening, node: FakeNode, no_block_receipts: bool
) -> None:
    node.final_number = 0
    tip = node.mine(deposited(ALICE, WETH, 5))
    node.faults.unindexed = node.faults.without_receipts = 1
    node.faults.no_block_receipts = no_block_receipts
    async with listening.live(node.url) as life:
        assert "does not have all receipts of block 1" in await life.until_health("DEGRADED")
        assert await listening.entries() == ()
        node.faults.unindexed = node.faults.without_receipts = 0
        await life.until_tip(tip.hash)
    await check(listening, node)


async def test_a_crowded_bloom_does_not_stop_the_chain(listening: Listening, node: FakeNode) -> None:
    """A block so full of other contracts' logs that its bloom filter seems to hold ours."""
    node.final_number = 0
    crowd = [
        deposited(number.to_bytes(20, "big"), keccak(b"%d" % number)[:20], 1, vault=STRANGER)
        for number in range(1_000)
    ]
    tip = node.mine(*crowd)
    assert may_hold(header(tip), (VAULT,))
    async with listening.live(node.url) as life:
        await life.until_tip(tip.hash)
        assert life.listener.statistics().faults == 0
    await check_chain(listening, node)


async def test_a_chain_without_tags_counts_blocks(listening: Listening, node: FakeNode) -> None:
    tip = mine_history(node)
    node.faults.no_tags = True
    async with listening.live(node.url, settings=listening.settings(finality_depth=10)) as life:
        await life.until_tip(tip)
    await check(listening, node)
    [state] = await listening.rows("SELECT safe, finalized FROM chain_state")
    assert (state.optional_integer("safe"), state.integer("finalized")) == (None, FINAL_BLOCKS + 3 - 10)


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_chain_that_named_its_final_block_never_counts(
    listening: Listening, node: FakeNode, restarted: bool
) -> None:
    """``0 <- … 100 (final) <- … <- 300``: the tag is refused once, then ``200 <- 201b <- … <- 310b`` is an ordinary
    reorg, although its blocks are more than 64 below the head."""
    node.finality = 200
    blocks = [node.head] + [node.mine() for _ in range(300)]
    async with listening.live(node.url) as life:
        await life.until_tip(blocks[-1].hash)
        if not restarted:
            await reorganise_without_tags(node, life, blocks[200])
    if restarted:
        async with listening.live(node.url) as life:
            await reorganise_without_tags(node, life, blocks[200])
    await check_chain(listening, node)
    [state] = await listening.rows("SELECT finalized, finality_named FROM chain_state")
    assert (state.integer("finalized"), state.boolean("finality_named")) == (110, True)


async def reorganise_without_tags(node: FakeNode, life: Life, fork: FakeBlock) -> None:
    node.faults.no_tags = True
    await life.until_tip(node.mine().hash)
    node.faults.no_tags = False
    node.switch(fork)
    for _ in range(110):
        node.mine()
    await life.until_tip(node.head.hash)


async def test_an_error_of_the_node_is_not_an_unknown_tag(listening: Listening, node: FakeNode) -> None:
    tip = mine_history(node)
    node.faults.no_tags, node.faults.tag_refusal = True, (-32603, "internal error")
    async with listening.live(node.url) as life:
        assert "did not say what is final" in await life.until_health("DEGRADED")
        assert await listening.entries() == ()
        node.faults.no_tags = False
        await life.until_tip(tip)
    await check(listening, node)


async def test_rate_limit_slows_down_and_is_told(listening: Listening, node: FakeNode) -> None:
    tip = mine_history(node)
    node.faults.limits, node.faults.retry_after = 3, "0"
    async with listening.live(node.url) as life:
        assert "limits our request rate" in await life.until_health("DEGRADED")
        await life.until_tip(tip)
        assert life.listener.statistics().rate_limits == 3
        await life.until_health("OK")
    await check(listening, node)


async def test_a_limit_of_one_endpoint_does_not_silence_the_chain(
    listening: Listening, node: FakeNode, second_node: FakeNode
) -> None:
    """The first asks to be left alone for an hour: it is, and the second is asked at once."""
    tip = mine_history(node)
    second_node.blocks, second_node.head, second_node.finality = node.blocks, node.head, node.finality
    node.faults.limits, node.faults.retry_after = 1, "3600"
    async with listening.live(node.url, second_node.url) as life:
        await life.until_tip(tip)
        await life.until_request(second_node, 5)
        first, _second = life.listener.statistics().endpoints
        assert (first.requests, first.limits) == (1, 1)
    await check(listening, node)


async def test_hung_socket_ends_at_its_deadline(listening: Listening, node: FakeNode) -> None:
    tip = mine_history(node)
    node.faults.hangs = 1
    async with listening.live(node.url, settings=listening.settings(request_timeout=0.2)) as life:
        assert "did not answer" in await life.until_health("DEGRADED")
        await life.until_tip(tip)
    await check(listening, node)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("doubled_logs", "contradicted itself"),
        ("foreign_logs", "contradicted itself"),
        ("wild_index", "malformed log (a log with an index out of range)"),
    ],
)
async def test_nonsense_is_never_stored(listening: Listening, node: FakeNode, fault: str, told: str) -> None:
    tip = mine_history(node)
    setattr(node.faults, fault, True)
    async with listening.live(node.url) as life:
        assert told in await life.until_health("DEGRADED")
        assert await listening.entries() == ()
        setattr(node.faults, fault, False)
        await life.until_tip(tip)
    await check(listening, node)


async def test_the_next_endpoint_takes_over(listening: Listening, node: FakeNode, second_node: FakeNode) -> None:
    """The first answers 502, lies and lags in turn; the second is sound."""
    tip = mine_history(node)
    second_node.blocks, second_node.head, second_node.finality = node.blocks, node.head, node.finality
    node.faults.broken, node.faults.foreign_logs, node.faults.lag = 2, True, 2
    async with listening.live(node.url, second_node.url) as life:
        await life.until_tip(tip)
    await check(listening, node)


async def test_an_endpoint_that_froze_at_our_tip_is_left(
    listening: Listening, node: FakeNode, second_node: FakeNode
) -> None:
    """The first fails once; the second takes over and stays at our tip for ever, which it truthfully says."""
    node.finality = second_node.finality = 0
    tip = node.mine()
    second_node.blocks, second_node.head = dict(node.blocks), node.head
    async with listening.live(node.url, second_node.url, settings=impatient(listening)) as life:
        await life.until_tip(tip.hash)
        node.faults.broken = 1
        await life.until_request(second_node, 3)
        tip = node.mine(deposited(ALICE, WETH, 5))
        await life.until_tip(tip.hash)
    await check(listening, node)


async def test_a_chain_that_stands_still_everywhere_is_told(
    listening: Listening, node: FakeNode, second_node: FakeNode
) -> None:
    node.finality = second_node.finality = 0
    second_node.blocks, second_node.head = dict(node.blocks), node.head
    async with listening.live(node.url, second_node.url, settings=impatient(listening)) as life:
        assert "no new block" in await life.until_health("DEGRADED")
        await life.until_tip(node.mine().hash)
        await life.until_health("OK")
    await check(listening, node)


def impatient(listening: Listening) -> ChainSettings:
    settings = listening.settings()
    return replace(settings, poll=replace(settings.poll, stillness=0.2))


async def test_wrong_chain_is_named_without_credentials(listening: Listening, node: FakeNode) -> None:
    node.chain_id = 5
    async with listening.live(node.url) as life:
        reason = await life.until_health("UNHEALTHY")
        assert "serves chain 5" in reason
        assert "chain 31337" in reason
        assert "planted-key" not in reason
        assert await listening.entries() == ()
        node.chain_id = 31_337
        tip = mine_history(node)
        await life.until_tip(tip)
    await check(listening, node)


async def test_undecodable_logs_are_stored_raw_and_counted(listening: Listening, node: FakeNode) -> None:
    tip = node.mine(deposited(ALICE, WETH, 5), garbled(), unknown()).hash
    async with listening.live(node.url) as life:
        await life.until_tip(tip)
        assert life.listener.statistics().undecodable == 1
    await check(listening, node)
    rows = await listening.rows("SELECT name, args::text AS args, data FROM chain_logs ORDER BY log_index")
    assert [(row.optional_text("name"), row.optional_text("args") is None) for row in rows] == [
        ("CollateralDeposited", False),
        ("CollateralDeposited", True),
        (None, True),
    ]
    assert rows[1].octets("data") == garbled().data


async def test_waits_for_a_start_block(listening: Listening, node: FakeNode) -> None:
    tip = mine_history(node)
    async with listening.live(node.url, settings=listening.settings(start_block=None)) as life:
        assert "has no start block" in await life.until_health("DEGRADED")
        await listening.start_at(5)
        await life.until_tip(tip)
    assert fold(await listening.entries()) == [block.hash for block in node.canonical()][5:]


async def test_a_start_above_the_head_can_be_corrected(listening: Listening, node: FakeNode) -> None:
    tip = mine_history(node)
    async with listening.live(node.url, settings=listening.settings(start_block=1_000)) as life:
        await life.until_request(node, 5)
        await listening.start_at(5)
        await life.until_tip(tip)
    assert fold(await listening.entries()) == [block.hash for block in node.canonical()][5:]


async def test_a_start_moved_while_the_first_blocks_are_read_is_obeyed(listening: Listening, node: FakeNode) -> None:
    """The choice was accepted, since nothing was stored: what is read from the old start is not stored either."""
    tip = mine_history(node)
    asked, moved = threading.Event(), threading.Event()

    def hold(calls: Sequence[Json]) -> None:
        if calls[0]["params"] == ["0x1e", False]:
            asked.set()
            moved.wait(PATIENCE)

    node.before_answer = hold
    settings = listening.settings(start_block=0x1E, request_timeout=PATIENCE)
    async with listening.live(node.url, settings=settings) as life:
        assert await trio.to_thread.run_sync(asked.wait, PATIENCE)
        await listening.start_at(5)
        moved.set()
        await life.until_tip(tip)
    assert fold(await listening.entries()) == [block.hash for block in node.canonical()][5:]


async def test_a_zombie_cannot_write(listening: Listening, node: FakeNode) -> None:
    """Somebody else claims the chain: the next commit of the one before is refused and ends its life."""
    node.mine()
    async with listening.live(node.url) as zombie:
        await zombie.until_tip(node.head.hash)
        await listening.store.claim("heir", produces=(journal_stream(CHAIN),))
        node.mine(deposited(ALICE, WETH, 5))
        assert isinstance(await zombie.until_crash(), Fenced | WriteConflict)  # the latter of an audit's commit
    assert await listening.positions() == {}
    async with listening.live(node.url) as heir:
        await heir.until_tip(node.head.hash)
    await check(listening, node)
