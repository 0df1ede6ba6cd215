"""What Axelar shows of a message.

An approval names its call by (source chain, transaction, position in the receipt), and by nothing else is it tied to
one: payload hash, sender and contract are checked, never searched by.
"""

from __future__ import annotations

from collections.abc import Sequence

from fusion_daemon.crosschain.by_kind import ByKind
from fusion_daemon.crosschain.envelope import Envelope
from fusion_daemon.crosschain.evidence import (
    AxelarApproved,
    AxelarCalled,
    AxelarExecuted,
    AxelarGasAdded,
    AxelarGasPaid,
)
from fusion_daemon.crosschain.gas import fees_of
from fusion_daemon.crosschain.ids import axelar_message
from fusion_daemon.crosschain.networks import Networks, address_of
from fusion_daemon.crosschain.standing import Flag, State
from fusion_daemon.crosschain.trace import Outcome, Trace


def trace_axelar(trace: Trace, found: ByKind, envelope: Envelope | None, networks: Networks, least_gas: int) -> None:
    calls = []
    for call in found.of(AxelarCalled):
        if is_our_call(call, envelope, networks):
            calls.append(call)
            trace.sources.append(call.place)
        else:
            trace.forged.append(call.place)
    approvals = found.of(AxelarApproved)
    if approvals:
        _trace_destination(trace, found, calls, approvals, envelope, networks)
    if calls:
        fees = fees_of(calls, found.of(AxelarGasPaid), found.of(AxelarGasAdded))
        if not any(fee.paid for fee in fees):
            trace.flags.add(Flag.GAS_UNPAID)
        elif all(fee.native < least_gas and not fee.other for fee in fees):
            trace.flags.add(Flag.GAS_LOW)


def _trace_destination(
    trace: Trace,
    found: ByKind,
    calls: Sequence[AxelarCalled],
    approvals: Sequence[AxelarApproved],
    envelope: Envelope | None,
    networks: Networks,
) -> None:
    commands = set()
    messages = {axelar_message(call.place.tx_hash, call.place.receipt_index or 0) for call in calls}
    for approval in approvals:
        if not is_meant(approval, envelope, networks):
            trace.forged.append(approval.place)
            continue
        commands.add((approval.place.chain, approval.command))
        if not approval.sound:
            trace.flags.add(Flag.ID_MISMATCH)
        if messages and approval.source_message not in messages:
            trace.flags.add(Flag.STRAY_APPROVAL)
        else:
            trace.accepted.append((approval.place, State.APPROVED))
    for run in found.of(AxelarExecuted):
        if (run.place.chain, run.command) in commands:
            trace.outcomes.append((run.place, Outcome.SUCCESS))


def is_our_call(call: AxelarCalled, envelope: Envelope | None, networks: Networks) -> bool:
    chain, far = call.place.chain, networks.by_axelar(call.destination_chain)
    return (
        far is not None
        and call.sender == networks.axelar_adapter(chain)
        and address_of(call.destination) == networks.axelar_adapter(far)
        and (envelope is None or (envelope.source, envelope.destination) == (chain, far))
    )


def is_meant(approval: AxelarApproved, envelope: Envelope | None, networks: Networks) -> bool:
    near, here = networks.by_axelar(approval.source_chain), approval.place.chain
    return (
        near is not None
        and address_of(approval.source_address) == networks.axelar_adapter(near)
        and approval.contract == networks.axelar_adapter(here)
        and (envelope is None or (envelope.source, envelope.destination) == (near, here))
    )
