"""CCIP's manual execution: the call of an off-ramp by which anyone delivers a message that its network does not.

What each version asks for, and where it comes from:

* 1.5 and 1.6: the message, and a proof that it lies under a committed root. Both are made from the on-ramp's logs:
  those of all messages whose numbers the commit covers, other people's too. INVARIANT: the root above their leaves is
  the committed one, or else nothing is proposed. Anyone may call at once after a FAILURE, and when the network has left
  the message alone for the lane's threshold. (1.2 has another signature: the simulation of the call refuses it.)
* 2.0: the encoded message, which the on-ramp's log holds, and what its verifiers answered. Chains show no such answer
  before somebody has used it, and then only in the calldata of that transaction, which no log repeats; on the source
  there are the verifiers' blobs, which are their input. So the answers are given by whoever asks for the retry. Anyone
  may call at any time.

Up to 1.6 a second failure reverts, so that its simulation shows it and nothing is sent. Messages with tokens are left
alone: theirs may need attestations from elsewhere, and ours carry none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from fusion_daemon.crosschain.by_kind import ByKind
from fusion_daemon.crosschain.ccip import MESSAGE_1_5, MESSAGE_SENT_1_6, MESSAGE_SENT_2_0, SEND_REQUESTED
from fusion_daemon.crosschain.ccip_delivery import DELIVERED_1_6, Delivery, delivery_1_5, delivery_1_6
from fusion_daemon.crosschain.ccip_packed import read_packed
from fusion_daemon.crosschain.ccip_trace import is_our_send, is_withdrawn
from fusion_daemon.crosschain.envelope import Envelope
from fusion_daemon.crosschain.evidence import (
    CcipCommitted,
    CcipExecuted,
    CcipRootRemoved,
    CcipSent,
    CcipState,
    CcipVersion,
    Lane,
    Place,
    RawLog,
)
from fusion_daemon.crosschain.layout import Unreadable
from fusion_daemon.crosschain.merkle import root_of, siblings_of
from fusion_daemon.crosschain.networks import CcipContracts, Networks
from fusion_daemon.domain.identifiers import Address, ChainId, hex_of

MOST_GAS = 20_000_000
"""For a receiver: what fits into a block of the smaller chains with all that is around it."""
_AROUND = 500_000
"""Gas of what an off-ramp does besides the receiver's call: the proof or the verifiers, ERC-165, its state."""
_REPORT_1_5 = f"({MESSAGE_1_5}[],bytes[][],bytes32[],uint256)"
_REPORT_1_6 = f"(uint64,{DELIVERED_1_6}[],bytes[][],bytes32[],uint256)"
_MANUAL_1_5 = (_REPORT_1_5, "(uint256,uint256[])[]")
_MANUAL_1_6 = (f"{_REPORT_1_6}[]", "(uint256,uint32[])[][]")
_EXECUTE_2_0 = ("bytes", "address[]", "bytes[]", "uint32")


class Unprovable(ValueError):
    """No manual execution can be made; the text says what to do instead."""


class Verification(msgspec.Struct, frozen=True):
    """What one verifier of CCIP 2.0 answered."""

    verifier: Address
    """Its contract on the destination."""
    result: bytes


class Manual(msgspec.Struct, frozen=True):
    """What is needed beyond the message's own evidence."""

    logs: Sequence[RawLog]
    """Of the on-ramp: the messages of the commit; and those of the message's commits and executions. More may be in
    it."""
    now: int
    """Unix second."""
    after: int
    """Seconds from a commit until anyone may execute what the network left alone."""
    gas_limit: int | None = None
    """For the receiver, in place of the message's own. None: after a failure twice its own, for want of gas is the
    failure that a retry cures; else its own. What the receiver does not use is not paid."""
    verifications: Sequence[Verification] = ()


class ManualCall(msgspec.Struct, frozen=True):
    chain: ChainId
    off_ramp: Address
    data: bytes
    gas_floor: int
    """For the transaction. An off-ramp that cannot hand the receiver its gas notes a FAILURE and returns, so that a
    simulation finds far less to be enough."""


