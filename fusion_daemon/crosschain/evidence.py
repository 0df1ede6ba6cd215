"""What a chain showed of a message: one frozen struct per kind of log, each with the place where it stands.

INVARIANT: evidence says what one log says, decoded, and nothing that follows from another log. So the same log
gives the same evidence whenever and however often it is read, and a set of evidence can be compared and stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

import msgspec

from fusion_daemon.crosschain.packing import pack
from fusion_daemon.domain.identifiers import Address, ChainId, Hash32

MessageId = Hash32
"""keccak256 of our payload: the same on both chains and over every bridge. It is Axelar's payload hash too."""

EvidenceKey = tuple[int, bytes, int, int]
"""(chain, block hash, log index, part): what makes two pieces of evidence the same one."""


class Place(msgspec.Struct, frozen=True, gc=False):
    chain: ChainId
    block_hash: Hash32
    block_number: int
    timestamp: int
    """Unix seconds, the block's own."""
    tx_hash: Hash32
    log_index: int
    """Position in the block, as the RPC says it. Negative for what left no log (`ExecutionReverted`)."""
    receipt_index: int | None
    """Position in the transaction's receipt: what Axelar counts by. None: nobody asked, see `wants_receipt`."""

    @property
    def order(self) -> tuple[int, int]:
        """Comparable within one chain."""
        return (self.block_number, self.log_index)

    @property
    def at(self) -> tuple[int, bytes, int]:
        """The log itself, whatever else is known of it."""
        return (self.chain, self.block_hash, self.log_index)


class RawLog(msgspec.Struct, frozen=True, gc=False):
    """A log as its chain gave it, before anybody knows whose it is."""

    place: Place
    emitter: Address
    topics: tuple[bytes, ...]
    data: bytes


class _Evidence(msgspec.Struct, frozen=True, tag=True, gc=False):
    place: Place

    @property
    def key(self) -> EvidenceKey:
        place = self.place
        return (place.chain, place.block_hash, place.log_index, 0)


# Our own router


class Sent(_Evidence, frozen=True, gc=False):
    id: MessageId
    bridge: bytes
    app: Address
    seq: int
    payload: bytes


class Resent(_Evidence, frozen=True, gc=False):
    """The same message, handed to a bridge once more: another attempt."""

    id: MessageId
    bridge: bytes
    by: Address
    seq: int


class Received(_Evidence, frozen=True, gc=False):
    """Applied by the destination's application."""

    id: MessageId
    bridge: bytes
    app: Address
    seq: int
    payload: bytes


class Stored(_Evidence, frozen=True, gc=False):
    """MessageFailed: delivered, refused by the application, kept for a retry."""

    id: MessageId
    bridge: bytes
    app: Address
    seq: int
    payload: bytes
    reason: bytes


class Refused(_Evidence, frozen=True, gc=False):
    """Dropped for good: a replay, a wrong destination, a malformed payload."""

    id: MessageId
    bridge: bytes
    seq: int
    source: int
    """Chain id, as the adapter says it."""
    payload: bytes
    reason: bytes


class Retried(_Evidence, frozen=True, gc=False):
    id: MessageId
    by: Address
    seq: int
    reason: bytes


class Recovered(_Evidence, frozen=True, gc=False):
    """A stored message that a retry applied."""

    id: MessageId
    by: Address
    seq: int


class ExecutionReverted(_Evidence, frozen=True, gc=False):
    """A transaction that should have executed the message and reverted. It leaves no log: the caller knows it from
    the receipt, and numbers it within its block by `-1 - transaction index`."""

    id: MessageId


# Axelar


class AxelarCalled(_Evidence, frozen=True, gc=False):
    id: MessageId
    """The payload hash."""
    sender: Address
    destination_chain: str
    destination: str
    """As written on chain; compare by `address_of`."""
    payload: bytes
    symbol: str
    amount: int
    """Of the token that travels with the call; "" and 0: none."""


