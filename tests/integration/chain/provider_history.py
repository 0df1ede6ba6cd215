"""What a node in front of a faulty provider has to tell, and whether it is what was stored.

A stretch of history: ten blocks of three deposits, one of forty, ten of three again, all final, then 70 empty ones, of
which the last 64 become final with the next stretch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

from fusion_daemon.chain.artifacts import load_artifact
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.demo.anvil import anvil
from fusion_daemon.demo.node import Node, call_data
from fusion_daemon.domain.identifiers import Address, hex_of
from tests.integration.chain.listening import SETTINGS, Listening, fold

SENDER = Address(b"\x51" * 20)
SPARSE, DENSEST = 3, 40
"""Logs of a block."""
Row = tuple[int, int, str, tuple[str, ...], str]
STORED = """
SELECT block_number, log_index, '0x' || encode(block_hash, 'hex') AS block, '0x' || encode(data, 'hex') AS data,
    (SELECT string_agg('0x' || encode(topic, 'hex'), ' ' ORDER BY place)
     FROM unnest(topics) WITH ORDINALITY AS each(topic, place)) AS topics
FROM chain_logs ORDER BY 1, 2"""


@dataclass(frozen=True)
class History:
    node: Node
    url: str
    emitter: Address

    def stretch(self) -> None:
        """A further one of the kind that is drawn above."""
        for deposits in (*[SPARSE] * 10, DENSEST, *[SPARSE] * 10):
            self._emit(deposits)
        self.node.call("anvil_mine", hex(70))

    def _emit(self, deposits: int) -> None:
        data = hex_of(call_data("emitDeposits(uint256)", deposits))
        call = {"from": hex_of(SENDER), "to": hex_of(self.emitter), "data": data, "gas": hex(20_000_000)}
        self.node.call("eth_sendTransaction", call)
        self.node.call("evm_mine")

    def hashes(self) -> list[bytes]:
        count = int(str(self.node.call("eth_blockNumber")), 16) + 1
        blocks = self.node.batch([("eth_getBlockByNumber", [hex(number), False]) for number in range(count)])
        return [bytes.fromhex(str(block["hash"])[2:]) for block in blocks if isinstance(block, dict)]

    def tip(self) -> bytes:
        block = self.node.call("eth_getBlockByNumber", "latest", False)
        assert isinstance(block, dict)
        return bytes.fromhex(block["hash"][2:])

    def rows(self) -> list[Row]:
        query = {"address": hex_of(self.emitter), "fromBlock": "0x0", "toBlock": "latest"}
        logs = self.node.call("eth_getLogs", query)
        assert isinstance(logs, list)
        return [
            (int(log["blockNumber"], 16), int(log["logIndex"], 16), log["blockHash"], tuple(log["topics"]), log["data"])
            for log in logs
        ]


@contextmanager
def written() -> Iterator[History]:
    """A node with a first stretch."""
    with anvil(31_337) as running, closing(Node(running.url)) as node:
        node.call("anvil_setBalance", hex_of(SENDER), hex(10**24))
        node.call("anvil_autoImpersonateAccount", True)
        emitter = node.deploy(SENDER, load_artifact("EventEmitter").bytecode)
        made = History(node, running.url, emitter)
        node.call("evm_setAutomine", False)
        made.stretch()
        yield made


def watching(history: History, request_timeout: float = 2.0) -> ChainSettings:
    return replace(SETTINGS, contracts=(history.emitter,), request_timeout=request_timeout)


async def check(listening: Listening, history: History) -> None:
    assert fold(await listening.entries()) == history.hashes()
    stored = await listening.rows(STORED)
    rows = [
        (
            row.integer("block_number"),
            row.integer("log_index"),
            row.text("block"),
            tuple(row.text("topics").split()),
            row.text("data"),
        )
        for row in stored
    ]
    assert rows == history.rows()
