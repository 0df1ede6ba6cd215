"""Rule: the proof of a manual execution leads to the committed root, wherever the message lies under it and whatever
else does; without one nothing is proposed. The call is read, and the way up climbed, as by the vendor's off-ramp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.crosschain.by_kind import ByKind
from fusion_daemon.crosschain.ccip import (
    MESSAGE_1_5,
    MESSAGE_1_6,
    MESSAGE_SENT_1_6,
    SEND_REQUESTED,
)
from fusion_daemon.crosschain.ccip_delivery import delivery_1_5, delivery_1_6
from fusion_daemon.crosschain.ccip_manual import Manual, ManualCall, Unprovable, manual_call
from fusion_daemon.crosschain.evidence import (
    CcipCommitted,
    CcipExecuted,
    CcipRootRemoved,
    CcipSent,
    CcipState,
    CcipVersion,
    Evidence,
    Lane,
    RawLog,
)
from fusion_daemon.crosschain.ids import ccip_1_5_id, ccip_1_6_id
from fusion_daemon.crosschain.merkle import root_of
from fusion_daemon.domain.identifiers import Address, Hash32
from tests.unit.crosschain.world import ENVELOPE, NETWORKS, NOW, SELECTORS, STRANGER, A, B, Message, address, at

HERE, THERE = SELECTORS[A], SELECTORS[B]
ON_RAMP, OFF_RAMP, STORE = address(A, 4), address(B, 5), address(B, 6)
OURS, THEIRS = address(A, 7), address(B, 7)
PAYLOAD = Message().payload
GAS = 100_000
FIRST = 40
REPORT_1_5 = f"({MESSAGE_1_5}[],bytes[][],bytes32[],uint256)"
DELIVERED = "((bytes32,uint64,uint64,uint64,uint64),bytes,bytes,address,uint256,(bytes,address,uint32,bytes,uint256)[])"
REPORT_1_6 = f"(uint64,{DELIVERED}[],bytes[][],bytes32[],uint256)"


@dataclass(frozen=True)
class Commit:
    """A lane's messages from FIRST on, all under one root; ours is the one at `index`."""

    version: CcipVersion
    index: int
    logs: tuple[RawLog, ...]
    message: Hash32
    leaves: tuple[Hash32, ...]

    @property
    def lane(self) -> Lane:
        return (self.version, HERE, THERE, b"" if self.version is CcipVersion.V1_5 else bytes(ON_RAMP))

    @property
    def sent(self) -> CcipSent:
        place = self.logs[self.index].place
        seq = FIRST + self.index
        return CcipSent(place, Message().id, self.version, self.message, self.lane, seq, OURS, THEIRS, PAYLOAD, True)

    def committed(self, root: Hash32 | None = None) -> CcipCommitted:
        last = FIRST + len(self.leaves) - 1
        return CcipCommitted(at(B, 20, 3), 0, self.lane, FIRST, last, root or root_of(self.leaves))

    def failed(self) -> CcipExecuted:
        return CcipExecuted(at(B, 21, 1), self.version, self.message, CcipState.FAILURE, b"")

    def call(
        self,
        *more: Evidence,
        root: Hash32 | None = None,
        logs: Sequence[RawLog] | None = None,
        now: int = NOW,
        after: int = 0,
        gas: int | None = None,
    ) -> ManualCall:
        committed = RawLog(at(B, 20, 3), STORE if self.version is CcipVersion.V1_5 else OFF_RAMP, (), b"")
        executed = RawLog(at(B, 21, 1), OFF_RAMP, (), b"")
        found = ByKind([self.sent, self.committed(root), *more])
        manual = Manual([*(self.logs if logs is None else logs), committed, executed], now, after, gas)
        return manual_call(found, ENVELOPE, NETWORKS, manual)


def commit(version: CcipVersion, size: int, index: int) -> Commit:
    logs, leaves, named = [], [], Hash32(bytes(32))
    for number in range(size):
        ours = number == index
        log, message = (_log_1_5 if version is CcipVersion.V1_5 else _log_1_6)(FIRST + number, ours)
        logs.append(log)
        read = delivery_1_5(log, THERE) if version is CcipVersion.V1_5 else delivery_1_6(log)
        assert (read.message, read.gas_limit, read.seq) == (message, GAS, FIRST + number)
        leaves.append(read.leaf)
        named = message if ours else named
    return Commit(version, index, tuple(logs), named, tuple(leaves))


def _log_1_5(seq: int, ours: bool) -> tuple[RawLog, Hash32]:
    sender, receiver, data = (OURS, THEIRS, PAYLOAD) if ours else (STRANGER, STRANGER, seq.to_bytes(7))
    tokens = () if ours else ((STRANGER, seq),)
    token_data = () if ours else (b"token data",)
    named = ccip_1_5_id(
        HERE, THERE, ON_RAMP, sender, receiver, seq, GAS, False, 0, STRANGER, 9, data, tokens, token_data
    )
    message = (HERE, sender, receiver, seq, GAS, False, 0, STRANGER, 9, data, tokens, token_data, named)
    return _logged(seq, (SEND_REQUESTED.topic,), MESSAGE_1_5, message), named


def _log_1_6(seq: int, ours: bool) -> tuple[RawLog, Hash32]:
    sender, receiver, data = (OURS, THEIRS, PAYLOAD) if ours else (STRANGER, STRANGER, seq.to_bytes(7))
    far_token, token_gas = encode(["address"], [STRANGER]), encode(["uint32"], [90_000])
    tokens = () if ours else ((STRANGER, far_token, b"extra", seq, token_gas),)
    to = encode(["address"], [receiver])
    extra = bytes.fromhex("181dcf10") + encode(["uint256", "bool"], [GAS, True])
    named = ccip_1_6_id(HERE, THERE, ON_RAMP, sender, seq, 0, STRANGER, 9, to, data, tokens, extra)
    message = ((named, HERE, THERE, seq, 0), sender, data, to, extra, STRANGER, 9, 9, tokens)
    topics = (MESSAGE_SENT_1_6.topic, THERE.to_bytes(32), seq.to_bytes(32))
    return _logged(seq, topics, MESSAGE_1_6, message), named


