"""The audit, in front of anvil and a provider that leaves out logs: what no header shows is found and repaired.

    1 (deposit, credit line 5, credit line 9, three deposits) <- 2 <- … <- 71

An answer by range for it that is cut after two logs explains every block's bloom filter: nothing seems to be missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from fusion_daemon.chain.artifacts import load_artifact
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.demo.anvil import Anvil
from fusion_daemon.demo.node import Node, call_data
from fusion_daemon.domain.identifiers import Address, hex_of
from fusion_daemon.domain.journal import REPAIR_VERSION
from fusion_daemon.risk.monitor import MarginMonitor
from fusion_daemon.risk.portfolio import Portfolio
from fusion_daemon.risk.settings import RiskSettings
from tests.faults.fake_node import FakeLog, FakeNode
from tests.faults.rpc_faults import RpcFaults
from tests.faults.rpc_proxy import RpcProxy, proxied
from tests.integration.chain.listening import CHAIN, SETTINGS, Listening, fold, folded_positions
from tests.unit.chain.vault_logs import ALICE, BOB, STRANGER, VAULT, WETH, deposited, word

SENDER = Address(b"\x51" * 20)
LINES = Address(b"\x11" * 20)
EMIT = bytes.fromhex("602035600035604036038060406000376000a200")
"""A contract: a log of two topics, the first two words of its input, with the rest as data."""
EMPTY_BLOCKS = 70
FINAL = EMPTY_BLOCKS + 1 - 64
"""Above the first block, at least."""
PLACES = "SELECT log_index, since FROM chain_logs ORDER BY block_number, log_index"
LIMIT = "SELECT credit_limit FROM chain_registers ORDER BY block_number DESC, log_index DESC LIMIT 1"


@dataclass(frozen=True)
class Vault:
    """What stands in for a vault: one contract that deposits, one that grants credit."""

    node: Node
    url: str
    proxy: RpcProxy
    emitter: Address
    start: int

    @property
    def settings(self) -> ChainSettings:
        return replace(SETTINGS, contracts=(self.emitter, LINES), start_block=self.start)

    @property
    def final(self) -> int:
        return self.start - 1 + FINAL

    def block(self, *calls: tuple[Address, bytes]) -> None:
        for to, data in calls:
            request = {"from": hex_of(SENDER), "to": hex_of(to), "data": hex_of(data), "gas": hex(2_000_000)}
            self.node.call("eth_sendTransaction", request)
        self.node.call("evm_mine")

    def deposits(self, count: int) -> tuple[Address, bytes]:
        return self.emitter, call_data("emitDeposits(uint256)", count)

    def tip(self) -> bytes:
        block = self.node.call("eth_getBlockByNumber", "latest", False)
        assert isinstance(block, dict)
        return bytes.fromhex(block["hash"][2:])


def credit_line(limit: int) -> tuple[Address, bytes]:
    topic = keccak(text="CreditLineSet(address,uint256,uint256,uint64)")
    return LINES, topic + word(ALICE) + encode(["uint256", "uint256", "uint64"], [0, limit, 1])


@pytest.fixture
def vault(chain_node: Anvil) -> Iterator[Vault]:
    with closing(Node(chain_node.url)) as node, proxied(chain_node.url) as proxy:
        node.call("anvil_setBalance", hex_of(SENDER), hex(10**24))
        node.call("anvil_autoImpersonateAccount", True)
        emitter = node.deploy(SENDER, load_artifact("EventEmitter").bytecode)
        node.call("anvil_setCode", hex_of(LINES), hex_of(EMIT))
        node.call("evm_setAutomine", False)
        start = int(str(node.call("eth_blockNumber")), 16) + 1
        made = Vault(node, chain_node.url, proxy, emitter, start)
        made.block(made.deposits(1), credit_line(5), credit_line(9), made.deposits(3))
        node.call("anvil_mine", hex(EMPTY_BLOCKS))
        yield made


async def check_whole(listening: Listening) -> None:
    """Four deposits and both credit lines, and what was published is what is read back."""
    entries = await listening.entries()
    assert tuple(listening.published) == tuple(entries)
    assert [row.integer("log_index") for row in await listening.rows(PLACES)] == list(range(6))
    positions = await listening.positions()
    assert len(positions) == 4
    assert positions == folded_positions(entries)
    assert fold(entries)
    assert [row.integer("credit_limit") for row in await listening.rows(LIMIT)] == [9]


async def test_what_one_endpoint_left_out_another_shows_and_it_is_repaired(listening: Listening, vault: Vault) -> None:
    vault.proxy.faults = RpcFaults(truncated=2)
    async with listening.live(vault.proxy.url, vault.url, settings=vault.settings) as life:
        await life.until_tip(vault.tip())
        await listening.until_audited(vault.final)
        audit = life.listener.statistics().audit
        assert (audit.mismatches, audit.repaired, audit.differing, audit.audited) == (4, 4, 0, vault.final)
        await life.until_health("OK")
    await check_whole(listening)
    repair = [entry for entry in listening.published if entry.filter_version == REPAIR_VERSION]
    assert [(entry.block.number, entry.settles, len(entry.changes)) for entry in repair] == [
        (vault.start, False, 4),
        (vault.start + EMPTY_BLOCKS, True, 0),
    ]
    first = next(entry.seq for entry in listening.published if entry.block.number == vault.start)
    assert [row.integer("since") for row in await listening.rows(PLACES)] == [first, first, *[repair[0].seq] * 4]


async def test_the_monitor_judges_whom_a_repair_touches(listening: Listening, vault: Vault) -> None:
    vault.proxy.faults = RpcFaults(truncated=2)
    async with listening.live(vault.proxy.url, vault.url, settings=vault.settings) as life:
        await life.until_tip(vault.tip())
        await listening.until_audited(vault.final)
    monitor = MarginMonitor(RiskSettings({}), Portfolio({}, (CHAIN,)), {}, 0)
    cases = [monitor.entry(entry, entry.block.timestamp) for entry in listening.published]
    touched = [len(case.touched.accounts) for case in cases if case is not None and case.touched.accounts]
    assert touched == [1, 3]
    held = [leg.amount for account in monitor.portfolio.accounts() for leg in monitor.portfolio.legs(account)]
    assert sorted(held) == sorted((await listening.positions()).values())


async def test_a_single_endpoint_is_compared_with_its_own_receipts(listening: Listening, vault: Vault) -> None:
    vault.proxy.faults = RpcFaults(truncated=2)
    async with listening.live(vault.proxy.url, settings=vault.settings) as life:
        await life.until_tip(vault.tip())
        await listening.until_audited(vault.final)
    await check_whole(listening)
    assert vault.proxy.counts["eth_getBlockReceipts"] > 0


async def test_what_agrees_costs_a_range_and_no_receipts(listening: Listening, vault: Vault) -> None:
    """Seven blocks, four at a time. A life that begins where the audit stands asks for nothing of them again."""
    settings = replace(vault.settings, longest_span=4)
    with proxied(vault.url) as other:
        urls = (vault.proxy.url, other.url)
        async with listening.live(*urls, settings=settings) as life:
            await life.until_tip(vault.tip())
            await listening.until_audited(vault.final)
            assert life.listener.statistics().audit.mismatches == 0
        assert (other.counts["eth_getLogs by range"], other.counts["eth_getBlockReceipts"]) == (2, 0)
        async with listening.live(*urls, settings=settings) as life:
            vault.block(vault.deposits(1))
            await life.until_tip(vault.tip())
            await listening.until_audited(vault.final + 1)
        assert (other.counts["eth_getLogs by range"], other.counts["eth_getBlockReceipts"]) == (3, 0)
    assert not any(entry.late for entry in await listening.entries())


async def test_what_endpoints_have_otherwise_is_told_and_left_alone(listening: Listening, vault: Vault) -> None:
    """Also by the next life, which does not compare those blocks again, until somebody has settled it."""
    urls = (vault.url, vault.proxy.url)
    async with listening.live(*urls, settings=vault.settings) as life:
        await life.until_tip(vault.tip())
        await listening.until_audited(vault.final)
    await listening.alter("DELETE FROM chain_audits")
    await listening.alter("UPDATE chain_logs SET data = data || '\\x00' WHERE log_index = 3")
    before = await listening.positions()
    async with listening.live(*urls, settings=vault.settings) as life:
        assert "so far 1" in await life.until_health("DEGRADED")
        audit = life.listener.statistics().audit
        assert (audit.mismatches, audit.repaired, audit.differing) == (1, 0, 1)
    [row] = await listening.rows("SELECT block_number, log_index FROM chain_differences")
    assert (row.integer("block_number"), row.integer("log_index")) == (vault.start, 3)
    async with listening.live(*urls, settings=vault.settings) as life:
        assert "so far 1" in await life.until_health("DEGRADED")
        assert life.listener.statistics().audit.mismatches == 0
        await listening.alter("DELETE FROM chain_differences")
        await life.until_health("OK")
    assert await listening.positions() == before
    assert not any(entry.late for entry in await listening.entries())


async def test_a_dead_endpoint_does_not_hold_the_audit_up(listening: Listening, vault: Vault) -> None:
    vault.proxy.faults = RpcFaults(cut_share=1.0)
    async with listening.live(vault.url, vault.proxy.url, settings=vault.settings) as life:
        await life.until_tip(vault.tip())
        await listening.until_audited(vault.final)
    await check_whole(listening)


@pytest.mark.parametrize("endpoints", [1, 2])
async def test_receipts_that_contradict_their_own_block_repair_nothing(
    listening: Listening, node: FakeNode, second_node: FakeNode, endpoints: int
) -> None:
    """``1 <- … <- 5(deposit) <- … <- 80``, of which 9, lost by the store, is in doubt. All endpoints' receipts name the
    right block by its hash and the next one by its number: the deposit that is stored would be stored once more."""
    for number in range(80):
        node.mine(*([deposited(ALICE, WETH, 5)] if number in (4, 8) else []))
    second_node.blocks, second_node.head = node.blocks, node.head
    urls = [node.url, second_node.url][:endpoints]
    async with listening.live(*urls) as life:
        await life.until_tip(node.head.hash)
        await listening.until_audited(16)
    await listening.alter("DELETE FROM chain_audits")
    await listening.alter("DELETE FROM chain_logs WHERE block_number = 9")
    await listening.alter("UPDATE positions SET amount = 5")
    node.faults.misplaced_receipts = second_node.faults.misplaced_receipts = True
    node.requests.clear()
    async with listening.live(*urls) as life:
        while "eth_getBlockReceipts" not in node.requests:
            await life.until_request(node, 1)
        for _ in range(3):  # looks, each of which commits what was found
            node.mine()
            second_node.switch(node.head)
            await life.until_tip(node.head.hash)
        assert await listening.rows("SELECT 1 FROM chain_audits") == []
    node.faults.misplaced_receipts = second_node.faults.misplaced_receipts = False
    async with listening.live(*urls):
        await listening.until_audited(16)
    assert await listening.rows("SELECT 1 FROM chain_differences") == []
    stored = await listening.rows("SELECT block_number FROM chain_logs ORDER BY 1")
    assert [row.integer("block_number") for row in stored] == [5, 9]
    assert list((await listening.positions()).values()) == [10]


async def test_an_endpoint_with_another_history_is_judged_by_the_others(
    listening: Listening, node: FakeNode, second_node: FakeNode
) -> None:
    """``1 <- … <- 80`` at the first; the second has other blocks from 1 on."""
    genesis = second_node.head
    second_node.mine()
    second_node.switch(genesis)
    for _ in range(80):
        node.mine(deposited(ALICE, WETH, 5))
        second_node.mine(deposited(BOB, WETH, 5))
    async with listening.live(node.url, second_node.url, settings=replace(SETTINGS, request_timeout=1.0)) as life:
        await life.until_tip(node.head.hash)
        assert "another one" in await life.until_health("DEGRADED")
    assert [row.octets("owner") for row in await listening.rows("SELECT owner FROM positions")] == [ALICE]


async def test_a_log_of_any_form_has_one_checksum(listening: Listening, node: FakeNode, second_node: FakeNode) -> None:
    """With no topic to four, and with no data: the store and an endpoint's answer are summed up alike."""
    topics = tuple(bytes([place]) * 32 for place in range(4))
    for count in range(5):
        node.mine(*(FakeLog(VAULT, topics[:count], data) for data in (b"", b"\x01", b"\x02" * 70)))
    for _ in range(70):
        node.mine()
    second_node.blocks, second_node.head = node.blocks, node.head
    async with listening.live(node.url, second_node.url) as life:
        await life.until_tip(node.head.hash)
        await listening.until_audited(11)
        assert life.listener.statistics().audit.mismatches == 0
    assert "eth_getBlockReceipts" not in {*node.requests, *second_node.requests}