def manual_call(found: ByKind, envelope: Envelope, networks: Networks, manual: Manual) -> ManualCall:
    """Raises Unprovable."""
    contracts = networks[envelope.destination].ccip
    sent = next((each for each in found.of(CcipSent) if is_our_send(each, envelope, networks)), None)
    if sent is None or contracts is None:
        raise Unprovable("Its CCIP message is not known: without one there is nothing to execute.")
    failed = _failure(found, sent, envelope.destination)
    try:
        if sent.version is CcipVersion.V2_0:
            off_ramp, data, gas = _execute_2_0(sent, contracts, failed, manual)
        else:
            off_ramp, data, gas = _execute_committed(found, sent, contracts, failed, manual)
    except Unreadable as error:
        raise Unprovable(f"A message of its commit is unlike its version ({error}). {_elsewhere(sent)}") from error
    floor = gas * 21 // 20 + _AROUND  # three calls deep, each of which keeps a 64th back
    return ManualCall(envelope.destination, off_ramp, data, floor)


def _execute_committed(
    found: ByKind, sent: CcipSent, contracts: CcipContracts, failed: CcipExecuted | None, manual: Manual
) -> tuple[Address, bytes, int]:
    """Off-ramp, calldata, and the receiver's gas."""
    if sent.lane is None:
        raise Unprovable("Say in the chain's `lanes` where its on-ramp leads.")
    lane = _deliveries(sent, sent.lane, manual)
    unproven = "No commit of it stands: wait for CCIP's network to commit it."
    for commit in _commits(found, sent):
        under = [lane[seq] for seq in range(commit.first, commit.last + 1) if seq in lane]
        if len(under) <= commit.last - commit.first:
            unproven = f"The logs of its commit's messages {commit.first} to {commit.last} are not all stored."
            continue
        leaves = [each.leaf for each in under]
        if root_of(leaves) != commit.root:
            unproven = "What was committed is not what its source shows: tell CCIP's operators, it may be forged."
            continue
        _check_time(commit, failed, manual)
        own = under[sent.seq - commit.first]
        if own.message != sent.message or own.tokens:
            raise Unprovable(f"It carries tokens, or its number is another's. {_elsewhere(sent)}")
        siblings = siblings_of(leaves, sent.seq - commit.first)
        gas = _gas_limit(own.gas_limit, failed, manual)
        if sent.version is CcipVersion.V1_5:
            off_ramp = _off_ramp_1_5(sent, contracts, failed, manual)
            return off_ramp, _manual_1_5(own, siblings, gas), gas or own.gas_limit
        return _emitter(commit.place, manual), _manual_1_6(sent.lane[1], own, siblings, gas), gas or own.gas_limit
    raise Unprovable(f"{unproven} {_elsewhere(sent)}")


def _execute_2_0(
    sent: CcipSent, contracts: CcipContracts, failed: CcipExecuted | None, manual: Manual
) -> tuple[Address, bytes, int]:
    """Off-ramp, calldata, and the receiver's gas."""
    log = _log_at(sent.place, manual)
    encoded = MESSAGE_SENT_2_0.values(log.topics, log.data)[5]
    assert isinstance(encoded, bytes)
    packed = read_packed(encoded)
    if keccak(encoded) != sent.message or packed.token_transfer:
        raise Unprovable(f"It carries a token, or is not what its id says. {_elsewhere(sent)}")
    if packed.off_ramp not in contracts.off_ramps:
        raise Unprovable(f"Its off-ramp {hex_of(packed.off_ramp)} is not in the configuration: verify it and add it.")
    if not manual.verifications:
        used = "" if failed is None else f", or those in the calldata of {hex_of(failed.place.tx_hash)}"
        raise Unprovable(
            "Give its verifiers' answers as `verifications`: CCIP's API tells them under"
            f" /v2/messages/{hex_of(sent.message)}/execution-inputs{used}."
        )
    verifiers = [each.verifier for each in manual.verifications]
    results = [each.result for each in manual.verifications]
    gas = _gas_limit(packed.receive_gas, failed, manual)
    data = _encoded("execute", _EXECUTE_2_0, encoded, verifiers, results, gas)
    return Address(packed.off_ramp), data, gas or packed.receive_gas


