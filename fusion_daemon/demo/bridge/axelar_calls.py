"""Axelar's source events, and which of them are paid for. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from eth_abi.abi import decode
from eth_utils.crypto import keccak

from fusion_daemon.demo.bridge.faults import Key
from fusion_daemon.demo.bridge.logs import BridgeLog
from fusion_daemon.domain.identifiers import Address, Hash32, hex_of, parse_address

CONTRACT_CALL = keccak(text="ContractCall(address,string,string,bytes32,bytes)")
GAS_PAID = keccak(text="NativeGasPaidForContractCall(address,string,string,bytes32,uint256,address)")
GAS_ADDED = keccak(text="NativeGasAdded(bytes32,uint256,uint256,address)")


@dataclass(frozen=True, slots=True)
class AxelarCall:
    key: Key
    gateway: bytes
    sender: Address
    destination_chain: str
    contract: Address
    payload: bytes
    paid: int
    """Wei, top-ups included."""

    @property
    def message_id(self) -> str:
        return f"{hex_of(self.key.tx_hash)}-{self.key.position}"

    @property
    def payload_hash(self) -> bytes:
        return keccak(self.payload)

    def amplifier_command(self, source_chain: str) -> bytes:
        return keccak(text=f"{source_chain}_{self.message_id}")

    def classic_command(self, chain_id: int) -> bytes:
        """The id under which the destination with this EIP-155 number is told of the call."""
        number = chain_id.to_bytes((chain_id.bit_length() + 7) // 8, "big")
        return keccak(self.key.tx_hash + self.key.position.to_bytes(8, "little") + number)


def forged(call: AxelarCall, sender: Address) -> AxelarCall:
    """The same payload from another sender, by a source event that never was."""
    return replace(call, key=Key(Hash32(keccak(call.key.tx_hash)), call.key.position), sender=sender)


def own_cost(data: bytes) -> int:
    """The gas that a transaction with this calldata costs before any code runs (EIP-7623 included)."""
    zeros = data.count(0)
    tokens = zeros + 4 * (len(data) - zeros)
    return 21_000 + 10 * tokens


def axelar_calls(logs: Sequence[BridgeLog]) -> list[AxelarCall]:
    """The calls in chain order, each with what was paid for it.

    A payment belongs to the call of the same transaction, sender, destination and payload; of several equal
    ones the first payment to the first call. A top-up may name the log by its place in receipt or block. A
    call to something that is no address is not ours to carry.
    """
    payments: dict[tuple[object, ...], list[int]] = {}
    added: Counter[tuple[bytes, int]] = Counter()
    for log in logs:
        if log.topics[0] == GAS_PAID:
            chain, contract, amount, _ = decode(["string", "string", "uint256", "address"], log.data)
            same = (log.key.tx_hash, log.topics[1], chain, contract.lower(), log.topics[2])
            payments.setdefault(same, []).append(amount)
        elif log.topics[0] == GAS_ADDED:
            added[log.topics[1], int.from_bytes(log.topics[2], "big")] += decode(["uint256", "address"], log.data)[0]
    calls = [_call(log, payments, added) for log in logs if log.topics[0] == CONTRACT_CALL]
    return [call for call in calls if call is not None]


def _call(
    log: BridgeLog, payments: dict[tuple[object, ...], list[int]], added: Counter[tuple[bytes, int]]
) -> AxelarCall | None:
    chain, contract, payload = decode(["string", "string", "bytes"], log.data)
    queue = payments.get((log.key.tx_hash, log.topics[1], chain, contract.lower(), log.topics[2]), [])
    paid = queue.pop(0) if queue else 0
    paid += sum(added[log.key.tx_hash, index] for index in {log.key.position, log.block_index})
    try:
        address = parse_address(contract)
    except ValueError:
        return None
    return AxelarCall(log.key, log.address, Address(log.topics[1][12:]), chain, address, payload, paid)
