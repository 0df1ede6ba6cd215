"""How the message tracker writes: evidence, changes, standings, alarms and cursors, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from fusion_daemon.accounts.audit import AuditEntry, By, audit_writes
from fusion_daemon.crosschain import Evidence, MessageId, MessageTracker, Sent, Transition, UnreadableLog
from fusion_daemon.crosschain.alarms import alarm_of
from fusion_daemon.crosschain.evidence import encode_evidence
from fusion_daemon.crosschain.pruning import Pruned
from fusion_daemon.crosschain.records import (
    CHANGE_COLUMNS,
    Cause,
    cause_of,
    change_row,
    drop_pruned,
    redraw_message,
    retract_block,
    save_evidence,
    save_message,
    save_unreadable,
)
from fusion_daemon.domain.alert import Alert
from fusion_daemon.domain.identifiers import ChainId, Hash32, hex_of
from fusion_daemon.domain.message import MESSAGE_STREAM, MessageChange
from fusion_daemon.runtime import Bell, Topic
from fusion_daemon.store import Advance, Append, Claim, Commit, Execute, Store, Write

Accept = Callable[[Alert], Sequence[Write]]
"""An alarm's rows, and its deliveries if it may not wait."""

_SAVE_LOST = """
INSERT INTO lost_messages (message, evidence) VALUES ($1, $2)
ON CONFLICT (message) DO UPDATE SET evidence = excluded.evidence
"""
_ABANDON = "INSERT INTO abandoned_messages (message) VALUES ($1) ON CONFLICT DO NOTHING"
_SAVE_FINALITY = """
INSERT INTO message_finality (chain_id, finalized) VALUES ($1, $2)
ON CONFLICT (chain_id) DO UPDATE SET finalized = excluded.finalized
"""
_SAVE_TIME = """
INSERT INTO message_time (told_at) VALUES ($1) ON CONFLICT (only_row) DO UPDATE SET told_at = excluded.told_at
"""


def said(message: MessageId, abandon: bool, by: By) -> Sequence[Write]:
    """The rows of an operator's word: itself, for the next life, and who said it."""
    entry = AuditEntry(by, "message.abandon" if abandon else "message.resume", hex_of(message), "done")
    sql = _ABANDON if abandon else "DELETE FROM abandoned_messages WHERE message = $1"
    return (Execute(sql, (message,)), audit_writes([entry]))


class MessageCommits:
    """What was folded and is not committed. INVARIANT: publishes only what has committed."""

    def __init__(
        self,
        owner: str,
        store: Store,
        claim: Claim,
        tracker: MessageTracker,
        topic: Topic[MessageChange],
        dispatcher: Bell,
        accept: Accept,
    ) -> None:
        self._owner = owner
        self._store = store
        self._epoch = claim.epoch
        self._head = claim.heads[MESSAGE_STREAM]
        self._tracker = tracker
        self._topic = topic
        self._dispatcher = dispatcher
        self._accept = accept
        self._committed = dict(claim.positions)
        self._folded = dict(claim.positions)
        self._lost = dict(tracker.lost)
        self._writes: list[Write] = []

    def folded(self, stream: str, seq: int) -> None:
        self._folded[stream] = seq

    def applied(self, evidence: Sequence[Evidence], unreadable: Sequence[UnreadableLog]) -> None:
        self._writes += [*save_evidence(evidence), *save_unreadable(unreadable)]

    def retracted(self, chain: ChainId, block_hash: Hash32) -> None:
        self._writes.append(retract_block(chain, block_hash))

    def pruned(self, pruned: Pruned) -> None:
        """Goes with the next commit. Where that never comes, the next life finds the same again."""
        self._writes += drop_pruned(pruned)

    def finality(self, chain: ChainId, finalized: int) -> None:
        self._writes.append(Execute(_SAVE_FINALITY, (chain, finalized)))

    @property
    def behind(self) -> bool:
        """Whether something was folded that is not committed."""
        return bool(self._writes) or self._folded != self._committed

    async def settle(
        self, transitions: Sequence[Transition], now: float, at: int, ordered: Sequence[Write] = ()
    ) -> None:
        """Commit what was folded and what changed by it. `now`: unix seconds; `at`: those for which it changed, which
        are before `now` while there is something to catch up with. `ordered`: the rows of an operator's word, which
        caused the changes."""
        appends: tuple[Append, ...] = ()
        folded = self.behind
        self._writes += [redraw_message(each, self._tracker.evidence_of(each.id)) for each in self._tracker.redrawn]
        writes = [*self._writes, *self._losses(), *ordered]
        changes: list[MessageChange] = []
        alarmed = False
        if transitions:
            causes = [Cause.OPERATOR if ordered else cause_of(each, folded) for each in transitions]
            rows = [change_row(each, cause, now) for each, cause in zip(transitions, causes, strict=True)]
            writes.append(Execute(_SAVE_TIME, (at,)))
            appends = (Append(MESSAGE_STREAM, self._epoch, self._head, "message_changes", CHANGE_COLUMNS, rows),)
            for seq, each in enumerate(transitions, self._head + 1):
                writes.append(save_message(each, self._tracker.evidence_of(each.id), seq, now))
                changes.append(_change(each, seq))
                alarm = alarm_of(each, seq, int(now))
                if alarm is not None:
                    alarmed = True
                    writes += self._accept(alarm)
        advances = tuple(self._advances())
        if not appends and not advances:
            return  # nothing that a witness could be read of: it waits for the next entry
        await self._store.commit(Commit(tuple(writes), appends, advances))
        # From here on it has happened: no checkpoint may come between the commit and its publication.
        self._writes.clear()
        self._committed = dict(self._folded)
        self._lost = dict(self._tracker.lost)
        if changes:
            self._head += len(changes)
            self._topic.publish(changes[0].seq, changes)
        if alarmed:
            self._dispatcher.ring()

    def _advances(self) -> Iterator[Advance]:
        for stream, after in self._folded.items():
            before = self._committed[stream]
            if after > before:
                yield Advance(self._owner, stream, self._epoch, before, after)

    def _losses(self) -> Iterator[Write]:
        """What the tracker remembers of lost sources, as far as it differs from what the store holds."""
        lost: Mapping[MessageId, Sent] = self._tracker.lost
        for message in self._lost.keys() - lost.keys():
            yield Execute("DELETE FROM lost_messages WHERE message = $1", (message,))
        for message, sent in lost.items():
            if self._lost.get(message) != sent:
                yield Execute(_SAVE_LOST, (message, encode_evidence(sent)))


def _change(transition: Transition, seq: int) -> MessageChange:
    before, after = transition.before, transition.after
    return MessageChange(
        seq,
        transition.id,
        None if before is None else before.state.value,
        None if after is None else after.state.value,
    )