def _manual_1_5(own: Delivery, siblings: Sequence[bytes], gas: int) -> bytes:
    """One leaf: every step up takes a sibling, so that no proof flag is set."""
    report = ([own.form], [()], siblings, 0)
    return _encoded("manuallyExecute", _MANUAL_1_5, report, [(gas, ())])


def _manual_1_6(source: int, own: Delivery, siblings: Sequence[bytes], gas: int) -> bytes:
    report = (source, [own.form], [()], siblings, 0)
    return _encoded("manuallyExecute", _MANUAL_1_6, [report], [[(gas, ())]])


def _encoded(name: str, types: Sequence[str], *arguments: object) -> bytes:
    return keccak(text=f"{name}({','.join(types)})")[:4] + encode(types, arguments)


def _failure(found: ByKind, sent: CcipSent, destination: ChainId) -> CcipExecuted | None:
    """The message's last execution, when that failed."""
    runs = [each for each in found.of(CcipExecuted) if each.message == sent.message and each.place.chain == destination]
    last = max(runs, key=lambda each: each.place.order, default=None)
    return last if last is not None and last.state is CcipState.FAILURE else None


def _commits(found: ByKind, sent: CcipSent) -> Iterator[CcipCommitted]:
    for commit in found.of(CcipCommitted):
        covers = commit.lane == sent.lane and commit.first <= sent.seq <= commit.last
        if covers and not is_withdrawn(commit, found.of(CcipRootRemoved)):
            yield commit


def _check_time(commit: CcipCommitted, failed: CcipExecuted | None, manual: Manual) -> None:
    begins = commit.place.timestamp + manual.after
    if failed is None and manual.now <= begins:
        raise Unprovable(
            f"CCIP's network has {begins - manual.now + 1} s left to execute it; after that anyone may, and so may you."
        )


def _gas_limit(own: int, failed: CcipExecuted | None, manual: Manual) -> int:
    """The override; 0: the message's own."""
    if manual.gas_limit is None:
        return 0 if failed is None else max(own, min(2 * own, MOST_GAS))
    if manual.gas_limit < own:
        raise Unprovable(f"Name no gas limit, or one of at least the message's own, which is {own}.")
    return manual.gas_limit


def _deliveries(sent: CcipSent, lane: Lane, manual: Manual) -> dict[int, Delivery]:
    """The lane's messages by number."""
    on_ramp, chain = _emitter(sent.place, manual), sent.place.chain
    old = sent.version is CcipVersion.V1_5
    topic = (SEND_REQUESTED if old else MESSAGE_SENT_1_6).topic
    logs = [
        log
        for log in manual.logs
        if (log.place.chain, log.emitter) == (chain, on_ramp)
        and log.topics[0] == topic
        and (old or int.from_bytes(log.topics[1]) == lane[2])
    ]
    read = [delivery_1_5(log, lane[2]) if old else delivery_1_6(log) for log in logs]
    return {each.seq: each for each in read}


def _off_ramp_1_5(sent: CcipSent, contracts: CcipContracts, failed: CcipExecuted | None, manual: Manual) -> Address:
    """Its commits are a store's, which does not name the off-ramp."""
    if failed is not None:
        return _emitter(failed.place, manual)
    chosen = [ramp for ramp in contracts.off_ramps if contracts.lanes.get(ramp) == sent.place.chain]
    if not chosen and len(contracts.off_ramps) == 1:
        chosen = list(contracts.off_ramps)
    if len(chosen) != 1:
        raise Unprovable("Say in the chain's `lanes` which off-ramp is its lane's: nobody has executed it yet.")
    return chosen[0]


def _emitter(place: Place, manual: Manual) -> Address:
    return _log_at(place, manual).emitter


def _log_at(place: Place, manual: Manual) -> RawLog:
    for log in manual.logs:
        if log.place.at == place.at:
            return log
    raise Unprovable("The logs of it are not stored any more. Execute it by CCIP's own explorer.")


def _elsewhere(sent: CcipSent) -> str:
    return f"Execute CCIP's message {hex_of(sent.message)} by CCIP's own explorer."
