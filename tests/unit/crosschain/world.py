"""Two chains, both bridges, one message: the evidence that each step leaves, for scenarios to choose from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from fusion_daemon.crosschain import (
    AxelarContracts,
    CcipContracts,
    Envelope,
    Evidence,
    ExecutionReverted,
    LaneTerms,
    Network,
    Networks,
    Place,
    Rules,
    Sent,
    Standing,
    Terms,
    id_of,
    write_envelope,
)
from fusion_daemon.crosschain.evidence import (
    AxelarApproved,
    AxelarCalled,
    AxelarExecuted,
    AxelarGasPaid,
    CcipCommitted,
    CcipExecuted,
    CcipSent,
    CcipState,
    CcipVersion,
    Received,
    Recovered,
    Refused,
    Resent,
    Stored,
)
from fusion_daemon.crosschain.judgement import Subject, judge
from fusion_daemon.domain.identifiers import Address, ChainId, Hash32, hex_of

A, B, C = ChainId(31_337), ChainId(31_338), ChainId(31_339)
SELECTORS = {A: 111, B: 222, C: 333}
NAMES = {A: "alpha", B: "beta", C: "gamma"}


def address(chain: ChainId, number: int) -> Address:
    return Address(bytes([chain % 251, number]) * 10)


def digest(*parts: object) -> Hash32:
    return Hash32(id_of(repr(parts).encode()))


def network(chain: ChainId) -> Network:
    gateway, gas, axelar, on_ramp, off_ramp, store, ccip, router = (address(chain, each) for each in range(1, 9))
    return Network(
        chain,
        router,
        AxelarContracts(NAMES[chain], gateway, gas, axelar),
        CcipContracts(SELECTORS[chain], (on_ramp,), (off_ramp,), ccip, (store,)),
    )


NETWORKS = Networks([network(A), network(B), network(C)])
TERMS = Terms(
    LaneTerms(
        source_finality=100,
        acceptance=200,
        execution=300,
        application=50,
        retry=400,
        recovery=500,
        destination_finality=600,
        least_gas=1_000,
    ),
    orphan_grace=60,
)
RULES = Rules(NETWORKS, TERMS)
NOW = 10_000
ENVELOPE = Envelope(A, address(A, 20), B, address(B, 20), 1, 1, address(A, 30), address(A, 40), 5_000, 0, b"r" * 32)
AXELAR, CCIP = b"axelar".ljust(32, b"\0"), b"ccip".ljust(32, b"\0")
STRANGER = Address(b"\x66" * 20)


def at(chain: ChainId, block: int, log: int = 0, fork: str = "", tx: object = None, timestamp: int = NOW) -> Place:
    """Transaction `tx` of a block; the receipt begins with the second log of the block, so both indices differ."""
    return Place(
        chain,
        digest("block", chain, block, fork),
        block,
        timestamp,
        digest("tx", chain, block, fork, tx),
        log,
        log - 1,
    )


@dataclass(frozen=True)
class Message:
    """What one envelope leaves behind. `place` arguments: where."""

    envelope: Envelope = ENVELOPE
    version: CcipVersion = CcipVersion.V1_6
    seq: int = 7

    def but(self, **changes: object) -> Message:
        fields = {each: getattr(self.envelope, each) for each in Envelope.__struct_fields__}
        return replace(self, envelope=Envelope(**(fields | changes)))

    @property
    def payload(self) -> bytes:
        return write_envelope(self.envelope)

    @property
    def id(self) -> Hash32:
        return id_of(self.payload)

    def sent(self, place: Place, bridge: bytes = AXELAR) -> Sent:
        return Sent(place, self.id, bridge, self.envelope.source_app, 1, self.payload)

    def resent(self, place: Place, bridge: bytes = CCIP) -> Resent:
        return Resent(place, self.id, bridge, STRANGER, 2)

    def called(self, place: Place, sender: Address | None = None) -> AxelarCalled:
        source, far = self.envelope.source, self.envelope.destination
        return AxelarCalled(
            place, self.id, sender or adapter(source), NAMES[far], hex_of(adapter(far)), self.payload, "", 0
        )

    def paid(self, place: Place, fee: int = 5_000) -> AxelarGasPaid:
        source, far = self.envelope.source, self.envelope.destination
        return AxelarGasPaid(place, self.id, adapter(source), NAMES[far], hex_of(adapter(far)), "", 0, None, fee)

    def approved(self, place: Place, call: Place, sender: Address | None = None, source: str = "") -> AxelarApproved:
        return AxelarApproved(
            place,
            self.id,
            digest("command", call),
            source or NAMES[self.envelope.source],
            f"0x{call.tx_hash.hex()}-{call.receipt_index}",
            hex_of(sender or adapter(self.envelope.source)).upper().replace("X", "x"),
            adapter(place.chain),
            True,
        )

    def ran(self, place: Place, call: Place) -> AxelarExecuted:
        return AxelarExecuted(place, digest("command", call))

    def ccip(self, place: Place, sender: Address | None = None) -> CcipSent:
        source, far = self.envelope.source, self.envelope.destination
        lane = None if self.version is CcipVersion.V2_0 else self._lane()
        return CcipSent(
            place,
            self.id,
            self.version,
            self.ccip_id,
            lane,
            self.seq,
            sender or ccip_adapter(source),
            ccip_adapter(far),
            self.payload,
            True,
        )

    @property
    def ccip_id(self) -> Hash32:
        return digest("ccip", self.id, self.version)

    def _lane(self) -> tuple[int, int, int, bytes]:
        ramp = b"" if self.version is CcipVersion.V1_5 else bytes(address(self.envelope.source, 4))
        return (self.version, SELECTORS[self.envelope.source], SELECTORS[self.envelope.destination], ramp)

    def committed(self, place: Place, first: int | None = None, last: int | None = None) -> CcipCommitted:
        first, last = self.seq if first is None else first, self.seq if last is None else last
        return CcipCommitted(place, 0, self._lane(), first, last, digest("root", first, last))

    def executed(self, place: Place, state: CcipState = CcipState.SUCCESS) -> CcipExecuted:
        return CcipExecuted(place, self.version, self.ccip_id, state, b"")

    def received(self, place: Place, bridge: bytes = AXELAR) -> Received:
        return Received(place, self.id, bridge, self.envelope.destination_app, 1, self.payload)

    def stored(self, place: Place) -> Stored:
        return Stored(place, self.id, AXELAR, self.envelope.destination_app, 1, self.payload, b"no")

    def recovered(self, place: Place) -> Recovered:
        return Recovered(place, self.id, STRANGER, 2)

    def refused(self, place: Place) -> Refused:
        return Refused(place, self.id, AXELAR, 2, self.envelope.source, self.payload, b"replay")

    def reverted(self, place: Place) -> ExecutionReverted:
        return ExecutionReverted(place, self.id)


def adapter(chain: ChainId) -> Address:
    return address(chain, 3)


def ccip_adapter(chain: ChainId) -> Address:
    return address(chain, 7)


def judged(
    evidence: Iterable[Evidence],
    now: int = NOW,
    final: dict[ChainId, int] | None = None,
    message: Message | None = None,
    lost: Place | None = None,
    successor: Hash32 | None = None,
    abandoned: bool = False,
) -> Standing:
    """The judgement of these alone. By default nothing is final, and no time has passed."""
    message = message or Message()
    found = judge(
        Subject(message.id, message.envelope, list(evidence), lost, successor, abandoned), RULES, final or {}, now
    )
    assert found is not None
    return found
