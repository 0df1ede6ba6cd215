"""Axelar's relayer in one direction: approves what is final on the source, then executes it.

It keeps no record of what it did: each step compares the source's calls with the destination's state, so a
reorg of either side is met by doing again what is missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from fusion_daemon.demo.bridge.axelar_calls import (
    CONTRACT_CALL,
    GAS_ADDED,
    GAS_PAID,
    AxelarCall,
    axelar_calls,
    forged,
    own_cost,
)
from fusion_daemon.demo.bridge.deploy import GAS_FEE, OPERATOR, BridgeChain
from fusion_daemon.demo.bridge.faults import Faults, Held, Key, Memory
from fusion_daemon.demo.bridge.logs import finalized, read_logs
from fusion_daemon.demo.node import NodeRefused, Sent, call_data
from fusion_daemon.domain.identifiers import Address, hex_of

_TOO_LITTLE = 5_000
"""Gas beyond the transaction's own cost: less than the gateway's look-up takes."""
_APPROVE_CLASSIC = "approve(bytes32,(string,string,address,bytes32,bytes32,uint256))"
_IS_APPROVED = "isContractCallApproved(bytes32,string,string,address,bytes32)"
_APPROVE_AMPLIFIER = "approveMessages((string,string,string,address,bytes32)[])"


@dataclass(slots=True)
class AxelarRelayer:
    source: BridgeChain
    destination: BridgeChain
    faults: Faults
    depth: int | None
    memory: Memory = field(default_factory=Memory)

    def step(self) -> None:
        calls = self._calls()
        self.memory.look(call.key for call in calls)
        waiting = [(call.key, call) for call in calls if not self._executed(call)]
        for key, call in self.faults.ordered(waiting):
            if self.memory.holds(key, self.faults):
                continue
            if call.paid < GAS_FEE:
                self.memory.held[key] = Held.UNDERPAID
                continue
            self._carry(key, call)

    def _calls(self) -> list[AxelarCall]:
        chain = self.source
        addresses = [chain.gateway, chain.amplifier, chain.gas_service]
        last = finalized(chain.node, self.depth)
        calls = axelar_calls(read_logs(chain.node, addresses, [CONTRACT_CALL, GAS_PAID, GAS_ADDED], last))
        return [call for call in calls if call.destination_chain == self.destination.name]

    def _carry(self, key: Key, call: AxelarCall) -> None:
        """A false sender is told in a message of its own: the true one stays behind until it is resumed."""
        false = None if key in self.memory.pardoned else self.faults.wrong_source
        told = call if false is None else forged(call, false)
        for _ in range(self._times(key)):
            self._approve(told)
        for _ in range(self._times(key)):
            self._execute(key, told)
        if not self._executed(call):
            self.memory.fail(key)

    def _times(self, key: Key) -> int:
        return 2 if self.faults.strikes("duplicate", self.faults.duplicate, key) else 1

    def _approve(self, call: AxelarCall) -> None:
        """Told again of what it knows, a gateway says nothing: so approving needs no look first."""
        sender = hex_of(call.sender)
        if self._is_amplifier(call):
            message = (self.source.name, call.message_id, sender, call.contract, call.payload_hash)
            self._send(self.destination.amplifier, call_data(_APPROVE_AMPLIFIER, [message]))
            return
        approval = (self.source.name, sender, call.contract, call.payload_hash, call.key.tx_hash, call.key.position)
        self._send(self.destination.gateway, call_data(_APPROVE_CLASSIC, self._command(call), approval))

    def _execute(self, key: Key, call: AxelarCall) -> None:
        arguments = (self._command(call), self.source.name, hex_of(call.sender), call.payload)
        data = call_data("execute(bytes32,string,string,bytes)", *arguments)
        starved = key not in self.memory.pardoned and self.faults.strikes("starve", self.faults.starve, key)
        sent = Sent(OPERATOR, call.contract, data)
        try:
            self.destination.node.send(replace(sent, gas=own_cost(data) + _TOO_LITTLE) if starved else sent)
        except NodeRefused:
            return  # a reverted execution leaves no trace but the gateway's state, which is looked at next

    def _executed(self, call: AxelarCall) -> bool:
        node, name = self.destination.node, self.source.name
        if self._is_amplifier(call):
            asked = ("isMessageExecuted(string,string)", ["bool"], name, call.message_id)
            return bool(node.view(self.destination.amplifier, *asked)[0])
        command, gateway = self._command(call), self.destination.gateway
        (known,) = node.view(gateway, "isCommandExecuted(bytes32)", ["bool"], command)
        approval = (command, name, hex_of(call.sender), call.contract, call.payload_hash)
        (open_,) = node.view(gateway, _IS_APPROVED, ["bool"], *approval)
        return bool(known) and not open_

    def _command(self, call: AxelarCall) -> bytes:
        if self._is_amplifier(call):
            return call.amplifier_command(self.source.name)
        return call.classic_command(self.destination.chain_id)

    def _is_amplifier(self, call: AxelarCall) -> bool:
        return call.gateway == self.source.amplifier

    def _send(self, to: Address, data: bytes) -> None:
        self.destination.node.send(Sent(OPERATOR, to, data))
