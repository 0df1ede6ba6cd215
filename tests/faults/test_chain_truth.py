"""Rule: whatever the chains, their providers and the operator's kill -9 do, when all is quiet the tables say what the
nodes say. No event is lost, none is doubled, and one chain's reorg is none of the other's.

    blocks           ─┐
    reorgs            ├─ random course ── both alive, quiet, audited ── tables == nodes
    faults, kills    ─┘
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pytest

from fusion_daemon.aio import Aio
from fusion_daemon.chain.events import load_event_table
from fusion_daemon.chain.repository import journal_fill
from fusion_daemon.domain.identifiers import ChainId, hex_of
from fusion_daemon.store import Store
from tests.faults.chain_course import Course, Side, open_side
from tests.integration.chain.listening import Listening, fold, folded_positions

SOAK = os.environ.get("FUSION_PRIME_SOAK") == "1"
COURSES = 500 if SOAK else 30
"""Each of its number: `-k [17]` runs one again."""
ONE, TWO = ChainId(31_337), ChainId(31_338)
BLOCKS = "SELECT hash FROM chain_blocks WHERE canonical AND chain_id = {} ORDER BY number"
LOGS = """
SELECT l.block_hash, l.log_index, l.data FROM chain_logs l
JOIN chain_blocks b ON (b.chain_id, b.hash, b.number) = (l.chain_id, l.block_hash, l.block_number)
WHERE b.canonical AND l.chain_id = {} ORDER BY l.block_number, l.log_index"""
COVERED = "SELECT first, last FROM chain_coverage WHERE chain_id = {} ORDER BY first"
POSITIONS = "SELECT vault, owner, token, side, amount FROM positions WHERE chain_id = {} AND amount <> 0"


@pytest.fixture(scope="module")
def sides() -> Iterator[tuple[Side, Side]]:
    with open_side(ONE) as one, open_side(TWO) as two:
        yield one, two


@pytest.fixture
def listening(aio: Aio, store: Store) -> Listening:
    return Listening(aio, store)


@pytest.mark.parametrize("seed", range(1, COURSES + 1))
async def test_the_tables_say_what_the_nodes_say(
    listening: Listening, sides: tuple[Side, Side], seed: int
) -> None:
    for side in sides:
        side.reset()
    course = Course(seed, listening, sides)
    try:
        await course.run()
        for side in sides:
            await check_truth(listening, side)
    except BaseException as error:
        error.add_note(f"Seed {seed}: " + "; ".join(course.said))
        raise


async def check_truth(listening: Listening, side: Side) -> None:
    hashes, logs = _blocks(side), _logs(side)
    assert [row.octets("hash") for row in await listening.rows(BLOCKS.format(side.chain))] == hashes
    stored = [
        (row.octets("block_hash"), row.integer("log_index"), row.octets("data"))
        for row in await listening.rows(LOGS.format(side.chain))
    ]
    assert stored == [(block, index, data) for block, index, _, _, data in logs]
    covered = await listening.rows(COVERED.format(side.chain))
    assert {(row.integer("first"), row.integer("last")) for row in covered} == {(0, side.height())}
    deposits = Counter[tuple[bytes, bytes]]()
    for _, _, vault, owner, data in logs:
        deposits[vault, owner] += int.from_bytes(data[:32], "big")
    positions = {
        (row.octets("vault"), row.octets("owner"), row.octets("token"), row.text("side")): row.integer("amount")
        for row in await listening.rows(POSITIONS.format(side.chain))
    }
    assert {(vault, owner): amount for (vault, owner, _, _), amount in positions.items()} == dict(deposits)
    entries = await journal_fill(listening.store, load_event_table(), side.chain)(0, 1_000_000)
    assert fold(entries) == hashes
    assert folded_positions(entries) == positions


def _blocks(side: Side) -> list[bytes]:
    calls = [("eth_getBlockByNumber", [hex(number), False]) for number in range(side.height() + 1)]
    return [bytes.fromhex(str(block["hash"])[2:]) for block in side.node.batch(calls) if isinstance(block, dict)]


def _logs(side: Side) -> list[tuple[bytes, int, bytes, bytes, bytes]]:
    """Block hash, index, vault, owner and data of every deposit."""
    query = {"fromBlock": "0x0", "toBlock": "latest", "address": [hex_of(each) for each in side.emitters]}
    logs = side.node.call("eth_getLogs", query)
    assert isinstance(logs, list)
    return [
        (
            bytes.fromhex(log["blockHash"][2:]),
            int(log["logIndex"], 16),
            bytes.fromhex(log["address"][2:]),
            bytes.fromhex(log["topics"][1][-40:]),
            bytes.fromhex(log["data"][2:]),
        )
        for log in logs
    ]
