"""What we can do ourselves for a message that does not get on: which call, on which chain.

INVARIANT: nothing is proposed for a message without a canonical source: executing an approval that no source stands
behind would be a forger's errand.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from fusion_daemon.crosschain.axelar_trace import is_meant, is_our_call
from fusion_daemon.crosschain.by_kind import ByKind
from fusion_daemon.crosschain.ccip_manual import Manual, Unprovable, manual_call
from fusion_daemon.crosschain.envelope import Envelope
from fusion_daemon.crosschain.evidence import (
    AxelarApproved,
    AxelarCalled,
    AxelarExecuted,
    CcipSent,
    Evidence,
    Resent,
    Sent,
    Stored,
)
from fusion_daemon.crosschain.ids import axelar_message
from fusion_daemon.crosschain.networks import Networks
from fusion_daemon.crosschain.standing import Flag, Stage, Standing, State
from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.identifiers import Address, ChainId, hex_of

AXELAR, CCIP = b"axelar".ljust(32, b"\0"), b"ccip".ljust(32, b"\0")
"""As our router names them."""
_GAS = frozenset({Flag.GAS_UNPAID, Flag.GAS_LOW})
_UNSOUND = {
    State.ORPHAN: "Find its source first: without one it is forged, or its chain is not read.",
    State.DUPLICATE: "Look at both executions: one of them has to be made undone by hand.",
    State.REORGED_OUT: "Wait for its source to come back; if it does not, send it anew.",
    State.ABANDONED: "Take the word back first: `POST /v1/messages/{id}/resume`.",
}


class RecoveryKind(StrEnum):
    RETRY = "retry"
    """Our router's own retry of what it stored."""
    EXECUTE = "execute"
    """Our Axelar adapter takes an approval."""
    GAS = "gas"
    """More gas for an Axelar call, on its source."""
    MANUAL = "manual"
    """CCIP's manual execution: anyone's call of the off-ramp."""
    RESEND = "resend"
    """Our router hands it to a bridge once more."""


class NotRecoverable(Failure):
    """There is no transaction of ours that would bring the message on."""


class Recovery(msgspec.Struct, frozen=True):
    kind: RecoveryKind
    chain: ChainId
    to: Address
    data: bytes
    refundable: bool = False
    """It takes a value, which the caller names; what the bridge does not need goes back to the signer."""
    gas_floor: int = 0
    """The least gas to give it, whatever its simulation needs."""


def recovery_kind(standing: Standing) -> RecoveryKind:
    """Raises NotRecoverable."""
    if standing.state in _UNSOUND:
        raise _hopeless(standing, _UNSOUND[standing.state])
    if standing.source is None or standing.envelope is None:
        raise _hopeless(standing, _UNSOUND[State.ORPHAN])
    if Flag.REFUSED in standing.flags:
        raise _hopeless(standing, "Our router dropped it for good: send it anew.")
    if standing.progress is State.APP_FAILED:
        return RecoveryKind.RETRY
    if standing.progress in (State.APPROVED, State.FAILED):
        return RecoveryKind.EXECUTE
    if standing.progress is State.SOURCE_FINAL and _GAS & set(standing.flags):
        return RecoveryKind.GAS
    unseen = standing.progress is State.SOURCE_FINAL and standing.stage is Stage.EXECUTION
    if standing.progress is State.COMMITTED or unseen:  # what CCIP 2.0 accepts, no chain shows
        return RecoveryKind.MANUAL
    if standing.progress is State.SOURCE_FINAL and standing.state in (State.STUCK, State.EXPIRED):
        return RecoveryKind.RESEND
    raise _hopeless(standing, _PATIENCE.get(standing.progress, "Nothing is left to do."))


_PATIENCE: dict[State | None, str] = {
    State.OBSERVED: "Wait until its source is final: what is done for it before may be lost in a reorganisation.",
    State.SOURCE_FINAL: "Its bridge has to accept it: it can be sent again once it is stuck.",
    State.EXECUTING: "The bridge reports success and our router says nothing: look at the transaction.",
}


