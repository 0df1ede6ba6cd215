"""How fast are the bridges' logs turned into the states of messages? The tracker's core alone: no database, no network.

    python benchmarks/messages.py [--events 100000] [--json]

Two chains, two directions, Axelar and CCIP 1.6 in turn; each message leaves six to seven logs, all of which are raw
bytes before the clock starts. Seconds are of CPU time: the machine may be shared.

* ours: LogReader and MessageTracker, from raw logs to transitions. `backfill_s`: the whole history, settled once per
  block. `live_events_per_s`: the same again into a tracker that holds it all, at most ten logs a block.
  `reorg_64_ms`: 64 blocks of one chain retracted, 64 others applied, settled once; `restore_s`: from its rows.
* peers: web3's codec decodes the same logs into a dict by topic and nothing else, neither filtered, nor joined,
  nor undone by a reorg.
* limit: keccak256 of every payload: no tracker that checks what it reads can take less.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from web3 import Web3

from fusion_daemon.crosschain import (
    AxelarContracts,
    CcipContracts,
    Envelope,
    LogReader,
    MessageTracker,
    Network,
    Networks,
    Place,
    RawLog,
    Rules,
    Terms,
    application,
    axelar,
    ccip,
    id_of,
    write_envelope,
)
from fusion_daemon.crosschain.ids import ccip_1_6_id, classic_commands
from fusion_daemon.crosschain.layout import Layout
from fusion_daemon.domain.identifiers import NATIVE, Address, ChainId, Hash32, hex_of
from fusion_daemon.domain.journal import BlockRef

CHAINS = (ChainId(31_337), ChainId(31_338))
GENESIS = 1_700_000_000
PER_BLOCK, LIVE_PER_BLOCK, DEPTH = 40, 10, 64
BRIDGES = (b"axelar".ljust(32, b"\0"), b"ccip".ljust(32, b"\0"))
ZERO = Address(bytes(20))

Figures = dict[str, float]


def _address(chain: ChainId, number: int) -> Address:
    return Address(bytes([chain % 251, number]) * 10)


NETWORKS = Networks(
    [
        Network(
            chain,
            _address(chain, 1),
            AxelarContracts(f"chain-{chain}", *(_address(chain, each) for each in (2, 3, 4))),
            CcipContracts(chain, (_address(chain, 6),), (_address(chain, 7),), _address(chain, 8)),
        )
        for chain in CHAINS
    ]
)


@dataclass(slots=True)
class Chain:
    """Blocks under construction: logs are put into the youngest until it is full."""

    id: ChainId
    per_block: int
    first: int
    fork: int
    blocks: list[tuple[BlockRef, list[RawLog]]]

    def emit(self, emitter: Address, layout: Layout, topics: Sequence[bytes], data: bytes) -> Place:
        if not self.blocks or len(self.blocks[-1][1]) >= self.per_block:
            number = self.first + len(self.blocks)
            name = Hash32(keccak(f"{self.id} {number} {self.fork}".encode()))
            self.blocks.append((BlockRef(number, name, GENESIS + number), []))
        block, logs = self.blocks[-1]
        tx = Hash32(keccak(block.hash + len(logs).to_bytes(2, "big")))
        place = Place(self.id, block.hash, block.number, block.timestamp, tx, len(logs), 0)
        logs.append(RawLog(place, emitter, (layout.topic, *topics), data))
        return place


def _word(value: int | bytes) -> bytes:
    return value.to_bytes(32, "big") if isinstance(value, int) else value.rjust(32, b"\0")


def history(events: int, per_block: int, first: int = 1, start: int = 0, fork: int = 0) -> tuple[Chain, ...]:
    """Both chains with about so many logs, messages numbered from `start`."""
    chains = tuple(Chain(chain, per_block, first, fork, []) for chain in CHAINS)
    number, written = start, 0
    while written < events:
        there = number % 2
        source, target = chains[there], chains[1 - there]
        written += (_by_ccip if number % 4 >= 2 else _by_axelar)(source, target, number + 1)
        number += 1
    return chains


def _payload(source: Chain, target: Chain, number: int) -> bytes:
    app, other = _address(source.id, 20), _address(target.id, 20)
    account = Address(number.to_bytes(20, "big"))
    return write_envelope(
        Envelope(source.id, app, target.id, other, number, 1, account, NATIVE, 10**9 + number, 0, _word(number))
    )


def _router(chain: Chain, layout: Layout, bridge: int, number: int, payload: bytes) -> None:
    topics = (id_of(payload), BRIDGES[bridge], _word(_address(chain.id, 20)))
    chain.emit(_address(chain.id, 1), layout, topics, encode(["uint64", "bytes"], [number, payload]))


def _by_axelar(source: Chain, target: Chain, number: int) -> int:
    payload, name = _payload(source, target, number), id_of(_payload(source, target, number))
    near, far = _address(source.id, 4), _address(target.id, 4)
    where = [f"chain-{target.id}", hex_of(far)]
    gateway, service = _address(source.id, 2), _address(source.id, 3)
    source.emit(
        service,
        axelar.NATIVE_GAS_PAID,
        (_word(near), name),
        encode(["string", "string", "uint256", "address"], [*where, 10**15, hex_of(near)]),
    )
    call = source.emit(
        gateway, axelar.CONTRACT_CALL, (_word(near), name), encode(["string", "string", "bytes"], [*where, payload])
    )
    _router(source, application.MESSAGE_SENT, 0, number, payload)
    command = classic_commands(call.tx_hash, 0, target.id)[0]
    here = _address(target.id, 2)
    target.emit(
        here,
        axelar.CONTRACT_CALL_APPROVED,
        (command, _word(far), name),
        encode(["string", "string", "bytes32", "uint256"], [f"chain-{source.id}", hex_of(near), call.tx_hash, 0]),
    )
    target.emit(here, axelar.CONTRACT_CALL_EXECUTED, (command,), b"")
    _router(target, application.MESSAGE_RECEIVED, 0, number, payload)
    return 6


def _by_ccip(source: Chain, target: Chain, number: int) -> int:
    payload = _payload(source, target, number)
    sender, receiver = _address(source.id, 8), _word(_address(target.id, 8))
    on_ramp, off_ramp = _address(source.id, 6), _address(target.id, 7)
    message = ccip_1_6_id(source.id, target.id, on_ramp, sender, number, 0, ZERO, 7, receiver, payload, (), b"")
    header = (message, source.id, target.id, number, 0)
    source.emit(
        on_ramp,
        ccip.MESSAGE_SENT_1_6,
        (_word(target.id), _word(number)),
        encode([ccip.MESSAGE_1_6], [(header, hex_of(sender), payload, receiver, b"", hex_of(ZERO), 7, 7, [])]),
    )
    _router(source, application.MESSAGE_SENT, 1, number, payload)
    root = (source.id, _word(on_ramp), number, number, keccak(message))
    target.emit(
        off_ramp,
        ccip.COMMIT_REPORT_ACCEPTED,
        (),
        encode([ccip.ROOTS, ccip.ROOTS, ccip.PRICES], [[root], [], ([], [])]),
    )
    _router(target, application.MESSAGE_RECEIVED, 1, number, payload)
    target.emit(
        off_ramp,
        ccip.EXECUTION_1_6,
        (_word(source.id), _word(number), message),
        encode(["bytes32", "uint8", "bytes", "uint256"], [keccak(message), 2, b"", 90_000]),
    )
    return 5


def in_time(chains: Iterable[Chain]) -> list[tuple[ChainId, BlockRef, list[RawLog]]]:
    """The blocks of all chains by height, as a listener of each would deliver them."""
    found = [(chain.id, block, logs) for chain in chains for block, logs in chain.blocks]
    return sorted(found, key=lambda each: each[1].number)


def fold(reader: LogReader, tracker: MessageTracker, chains: Iterable[Chain], lag: int = 64) -> int:
    """Blocks applied, finality following `lag` blocks behind, settled once per block. Returns the transitions."""
    changes = 0
    for chain, block, logs in in_time(chains):
        reading = reader.read(logs)
        if reading.unreadable:
            raise RuntimeError(f"unreadable: {reading.unreadable[0]}")
        tracker.apply(chain, block, reading.evidence)
        tracker.finality(chain, block.number - lag)
        changes += len(tracker.settle(block.timestamp))
    return changes


def measure(events: int) -> tuple[Figures, Figures, Figures]:
    past = history(events, PER_BLOCK)
    height = max(len(chain.blocks) for chain in past)
    count = sum(len(logs) for chain in past for _, logs in chain.blocks)
    reader, tracker = LogReader(NETWORKS), MessageTracker(Rules(NETWORKS, Terms()))
    ours: Figures = {"events": float(count)}
    ours["backfill_s"], changes = _timed(lambda: fold(reader, tracker, past))
    ours["backfill_transitions"] = float(changes)
    ours["messages"] = float(len(tracker.standings()))
    recent = history(events // 5, LIVE_PER_BLOCK, height + 1, 10**7)
    live = sum(len(logs) for chain in recent for _, logs in chain.blocks)
    seconds, _ = _timed(lambda: fold(reader, tracker, recent))
    ours["live_events_per_s"] = live / seconds
    ours |= _reorg(reader, tracker, recent)
    ours["restore_s"], _ = _timed(lambda: MessageTracker.restored(Rules(NETWORKS, Terms()), tracker.state()))
    if not all(standing.applied for standing in tracker.standings()):
        raise RuntimeError("some message did not arrive, though all of its logs did")
    logs = [log for chain in past for _, each in chain.blocks for log in each]
    peers = {"web3_decode_only_s": _timed(lambda: _naive(logs))[0]}
    payloads = [log.data for log in logs]
    limit = {"keccak_only_s": _timed(lambda: [keccak(each) for each in payloads])[0]}
    return ours, peers, limit


def _reorg(reader: LogReader, tracker: MessageTracker, recent: Sequence[Chain]) -> Figures:
    """The last DEPTH blocks of the first chain give way to others with the same logs in other blocks."""
    chain = recent[0]
    lost = chain.blocks[-DEPTH:]
    gained = []
    for block, logs in lost:
        name = Hash32(keccak(block.hash))
        moved = [
            RawLog(msgspec.structs.replace(log.place, block_hash=name), log.emitter, log.topics, log.data)
            for log in logs
        ]
        gained.append((BlockRef(block.number, name, block.timestamp), moved))

    def heal() -> int:
        for block, _ in reversed(lost):
            tracker.retract(chain.id, block)
        for block, logs in gained:
            tracker.apply(chain.id, block, reader.read(logs).evidence)
        return len(tracker.settle(gained[-1][0].timestamp))

    seconds, _ = _timed(heal)
    return {"reorg_64_ms": seconds * 1_000, "reorg_64_logs": float(sum(len(logs) for _, logs in lost))}


def _naive(logs: Sequence[RawLog]) -> int:
    """Every log by web3's codec into a dict of everything by its topic."""
    codec = Web3().codec
    kinds: dict[bytes, list[str]] = {
        axelar.NATIVE_GAS_PAID.topic: ["string", "string", "uint256", "address"],
        axelar.CONTRACT_CALL.topic: ["string", "string", "bytes"],
        application.MESSAGE_SENT.topic: ["uint64", "bytes"],
        application.MESSAGE_RECEIVED.topic: ["uint64", "bytes"],
        axelar.CONTRACT_CALL_APPROVED.topic: ["string", "string", "bytes32", "uint256"],
        axelar.CONTRACT_CALL_EXECUTED.topic: [],
        ccip.MESSAGE_SENT_1_6.topic: [ccip.MESSAGE_1_6],
        ccip.COMMIT_REPORT_ACCEPTED.topic: [ccip.ROOTS, ccip.ROOTS, ccip.PRICES],
        ccip.EXECUTION_1_6.topic: ["bytes32", "uint8", "bytes", "uint256"],
    }
    found: dict[bytes, list[tuple[object, ...]]] = {}
    for log in logs:
        found.setdefault(log.topics[0], []).append(codec.decode(kinds[log.topics[0]], log.data))
    return sum(map(len, found.values()))


def _timed(job: Callable[[], int | object]) -> tuple[float, int]:
    began = time.process_time()
    answer = job()
    return time.process_time() - began, answer if isinstance(answer, int) else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    options = parser.parse_args()
    report = dict(zip(("ours", "peers", "limit"), measure(options.events), strict=True))
    if options.json:
        print(
            json.dumps({part: {name: round(value, 3) for name, value in each.items()} for part, each in report.items()})
        )
        return
    for part, each in report.items():
        for name, value in each.items():
            print(f"{part:6} {name:24} {value:12,.3f}")


if __name__ == "__main__":
    main()
