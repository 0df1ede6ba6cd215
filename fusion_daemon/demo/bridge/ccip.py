"""CCIP's network in one direction and generation: commits what is final on the source, then executes it.

Like the relayer it keeps no record of what it did: commits and execution states are read from the destination
in each step. Only whom it names as a sender under a fault is remembered, as root and execution must agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from eth_account import Account

from fusion_daemon.crosschain.merkle import siblings_of
from fusion_daemon.demo.bridge.ccip_messages import (
    EXECUTE_20,
    FORM_15,
    FORM_16,
    MANUALLY_EXECUTE_15,
    MANUALLY_EXECUTE_16,
    READERS,
    SENT_TOPICS,
    CcipMessage,
    Lane,
)
from fusion_daemon.demo.bridge.commits import CommitBook
from fusion_daemon.demo.bridge.deploy import OPERATOR, VERIFIER, VERIFIER_KEY, BridgeChain, Generation
from fusion_daemon.demo.bridge.faults import Faults, Key, Memory
from fusion_daemon.demo.bridge.logs import finalized, read_logs
from fusion_daemon.demo.node import NodeRefused, Sent, call_data
from fusion_daemon.domain.identifiers import Address

_TOO_LITTLE = 1_000
"""Gas for the receiver."""
_AMPLE = 3_000_000
"""Gas for the receiver when a failed message is executed by hand."""
_SUCCESS, _FAILURE = 2, 3


@dataclass(slots=True)
class CcipNetwork:
    source: BridgeChain
    destination: BridgeChain
    generation: Generation
    faults: Faults
    depth: int | None
    memory: Memory = field(default_factory=Memory)
    _senders: dict[Key, Address | None] = field(default_factory=dict)
    """Who is said to have sent a message; None: who did."""

    def step(self) -> None:
        messages = self._messages()
        self.memory.look(message.key for message in messages)
        proofs = self._signed(messages) if self.generation == "2.0" else self._committed(self.generation, messages)
        waiting = [(each.key, each) for each in messages if self._state(each) != _SUCCESS]
        for key, message in self.faults.ordered(waiting):
            if self._state(message) == _FAILURE and key not in self.memory.pardoned:
                self.memory.fail(key)
            elif not self.memory.holds(key, self.faults) and key in proofs:
                self._execute(key, message, proofs[key])

    def _messages(self) -> list[CcipMessage]:
        ramp = self.source.on_ramps[self.generation]
        lane = Lane(self.source.selector, self.destination.selector, ramp)
        last = finalized(self.source.node, self.depth)
        logs = read_logs(self.source.node, [ramp], [SENT_TOPICS[self.generation]], last)
        read = READERS[self.generation]
        self._senders = {log.key: self._senders.get(log.key, self.faults.wrong_source) for log in logs}
        return [read(log, lane, self._senders[log.key]) for log in logs]

    def _signed(self, messages: Sequence[CcipMessage]) -> dict[Key, object]:
        """2.0: the verifier's signature of each message."""
        return {message.key: _signature(message.message_id) for message in messages}

    def _committed(self, generation: Literal["1.5", "1.6"], messages: Sequence[CcipMessage]) -> dict[Key, object]:
        """Commits what is new; then the siblings of each message under a commit."""
        book = CommitBook(self.source, self.destination, generation)
        book.withdraw_vanished(messages)
        fresh = self._fresh(messages, max((commit.last for commit in book.standing()), default=0))
        if fresh:
            book.commit(fresh)
        proofs: dict[Key, object] = {}
        for commit in book.standing():
            under = commit.leaves(messages)
            leaves = [message.leaf for message in under]
            proofs |= {message.key: siblings_of(leaves, index) for index, message in enumerate(under)}
        return proofs

    def _fresh(self, messages: Sequence[CcipMessage], committed: int) -> list[CcipMessage]:
        """What follows the committed numbers and has waited long enough, up to the first that has not: a gap in the
        numbers cannot be committed."""
        fresh: list[CcipMessage] = []
        for message in messages:
            if message.number == committed + 1 + len(fresh) and not self.memory.waits(message.key, self.faults):
                fresh.append(message)
        return fresh

    def _execute(self, key: Key, message: CcipMessage, proof: object) -> None:
        again = self._state(message) == _FAILURE
        pardoned = key in self.memory.pardoned
        starved = not pardoned and self.faults.strikes("starve", self.faults.starve, key)
        gas = _AMPLE if again else _TOO_LITTLE if starved else message.gas_limit
        for _ in range(2 if self.faults.strikes("duplicate", self.faults.duplicate, key) else 1):
            # A retry that failed again, or a duplicate: the state tells, and is looked at next.
            with suppress(NodeRefused):
                self._send(self._off_ramp, self._execution(message, proof, gas, again))
        if self._state(message) != _SUCCESS:
            self.memory.pardoned.discard(key)
            self.memory.fail(key)

    def _execution(self, message: CcipMessage, proof: object, gas: int, again: bool) -> bytes:
        """By hand in the vendor's own words; the network's turn of the older two is the dev ramps' own."""
        if self.generation == "2.0":
            return call_data(EXECUTE_20, message.form, [VERIFIER], [proof], gas)
        old = self.generation == "1.5"
        if not again:
            form = FORM_15 if old else FORM_16
            return call_data(f"execute({form},bytes32[],uint256)", message.form, proof, gas)
        if old:
            return call_data(MANUALLY_EXECUTE_15, ([message.form], [()], proof, 0), [(gas, ())])
        report = (self.source.selector, [message.form], [()], proof, 0)
        return call_data(MANUALLY_EXECUTE_16, [report], [[(gas, ())]])

    def _state(self, message: CcipMessage) -> int:
        signature, arguments = {
            "1.5": ("getExecutionState(uint64)", (message.number,)),
            "1.6": ("getExecutionState(uint64,uint64)", (self.source.selector, message.number)),
            "2.0": ("getExecutionState(bytes32)", (message.message_id,)),
        }[self.generation]
        (state,) = self.destination.node.view(self._off_ramp, signature, ["uint8"], *arguments)
        assert isinstance(state, int)
        return state

    @property
    def _off_ramp(self) -> Address:
        return self.destination.off_ramps[self.generation]

    def _send(self, to: Address, data: bytes) -> None:
        self.destination.node.send(Sent(OPERATOR, to, data))


def _signature(message_id: bytes) -> bytes:
    return bytes(Account.from_key(VERIFIER_KEY).unsafe_sign_hash(message_id).signature)
