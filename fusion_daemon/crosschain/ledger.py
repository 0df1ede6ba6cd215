"""All canonical evidence, by block and by message.

INVARIANTS
* The same evidence twice counts once; dropping a block takes exactly its evidence away, so that
  add, then drop, leaves the ledger as it was (but for `lost`, which remembers that a source was seen).
* Evidence that names no message (an execution, a commit) waits under the key by which a message can claim it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from fusion_daemon.crosschain.closing import Closed
from fusion_daemon.crosschain.commits import CommitIndex
from fusion_daemon.crosschain.envelope import Envelope, read_envelope
from fusion_daemon.crosschain.evidence import (
    AxelarApproved,
    AxelarCalled,
    AxelarExecuted,
    AxelarGasAdded,
    CcipCommitted,
    CcipExecuted,
    CcipRootRemoved,
    CcipSent,
    CcipSkipped,
    Evidence,
    EvidenceKey,
    MessageId,
    Received,
    Refused,
    Sent,
    Stored,
)
from fusion_daemon.crosschain.kinship import Kinship
from fusion_daemon.domain.identifiers import ChainId, Hash32

_K = TypeVar("_K")
_V = TypeVar("_V")
_Claim = tuple[object, ...]
_Linked = AxelarExecuted | AxelarGasAdded | CcipExecuted | CcipSkipped
_WITH_PAYLOAD = (Sent, Received, Stored, Refused, AxelarCalled, CcipSent)
Block = tuple[ChainId, Hash32]


class Ledger:
    def __init__(self) -> None:
        self.blocks: dict[Block, dict[EvidenceKey, Evidence]] = {}
        self.lost: dict[MessageId, Sent] = {}
        """Messages whose source was seen and is not canonical, as it last was."""
        self.closed: dict[MessageId, Closed] = {}
        """What is remembered in the place of evidence."""
        self.touched: dict[MessageId, None] = {}
        """Who is to be judged again, since the caller last cleared this."""
        self.altered: dict[MessageId, None] = {}
        """Whose evidence changed, since the caller last cleared this."""
        self._named: dict[MessageId, dict[EvidenceKey, Evidence]] = {}
        self._linked: dict[_Claim, dict[EvidenceKey, Evidence]] = {}
        self._claims: dict[_Claim, dict[EvidenceKey, MessageId]] = {}
        self._commits = CommitIndex()
        self._envelopes: dict[MessageId, Envelope] = {}
        self._kin = Kinship()

    def __iter__(self) -> Iterator[Evidence]:
        return (evidence for block in self.blocks.values() for evidence in block.values())

    def add(self, evidence: Iterable[Evidence]) -> None:
        for each in evidence:
            place, key = each.place, each.key
            held = self.blocks.setdefault((place.chain, place.block_hash), {})
            if key not in held:
                held[key] = each
                self._add(each, key)

    def drop(self, chain: ChainId, block: Hash32) -> None:
        """Nothing happens for a block without evidence."""
        for key, each in self.blocks.pop((chain, block), {}).items():
            self._drop(each, key)

    def close(self, message: MessageId, closed: Closed) -> None:
        """All that names it is forgotten, and this remembered."""
        self.remember(message, closed)
        for each in tuple(self.named(message).values()):
            self.forget(each)

    def remember(self, message: MessageId, closed: Closed) -> None:
        self.closed[message] = closed
        if closed.envelope is not None:
            self._envelopes[message] = closed.envelope
            self._kin.add(message, closed.envelope)

    def forget(self, evidence: Evidence) -> None:
        """It is kept no longer, and as true as before: nobody has to be judged again."""
        place, key = evidence.place, evidence.key
        block = (place.chain, place.block_hash)
        del self.blocks[block][key]
        if not self.blocks[block]:
            del self.blocks[block]
        touched, altered = dict(self.touched), dict(self.altered)
        self._drop(evidence, key)
        self.touched, self.altered = touched, altered

    def restore_lost(self, lost: Mapping[MessageId, Sent], standing: Iterable[MessageId]) -> None:
        """After the evidence: what else was remembered, and everybody to be judged again."""
        for message, sent in lost.items():
            self._lose(message, sent)
        self._touch((*self._named, *self.lost, *standing))
        self.altered.clear()  # all of it is as it was told

    def touch_block(self, block: Block) -> None:
        """The block became final."""
        for each in self.blocks.get(block, {}).values():
            if not isinstance(each, _Linked | CcipCommitted | CcipRootRemoved):
                self.touched[each.id] = None

    def piece(self, key: EvidenceKey) -> Evidence | None:
        return self.blocks.get((ChainId(key[0]), Hash32(key[1])), {}).get(key)

    def named(self, message: MessageId) -> Mapping[EvidenceKey, Evidence]:
        """What shows the message by its id."""
        return self._named.get(message, {})

    def concerned(self, evidence: Evidence) -> Iterable[MessageId]:
        """Whose evidence it is."""
        if isinstance(evidence, _Linked):
            return self._claims.get(_claim_on(evidence), {}).values()
        if isinstance(evidence, CcipCommitted | CcipRootRemoved):
            return self._commits.concerned(evidence)
        return (evidence.id,)

    def envelope(self, message: MessageId) -> Envelope | None:
        return self._envelopes.get(message)

    def evidence_of(self, message: MessageId) -> list[Evidence]:
        """All that has to do with a message, in no particular order."""
        named = self._named.get(message)
        if named is None:
            return []
        found = dict(named)
        for each in named.values():
            for claim in _claims_of(each):
                found.update(self._linked.get(claim, {}))
            if isinstance(each, CcipSent):
                found.update((commit.key, commit) for commit in self._commits.covering(each))
        return list(found.values())

    def successor(self, message: MessageId) -> MessageId | None:
        """The canonical message that took the place of a lost one."""
        envelope = self._envelopes.get(message)
        if envelope is None:
            return None
        return next((each for each in self._kin.of(message, envelope) if self._has_source(each)), None)

    def _add(self, evidence: Evidence, key: EvidenceKey) -> None:
        if isinstance(evidence, _Linked):
            claim = _claim_on(evidence)
            self._linked.setdefault(claim, {})[key] = evidence
            self._touch(self._claims.get(claim, {}).values())
        elif isinstance(evidence, CcipCommitted | CcipRootRemoved):
            self._commits.add(evidence)
            self._touch(self._commits.concerned(evidence))
        else:
            self._name(evidence.id, evidence, key)

    def _name(self, message: MessageId, evidence: Evidence, key: EvidenceKey) -> None:
        self._named.setdefault(message, {})[key] = evidence
        self._touch((message,))
        for claim in _claims_of(evidence):
            self._claims.setdefault(claim, {})[key] = message
        if isinstance(evidence, CcipSent):
            self._commits.add_sent(evidence)
        if message not in self._envelopes and isinstance(evidence, _WITH_PAYLOAD):
            self._open(message, evidence.payload)
        if isinstance(evidence, Sent):
            self._source_changed(message)

    def _open(self, message: MessageId, payload: bytes) -> None:
        envelope = read_envelope(payload)
        if envelope is not None:
            self._envelopes[message] = envelope

    def _lose(self, message: MessageId, sent: Sent) -> None:
        self.lost[message] = sent
        self._open(message, sent.payload)
        self._source_changed(message)

    def _drop(self, evidence: Evidence, key: EvidenceKey) -> None:
        if isinstance(evidence, _Linked):
            claim = _claim_on(evidence)
            _take(self._linked, claim, key)
            self._touch(self._claims.get(claim, {}).values())
        elif isinstance(evidence, CcipCommitted | CcipRootRemoved):
            self._touch(self._commits.concerned(evidence))
            self._commits.drop(evidence)
        else:
            self._unname(evidence.id, evidence, key)

    def _unname(self, message: MessageId, evidence: Evidence, key: EvidenceKey) -> None:
        _take(self._named, message, key)
        self._touch((message,))
        for claim in _claims_of(evidence):
            _take(self._claims, claim, key)
        if isinstance(evidence, CcipSent):
            self._commits.drop_sent(evidence)
        if isinstance(evidence, Sent):
            self._lose(message, evidence)
        self._close(message)

    def _close(self, message: MessageId) -> None:
        """An envelope is known while canonical evidence, the lost source or what is remembered shows it."""
        named = self._named.get(message, {}).values()
        if (
            message not in self.lost
            and message not in self.closed
            and not any(isinstance(each, _WITH_PAYLOAD) for each in named)
        ):
            self._envelopes.pop(message, None)

    def _source_changed(self, message: MessageId) -> None:
        """A source came or went: whoever shares its nonce or content may have a successor now, or none any more."""
        if self._has_source(message):
            self.lost.pop(message, None)
        envelope = self._envelopes.get(message)
        if envelope is not None:
            self._kin.add(message, envelope)
            self._touch(self._kin.among(envelope, self.lost))

    def _has_source(self, message: MessageId) -> bool:
        closed = self.closed.get(message)
        if closed is not None and closed.source is not None:
            return True
        return any(isinstance(each, Sent) for each in self._named.get(message, {}).values())

    def _touch(self, messages: Iterable[MessageId]) -> None:
        for message in messages:
            self.touched[message] = self.altered[message] = None


def _claim_on(evidence: _Linked) -> _Claim:
    match evidence:
        case AxelarExecuted():
            return ("command", evidence.place.chain, evidence.command)
        case AxelarGasAdded():
            return ("gas", evidence.place.chain, evidence.source_tx)
        case CcipExecuted():
            return ("ccip", evidence.message)
        case CcipSkipped():
            return ("skipped", None if evidence.lane is None else evidence.lane[:3], evidence.seq)


def _claims_of(evidence: Evidence) -> tuple[_Claim, ...]:
    match evidence:
        case AxelarApproved():
            return (("command", evidence.place.chain, evidence.command),)
        case AxelarCalled():
            return (("gas", evidence.place.chain, evidence.place.tx_hash),)
        case CcipSent() if evidence.lane is None:
            return (("ccip", evidence.message),)
        case CcipSent(lane=lane):
            return (("ccip", evidence.message), ("skipped", None if lane is None else lane[:3], evidence.seq))
        case _:
            return ()


def _take(table: dict[_K, dict[EvidenceKey, _V]], key: _K, inner: EvidenceKey) -> None:
    held = table[key]
    del held[inner]
    if not held:
        del table[key]
