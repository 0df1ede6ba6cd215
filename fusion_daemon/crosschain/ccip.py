"""CCIP's events of 1.2/1.5, 1.6 and 2.0; the topic tells the version.

Ramps serve everybody. A message that neither comes from our adapter, nor goes to it, nor carries one of our envelopes
is left out here; commits and executions do not say whose they are, and are kept until a message claims them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from fusion_daemon.crosschain import ids
from fusion_daemon.crosschain.ccip_packed import read_packed
from fusion_daemon.crosschain.envelope import id_of
from fusion_daemon.crosschain.evidence import (
    CcipCommitted,
    CcipExecuted,
    CcipRootRemoved,
    CcipSent,
    CcipSkipped,
    CcipState,
    CcipVersion,
    Evidence,
    Lane,
    RawLog,
)
from fusion_daemon.crosschain.layout import Layout, Unreadable, Value
from fusion_daemon.crosschain.networks import Networks
from fusion_daemon.crosschain.parsing import Parse, is_ours
from fusion_daemon.domain.identifiers import Address, Hash32

MESSAGE_1_5 = (
    "(uint64,address,address,uint64,uint256,bool,uint64,address,uint256,bytes,(address,uint256)[],bytes[],bytes32)"
)
MESSAGE_1_6 = (
    "((bytes32,uint64,uint64,uint64,uint64),address,bytes,bytes,bytes,address,uint256,uint256,"
    "(address,bytes,bytes,uint256,bytes)[])"
)
PRICES = "((address,uint224)[],(uint64,uint224)[])"
ROOTS = "(uint64,bytes,uint64,uint64,bytes32)[]"

SEND_REQUESTED = Layout(f"CCIPSendRequested({MESSAGE_1_5})")
REPORT_ACCEPTED = Layout(f"ReportAccepted(({PRICES},(uint64,uint64),bytes32))")
EXECUTION_1_5 = Layout("ExecutionStateChanged(uint64 indexed,bytes32 indexed,uint8,bytes)")
MESSAGE_SENT_1_6 = Layout(f"CCIPMessageSent(uint64 indexed,uint64 indexed,{MESSAGE_1_6})")
COMMIT_REPORT_ACCEPTED = Layout(f"CommitReportAccepted({ROOTS},{ROOTS},{PRICES})")
EXECUTION_1_6 = Layout(
    "ExecutionStateChanged(uint64 indexed,uint64 indexed,bytes32 indexed,bytes32,uint8,bytes,uint256)"
)
MESSAGE_SENT_2_0 = Layout(
    "CCIPMessageSent(uint64 indexed,address indexed,bytes32 indexed,address,uint256,bytes,"
    "(address,uint32,uint32,uint256,bytes)[],bytes[])"
)
EXECUTION_2_0 = Layout("ExecutionStateChanged(uint64 indexed,uint64 indexed,bytes32 indexed,uint8,bytes)")
SKIPPED_1_5 = Layout("SkippedAlreadyExecutedMessage(uint64 indexed)")
SKIPPED_1_6 = Layout("SkippedAlreadyExecutedMessage(uint64,uint64)")
ATTEMPTED_1_5 = Layout("AlreadyAttempted(uint64)")
ATTEMPTED_1_6 = Layout("AlreadyAttempted(uint64,uint64)")
ROOT_REMOVED = Layout("RootRemoved(bytes32)")

Values = tuple[Value, ...]
Message15 = tuple[
    int, bytes, bytes, int, int, bool, int, bytes, int, bytes, tuple[ids.Token15, ...], tuple[bytes, ...], bytes
]
_Header16 = tuple[bytes, int, int, int, int]
Message16 = tuple[_Header16, bytes, bytes, bytes, bytes, bytes, int, int, tuple[ids.Token16, ...]]
_Root = tuple[int, bytes, int, int, bytes]


def _sent_1_5(log: RawLog, values: Values, networks: Networks) -> tuple[Evidence, ...]:
    message = cast("tuple[Message15]", values)[0]
    source, sender, receiver, seq, gas, strict, nonce, fee_token, fee, data, tokens, token_data, named = message
    far = networks.far_selector(log.place.chain, log.emitter)
    if not _concerns(networks, source, far, sender, receiver, data):
        return ()
    lane = None if far is None else (CcipVersion.V1_5, source, far, b"")
    sound = far is None or named == ids.ccip_1_5_id(
        source,
        far,
        log.emitter,
        Address(sender),
        Address(receiver),
        seq,
        gas,
        strict,
        nonce,
        Address(fee_token),
        fee,
        data,
        tokens,
        token_data,
    )
    return (_sent(log, CcipVersion.V1_5, named, lane, seq, sender, receiver, data, sound),)


def _sent_1_6(log: RawLog, values: Values, networks: Networks) -> tuple[Evidence, ...]:
    _, _, message = cast("tuple[int, int, Message16]", values)
    header, sender, data, receiver, extra, fee_token, fee, _juels, tokens = message
    named, source, destination, seq, nonce = header
    to = address_in(receiver)
    if not _concerns(networks, source, destination, sender, to, data):
        return ()
    sound = named == ids.ccip_1_6_id(
        source, destination, log.emitter, Address(sender), seq, nonce, Address(fee_token), fee, receiver, data,
        tokens, extra,
    )  # fmt: skip
    lane = (CcipVersion.V1_6, source, destination, bytes(log.emitter))
    return (_sent(log, CcipVersion.V1_6, named, lane, seq, sender, to, data, sound),)


def _sent_2_0(log: RawLog, values: Values, networks: Networks) -> tuple[Evidence, ...]:
    _, sender, named, _, _, encoded, _, _ = cast(
        "tuple[int, bytes, bytes, bytes, int, bytes, tuple[Value, ...], tuple[bytes, ...]]", values
    )
    packed = read_packed(encoded)
    to = address_in(packed.receiver)
    if not _concerns(networks, packed.source, packed.destination, sender, to, packed.data):
        return ()
    sound = named == ids.ccip_2_0_id(encoded) and address_in(packed.sender) == sender
    return (_sent(log, CcipVersion.V2_0, named, None, packed.number, sender, to, packed.data, sound),)


def _sent(
    log: RawLog,
    version: CcipVersion,
    named: bytes,
    lane: Lane | None,
    seq: int,
    sender: bytes,
    receiver: bytes,
    data: bytes,
    sound: bool,
) -> Evidence:
    return CcipSent(
        log.place, id_of(data), version, Hash32(named), lane, seq, Address(sender), Address(receiver), data, sound
    )


def _concerns(
    networks: Networks, source: int, destination: int | None, sender: bytes, receiver: bytes, data: bytes
) -> bool:
    near = networks.by_selector(source)
    far = None if destination is None else networks.by_selector(destination)
    return (
        (near is not None and networks.ccip_adapter(near) == sender)
        or (far is not None and networks.ccip_adapter(far) == receiver)
        or is_ours(data, networks)
    )


def address_in(octets: bytes) -> bytes:
    """20 octets, or the 32 of an `abi.encode(address)`; of another family as they are, which matches nobody."""
    return octets[12:] if len(octets) == 32 and octets[:12] == bytes(12) else octets


def _committed_1_5(log: RawLog, values: Values, networks: Networks) -> tuple[Evidence, ...]:
    _prices, interval, root = cast("tuple[tuple[Value, tuple[int, int], bytes]]", values)[0]
    if root == bytes(32):
        return ()  # a report of prices alone
    lane = _lane_1_5(log, networks)
    return (CcipCommitted(log.place, 0, lane, interval[0], interval[1], Hash32(root)),)


def _lane_1_5(log: RawLog, networks: Networks) -> Lane | None:
    far, near = networks.far_selector(log.place.chain, log.emitter), networks.selector(log.place.chain)
    return None if far is None or near is None else (CcipVersion.V1_5, far, near, b"")


def _committed_1_6(log: RawLog, values: Values, networks: Networks) -> tuple[Evidence, ...]:
    blessed, unblessed, _prices = cast("tuple[tuple[_Root, ...], tuple[_Root, ...], Value]", values)
    near = networks.selector(log.place.chain)
    if near is None:
        return ()
    return tuple(
        CcipCommitted(log.place, part, (CcipVersion.V1_6, source, near, address_in(on_ramp)), first, last, Hash32(root))
        for part, (source, on_ramp, first, last, root) in enumerate((*blessed, *unblessed))
        if networks.by_selector(source) is not None
    )


def _executed_1_5(log: RawLog, values: Values, _networks: Networks) -> tuple[Evidence, ...]:
    _seq, message, state, answer = cast("tuple[int, bytes, int, bytes]", values)
    return _executed(log, CcipVersion.V1_5, message, state, answer)


def _executed_1_6(log: RawLog, values: Values, networks: Networks) -> tuple[Evidence, ...]:
    source, _seq, message, _hash, state, answer, _gas = cast("tuple[int, int, bytes, bytes, int, bytes, int]", values)
    known = networks.by_selector(source) is not None
    return _executed(log, CcipVersion.V1_6, message, state, answer) if known else ()


def _executed_2_0(log: RawLog, values: Values, networks: Networks) -> tuple[Evidence, ...]:
    source, _number, message, state, answer = cast("tuple[int, int, bytes, int, bytes]", values)
    known = networks.by_selector(source) is not None
    return _executed(log, CcipVersion.V2_0, message, state, answer) if known else ()


def _executed(log: RawLog, version: CcipVersion, message: bytes, state: int, answer: bytes) -> tuple[Evidence, ...]:
    if state > CcipState.FAILURE:
        raise Unreadable(f"an execution state {state}")
    return (CcipExecuted(log.place, version, Hash32(message), CcipState(state), answer),)


def _skipped_1_5(log: RawLog, values: Values, networks: Networks) -> tuple[Evidence, ...]:
    return (CcipSkipped(log.place, _lane_1_5(log, networks), cast("tuple[int]", values)[0]),)


def _skipped_1_6(log: RawLog, values: Values, networks: Networks) -> tuple[Evidence, ...]:
    source, seq = cast("tuple[int, int]", values)
    near = networks.selector(log.place.chain)
    if near is None or networks.by_selector(source) is None:
        return ()
    return (CcipSkipped(log.place, (CcipVersion.V1_6, source, near, b""), seq),)


def _root_removed(log: RawLog, values: Values, _networks: Networks) -> tuple[Evidence, ...]:
    return (CcipRootRemoved(log.place, Hash32(cast("tuple[bytes]", values)[0])),)


ON_RAMP: Mapping[Layout, Parse] = {
    SEND_REQUESTED: _sent_1_5,
    MESSAGE_SENT_1_6: _sent_1_6,
    MESSAGE_SENT_2_0: _sent_2_0,
}
COMMIT_STORE: Mapping[Layout, Parse] = {REPORT_ACCEPTED: _committed_1_5, ROOT_REMOVED: _root_removed}
OFF_RAMP: Mapping[Layout, Parse] = {
    COMMIT_REPORT_ACCEPTED: _committed_1_6,
    ROOT_REMOVED: _root_removed,
    EXECUTION_1_5: _executed_1_5,
    EXECUTION_1_6: _executed_1_6,
    EXECUTION_2_0: _executed_2_0,
    SKIPPED_1_5: _skipped_1_5,
    SKIPPED_1_6: _skipped_1_6,
    ATTEMPTED_1_5: _skipped_1_5,
    ATTEMPTED_1_6: _skipped_1_6,
}
"""The router's own `MessageExecuted` is not read: it says that the receiver was called, and not what that did."""
