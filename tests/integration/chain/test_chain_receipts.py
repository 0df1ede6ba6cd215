"""Where a log stands in its receipt: what bridges count by, and the block-level index does not say."""

from __future__ import annotations

from contextlib import closing

from fusion_daemon.aio import Aio
from fusion_daemon.chain.artifacts import load_artifact
from fusion_daemon.chain.rpc import open_rpc
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.demo.anvil import Anvil
from fusion_daemon.demo.node import Node, Sent, call_data
from fusion_daemon.domain.identifiers import Address, ChainId, Hash32

DESK = Address(b"\x44" * 20)


async def test_the_logs_of_each_transaction_come_in_the_order_of_its_receipt(aio: Aio, chain_node: Anvil) -> None:
    """Two transactions in one block, three logs each: the block counts them 0 … 5, each receipt 0 … 2."""
    with closing(Node(chain_node.url)) as node:
        node.call("anvil_autoImpersonateAccount", True)
        node.call("anvil_setBalance", "0x" + DESK.hex(), hex(10**21))
        emitter = node.deploy(DESK, load_artifact("EventEmitter").bytecode)
        emit = Sent(DESK, emitter, call_data("emitDeposits(uint256)", 3))
        receipts = node.send(emit, emit)
    hashes = [Hash32(bytes.fromhex(str(receipt["transactionHash"])[2:])) for receipt in receipts]
    rpc = await aio.call(open_rpc, ChainSettings(ChainId(31_337), "local", (chain_node.url,), ()), timeout=5.0)
    try:
        first, second, unknown = await aio.call(rpc.fetch_receipt_logs, [*hashes, Hash32(b"\x01" * 32)], timeout=5.0)
    finally:
        await aio.call(rpc.close, timeout=5.0)
    assert {log.transaction_hash for log in first} == {hashes[0]}
    assert sorted([[log.log_index for log in first], [log.log_index for log in second]]) == [[0, 1, 2], [3, 4, 5]]
    assert unknown == ()