async def test_what_retention_dropped_and_late_history_stored_again_is_not_compared(
    listening: Listening, node: FakeNode
) -> None:
    """Of those blocks, the logs of what was read before are gone, though their balances are not."""
    for _ in range(80):
        node.mine(deposited(ALICE, WETH, 5))
    async with listening.live(node.url) as life:
        await life.until_tip(node.head.hash)
        await listening.until_audited(16)
    before = await listening.positions()
    await listening.alter("DELETE FROM chain_audits")
    await listening.alter("DELETE FROM chain_logs WHERE block_number <= 7")
    await listening.alter("UPDATE chain_state SET dropped = 7")
    await listening.alter("DELETE FROM chain_logs WHERE block_number = 9")
    await listening.alter("UPDATE positions SET amount = amount - 5")
    async with listening.live(node.url) as life:
        await life.until_tip(node.head.hash)
        await listening.until_audited(16)
        assert life.listener.statistics().audit.repaired == 1
    assert await listening.positions() == before


async def test_the_logs_of_a_contract_read_late_are_audited_when_they_were_read(
    listening: Listening, node: FakeNode
) -> None:
    for _ in range(80):
        node.mine(deposited(ALICE, WETH, 5), deposited(BOB, WETH, 7, STRANGER))
    async with listening.live(node.url) as life:
        await life.until_tip(node.head.hash)
        await listening.until_audited(16)
    async with listening.live(node.url, settings=replace(SETTINGS, contracts=(VAULT, STRANGER))) as life:
        await life.until_whole()
        await listening.until_audited(16, version=2)
        assert life.listener.statistics().audit.mismatches == 0
