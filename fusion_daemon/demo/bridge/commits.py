"""What CCIP's network has committed on the destination for one lane, and how it commits and withdraws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak

from fusion_daemon.crosschain.merkle import root_of
from fusion_daemon.demo.bridge.ccip_messages import CcipMessage
from fusion_daemon.demo.bridge.deploy import OPERATOR, BridgeChain
from fusion_daemon.demo.bridge.logs import BridgeLog, read_logs
from fusion_daemon.demo.node import Sent, call_data
from fusion_daemon.domain.identifiers import Address

_PRICES = "((address,uint224)[],(uint64,uint224)[])"
_ROOT_16 = "(uint64,bytes,uint64,uint64,bytes32)"
_REPORT_15 = f"({_PRICES},(uint64,uint64),bytes32)"
_REPORT_16 = [f"{_ROOT_16}[]", f"{_ROOT_16}[]", _PRICES]
_ACCEPTED_15 = keccak(text=f"ReportAccepted({_REPORT_15})")
_ACCEPTED_16 = keccak(text=f"CommitReportAccepted({','.join(_REPORT_16)})")
_REMOVED = keccak(text="RootRemoved(bytes32)")


@dataclass(frozen=True, slots=True)
class Commit:
    """Both numbers are inside."""

    first: int
    last: int
    root: bytes

    def leaves(self, messages: Sequence[CcipMessage]) -> list[CcipMessage]:
        """The messages under the root; none when the source does not have them any more."""
        under = [message for message in messages if self.first <= message.number <= self.last]
        whole = len(under) == self.last - self.first + 1
        return under if whole and root_of([message.leaf for message in under]) == self.root else []


@dataclass(frozen=True, slots=True)
class CommitBook:
    source: BridgeChain
    destination: BridgeChain
    generation: Literal["1.5", "1.6"]

    def standing(self) -> list[Commit]:
        """In order, withdrawn ones left out."""
        commits: list[Commit] = []
        topics = [_ACCEPTED_15, _ACCEPTED_16, _REMOVED]
        for log in read_logs(self.destination.node, [self._contract], topics, None):
            if log.topics[0] == _REMOVED:
                commits = [commit for commit in commits if commit.root != log.data]
            else:
                commits += _accepted(log)
        return commits

    def withdraw_vanished(self, messages: Sequence[CcipMessage]) -> None:
        """A commit whose messages a reorg of the source took away would block its numbers for ever: withdraw it, and
        what was committed after it, from the last on."""
        commits = self.standing()
        broken = next((place for place, commit in enumerate(commits) if not commit.leaves(messages)), len(commits))
        for commit in reversed(commits[broken:]):
            self._send(call_data("removeRoot(bytes32,uint64)", commit.root, commit.first))

    def commit(self, messages: Sequence[CcipMessage]) -> None:
        """One root over messages that follow what is committed, in order."""
        first, last = messages[0].number, messages[-1].number
        root = root_of([message.leaf for message in messages])
        if self.generation == "1.5":
            self._send(call_data(f"commit({_REPORT_15})", (((), ()), (first, last), root)))
            return
        ramp = encode(["address"], [self.source.on_ramps["1.6"]])
        self._send(call_data(f"commit({_ROOT_16})", (self.source.selector, ramp, first, last, root)))

    @property
    def _contract(self) -> Address:
        return self.destination.commit_store if self.generation == "1.5" else self.destination.off_ramps["1.6"]

    def _send(self, data: bytes) -> None:
        self.destination.node.send(Sent(OPERATOR, self._contract, data))


def _accepted(log: BridgeLog) -> list[Commit]:
    if log.topics[0] == _ACCEPTED_15:
        _, (first, last), root = decode([_REPORT_15], log.data)[0]
        return [Commit(first, last, root)]
    _, unblessed, _ = decode(_REPORT_16, log.data)
    return [Commit(first, last, root) for _, _, first, last, root in unblessed]
