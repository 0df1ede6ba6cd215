"""What two joined local chains show, read by one's own hand: their contracts, their logs, their heads."""

from __future__ import annotations

from fusion_daemon.crosschain import AxelarContracts, CcipContracts, Network, Networks, Place, RawLog
from fusion_daemon.demo.links import Link
from fusion_daemon.demo.node import Node
from fusion_daemon.domain.identifiers import ChainId, Hash32, parse_address
from fusion_daemon.domain.journal import BlockRef


def head(node: Node, tag: str = "latest") -> BlockRef:
    block = node.call("eth_getBlockByNumber", tag, False)
    assert isinstance(block, dict)
    return BlockRef(_number(block["number"]), Hash32(_octets(block["hash"])), _number(block["timestamp"]))


def networks_of(here: Link, there: Link) -> Networks:
    return Networks([_network(here, there), _network(there, here)])


def _network(link: Link, far: Link) -> Network:
    bridge = link.bridge
    ramps = tuple(bridge.on_ramps.values()), tuple(bridge.off_ramps.values())
    return Network(
        ChainId(link.deployment.chain_id),
        link.router,
        AxelarContracts(bridge.name, link.gateway, bridge.gas_service, link.axelar),
        CcipContracts(
            bridge.selector,
            *ramps,
            link.ccip,
            (bridge.commit_store,),
            {bridge.off_ramps["1.5"]: ChainId(far.deployment.chain_id)},
        ),
    )


def logs_of(node: Node, chain: ChainId) -> list[RawLog]:
    """Each with its position in the receipt: its index in the block less that of the receipt's first."""
    logs = node.call("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest"})
    assert isinstance(logs, list)
    hashes = sorted({log["transactionHash"] for log in logs})
    firsts = {}
    for each, receipt in zip(hashes, node.batch([("eth_getTransactionReceipt", [h]) for h in hashes]), strict=True):
        assert isinstance(receipt, dict)
        firsts[each] = _number(receipt["logs"][0]["logIndex"])
    numbers = sorted({log["blockNumber"] for log in logs})
    blocks = node.batch([("eth_getBlockByNumber", [number, False]) for number in numbers])
    times = {n: _number(b["timestamp"]) for n, b in zip(numbers, blocks, strict=True) if isinstance(b, dict)}
    return [_log(log, chain, times[log["blockNumber"]], firsts[log["transactionHash"]]) for log in logs]


def _log(log: dict[str, object], chain: ChainId, time: int, first: int) -> RawLog:
    topics = log["topics"]
    assert isinstance(topics, list)
    index = _number(log["logIndex"])
    place = Place(
        chain,
        Hash32(_octets(log["blockHash"])),
        _number(log["blockNumber"]),
        time,
        Hash32(_octets(log["transactionHash"])),
        index,
        index - first,
    )
    return RawLog(
        place, parse_address(str(log["address"])), tuple(_octets(topic) for topic in topics), _octets(log["data"])
    )


def _octets(text: object) -> bytes:
    return bytes.fromhex(str(text)[2:])


def _number(text: object) -> int:
    return int(str(text), 16)