def recovery_of(
    standing: Standing, evidence: Sequence[Evidence], networks: Networks, refund: Address, manual: Manual
) -> Recovery:
    """`evidence`: the message's own. `refund`: to whom a bridge gives back what it does not need. Raises
    NotRecoverable."""
    kind, found = recovery_kind(standing), ByKind(evidence)
    envelope = standing.envelope
    assert envelope is not None
    if envelope.source not in networks or envelope.destination not in networks:
        raise _hopeless(standing, "One of its chains is configured no longer: configure it again.")
    if kind is RecoveryKind.RETRY:
        data = _call("retry(bytes)", _payload(standing, found))
        return Recovery(kind, envelope.destination, networks[envelope.destination].router, data)
    if kind is RecoveryKind.EXECUTE:
        approved = _execution(standing, found, envelope, networks)
        if approved is not None:
            return approved
        if not found.of(CcipSent):
            raise _hopeless(standing, "Axelar has no approval open for it: have it approved again.")
        kind = RecoveryKind.MANUAL
    if kind is RecoveryKind.MANUAL:
        return _manual(standing, found, envelope, networks, manual)
    if kind is RecoveryKind.RESEND:
        return _resend(standing, found, envelope, networks, refund)
    return _gas(standing, found, envelope, networks, refund)


def _execution(standing: Standing, found: ByKind, envelope: Envelope, networks: Networks) -> Recovery | None:
    """An approval of a call that stands on the source, and that nobody has taken yet."""
    calls = [call for call in found.of(AxelarCalled) if is_our_call(call, envelope, networks)]
    messages = {axelar_message(call.place.tx_hash, call.place.receipt_index or 0) for call in calls}
    taken = {(run.place.chain, run.command) for run in found.of(AxelarExecuted)}
    for approval in found.of(AxelarApproved):
        known = is_meant(approval, envelope, networks) and approval.source_message in messages
        if known and (approval.place.chain, approval.command) not in taken:
            data = _call(
                "execute(bytes32,string,string,bytes)",
                approval.command,
                approval.source_chain,
                approval.source_address,
                _payload(standing, found),
            )
            return Recovery(RecoveryKind.EXECUTE, approval.place.chain, approval.contract, data)
    return None


def _manual(standing: Standing, found: ByKind, envelope: Envelope, networks: Networks, manual: Manual) -> Recovery:
    try:
        call = manual_call(found, envelope, networks, manual)
    except Unprovable as error:
        raise _hopeless(standing, str(error)) from error
    return Recovery(RecoveryKind.MANUAL, call.chain, call.off_ramp, call.data, gas_floor=call.gas_floor)


def _gas(standing: Standing, found: ByKind, envelope: Envelope, networks: Networks, refund: Address) -> Recovery:
    axelar = networks[envelope.source].axelar
    for call in found.of(AxelarCalled):
        index = call.place.receipt_index
        if axelar is not None and index is not None and is_our_call(call, envelope, networks):
            data = _call("addNativeGas(bytes32,uint256,address)", call.place.tx_hash, index, refund)
            return Recovery(RecoveryKind.GAS, call.place.chain, axelar.gas_service, data, refundable=True)
    raise _hopeless(standing, "No call of Axelar's gateway is known for which gas could be added.")


def _resend(standing: Standing, found: ByKind, envelope: Envelope, networks: Networks, refund: Address) -> Recovery:
    """Over another bridge than the last one, where both chains have one: what lost it once may do so again. Late too:
    the destination then takes it as expired, and what its source holds for it can come back."""
    payload = _payload(standing, found)
    attempts: list[Sent | Resent] = [*found.of(Sent), *found.of(Resent)]
    last = max(attempts, key=lambda each: each.place.order).bridge
    ends = (networks[envelope.source], networks[envelope.destination])
    bridges = [AXELAR] * all(each.axelar is not None for each in ends)
    bridges += [CCIP] * all(each.ccip is not None for each in ends)
    bridge = next((each for each in bridges if each != last), last)
    data = _call("resend(bytes,bytes32,address)", payload, bridge, refund)
    return Recovery(RecoveryKind.RESEND, envelope.source, networks[envelope.source].router, data, refundable=True)


def _payload(standing: Standing, found: ByKind) -> bytes:
    shown = [each.payload for each in found.of(Sent)] + [each.payload for each in found.of(Stored)]
    if shown:
        return shown[0]
    raise _hopeless(standing, "No log that shows its payload is on the chain any more.")


def _call(signature: str, *arguments: object) -> bytes:
    types = signature[signature.index("(") + 1 : -1].split(",")
    return keccak(text=signature)[:4] + encode(types, arguments)


def _hopeless(standing: Standing, remedy: str) -> NotRecoverable:
    progress = "nowhere" if standing.progress is None else standing.progress.value
    return NotRecoverable(
        f"The message {hex_of(standing.id)} is {standing.state.value}, and came to {progress}.",
        "No transaction of ours would bring it on; nothing was proposed.",
        remedy,
    )