def _logged(seq: int, topics: tuple[bytes, ...], kind: str, message: tuple[object, ...]) -> RawLog:
    return RawLog(at(A, 10, seq), ON_RAMP, topics, encode([kind], [message]))


@dataclass(frozen=True)
class Read:
    """A call as the off-ramp reads it."""

    message: bytes
    siblings: Sequence[bytes]
    flags: int
    gas: int


def read(version: CcipVersion, data: bytes) -> Read:
    if version is CcipVersion.V1_5:
        types = [REPORT_1_5, "(uint256,uint256[])[]"]
        report, [(gas, _)] = decode(types, data[4:])
        [message], [_], siblings, flags = report
        assert data[:4] == keccak(text=f"manuallyExecute({','.join(types)})")[:4]
        return Read(message[12], siblings, flags, gas)
    types = [f"{REPORT_1_6}[]", "(uint256,uint32[])[][]"]
    [report], [[(gas, _)]] = decode(types, data[4:])
    source, [message], [_], siblings, flags = report
    assert (source, data[:4]) == (HERE, keccak(text=f"manuallyExecute({','.join(types)})")[:4])
    return Read(message[0][0], siblings, flags, gas)


def climbed(leaf: bytes, siblings: Sequence[bytes]) -> bytes:
    for sibling in siblings:
        leaf = keccak((1).to_bytes(32) + min(leaf, sibling) + max(leaf, sibling))
    return leaf


versions = st.sampled_from([CcipVersion.V1_5, CcipVersion.V1_6])
sizes = st.integers(1, 33).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1)))
each_version = pytest.mark.parametrize("version", [CcipVersion.V1_5, CcipVersion.V1_6])


@given(versions, sizes)
def test_wherever_it_lies_its_leaf_leads_to_the_committed_root(version: CcipVersion, where: tuple[int, int]) -> None:
    lane = commit(version, *where)
    call = lane.call(lane.failed())
    found = read(version, call.data)
    assert (call.chain, call.off_ramp) == (B, OFF_RAMP)
    assert (found.message, found.flags, found.gas) == (lane.message, 0, 2 * GAS)
    assert climbed(lane.leaves[lane.index], found.siblings) == root_of(lane.leaves)


@given(versions, sizes, st.binary(min_size=32, max_size=32), st.data())
def test_another_root_and_a_missing_message_are_no_proof(
    version: CcipVersion, where: tuple[int, int], root: bytes, data: st.DataObject
) -> None:
    lane = commit(version, *where)
    if root != root_of(lane.leaves):
        with pytest.raises(Unprovable, match="not what its source shows"):
            lane.call(lane.failed(), root=Hash32(root))
    missing = data.draw(st.sampled_from(lane.logs))
    with pytest.raises(Unprovable, match="stored"):
        lane.call(lane.failed(), logs=[log for log in lane.logs if log is not missing])


@each_version
def test_a_withdrawn_commit_proves_nothing(version: CcipVersion) -> None:
    lane = commit(version, 3, 1)
    with pytest.raises(Unprovable, match="No commit of it stands"):
        lane.call(lane.failed(), CcipRootRemoved(at(B, 22), root_of(lane.leaves)))


@each_version
def test_an_untouched_one_has_to_wait_and_keeps_its_gas_limit(version: CcipVersion) -> None:
    lane = commit(version, 3, 1)
    with pytest.raises(Unprovable, match="CCIP's network has 1 s left"):
        lane.call(now=NOW + 500, after=500)
    call = lane.call(now=NOW + 501, after=500)
    assert (call.off_ramp, read(version, call.data).gas) == (OFF_RAMP, 0)


@each_version
def test_the_last_execution_decides_whether_it_failed(version: CcipVersion) -> None:
    lane = commit(version, 3, 1)
    success = CcipExecuted(at(B, 22), version, lane.message, CcipState.SUCCESS, b"")
    elsewhere = CcipExecuted(at(A, 99), version, lane.message, CcipState.SUCCESS, b"")
    with pytest.raises(Unprovable, match="left"):
        lane.call(lane.failed(), success, after=500)
    assert lane.call(lane.failed(), elsewhere, after=500).chain == B


@each_version
def test_logs_of_other_lanes_and_ramps_are_not_mixed_in(version: CcipVersion) -> None:
    lane = commit(version, 5, 2)
    stray = [RawLog(log.place, STRANGER, log.topics, b"") for log in lane.logs]
    if version is CcipVersion.V1_6:
        away = (MESSAGE_SENT_1_6.topic, SELECTORS[A].to_bytes(32), FIRST.to_bytes(32))
        stray.append(RawLog(at(A, 11), ON_RAMP, away, lane.logs[0].data))
    assert lane.call(lane.failed(), logs=[*lane.logs, *stray]) == lane.call(lane.failed())


def test_a_message_of_somebody_elses_is_not_ours_to_execute() -> None:
    lane = commit(CcipVersion.V1_6, 3, 1)
    forged = CcipSent(
        lane.sent.place, lane.sent.id, lane.version, lane.message, lane.lane, lane.sent.seq, Address(STRANGER), THEIRS,
        PAYLOAD, True,
    )  # fmt: skip
    with pytest.raises(Unprovable, match="not known"):
        manual_call(ByKind([forged, lane.committed(), lane.failed()]), ENVELOPE, NETWORKS, Manual(lane.logs, NOW, 0))