class AxelarGasPaid(_Evidence, frozen=True, gc=False):
    id: MessageId
    sender: Address
    destination_chain: str
    destination: str
    symbol: str
    amount: int
    gas_token: Address | None
    """None: native."""
    fee: int


class AxelarGasAdded(_Evidence, frozen=True, gc=False):
    source_tx: Hash32
    source_index: int
    """Of the call, by receipt or by block, as the payer wrote it."""
    gas_token: Address | None
    fee: int


class AxelarApproved(_Evidence, frozen=True, gc=False):
    id: MessageId
    command: Hash32
    source_chain: str
    source_message: str
    """`0x<tx hash>-<receipt index>` in lower case: amplifier's own id, made up for classic."""
    source_address: str
    contract: Address
    sound: bool
    """The command id is one that Axelar's formulas give for this message."""


class AxelarExecuted(_Evidence, frozen=True, gc=False):
    """The application took the approval. (The classic gateway's `Executed` is only the approval's own command.)"""

    command: Hash32


# CCIP


class CcipVersion(IntEnum):
    V1_5 = 15
    """Also 1.2."""
    V1_6 = 16
    V2_0 = 20


class CcipState(IntEnum):
    UNTOUCHED = 0
    IN_PROGRESS = 1
    SUCCESS = 2
    FAILURE = 3


Lane = tuple[int, int, int, bytes]
"""(version, source selector, destination selector, on-ramp): within it sequence numbers are unique. Of 1.5, which
names no on-ramp in a commit, the last is empty."""


class CcipSent(_Evidence, frozen=True, gc=False):
    id: MessageId
    """keccak256 of the data."""
    version: CcipVersion
    message: Hash32
    lane: Lane | None
    """None: of 2.0, whose numbers are no key; or a 1.5 on-ramp of which nobody said where it leads."""
    seq: int
    sender: Address
    receiver: Address
    payload: bytes
    sound: bool
    """The message id is the hash of the message."""


class CcipCommitted(_Evidence, frozen=True, gc=False):
    """One root of a report: the lane's messages from `first` to `last`, both included."""

    part: int
    """Position in the report."""
    lane: Lane | None
    first: int
    last: int
    root: Hash32

    @property
    def key(self) -> EvidenceKey:
        place = self.place
        return (place.chain, place.block_hash, place.log_index, self.part)


class CcipRootRemoved(_Evidence, frozen=True, gc=False):
    root: Hash32


class CcipExecuted(_Evidence, frozen=True, gc=False):
    version: CcipVersion
    message: Hash32
    state: CcipState
    answer: bytes
    """Return data: of a failure, the encoded error."""


class CcipSkipped(_Evidence, frozen=True, gc=False):
    """A second delivery that the off-ramp refused."""

    lane: Lane | None
    seq: int


Evidence = (
    Sent
    | Resent
    | Received
    | Stored
    | Refused
    | Retried
    | Recovered
    | ExecutionReverted
    | AxelarCalled
    | AxelarGasPaid
    | AxelarGasAdded
    | AxelarApproved
    | AxelarExecuted
    | CcipSent
    | CcipCommitted
    | CcipRootRemoved
    | CcipExecuted
    | CcipSkipped
)

_DECODER: msgspec.msgpack.Decoder[Evidence] = msgspec.msgpack.Decoder(Evidence, strict=False)


def encode_evidence(evidence: Evidence) -> bytes:
    """For a row's `bytea`; `decode_evidence` gives an equal one back."""
    return pack(evidence)


def decode_evidence(octets: bytes) -> Evidence:
    """Raises msgspec.MsgspecError for what `encode_evidence` did not write."""
    return _DECODER.decode(octets)


def canonical(evidence: Iterable[Evidence]) -> dict[EvidenceKey, Evidence]:
    """A set of evidence: each piece once, however often it came."""
    return {each.key: each for each in evidence}
