"""Rule: whatever a stranger writes to a public contract, it can be kept, shown and read again: his log may be an alarm,
and never the end of the tracker.

    somebody -> gateway | gas service -> log -> evidence -> judgement -> rows -> evidence again
"""

from __future__ import annotations

import pytest

from fusion_daemon.crosschain import Evidence, MessageTracker, RawLog, axelar
from fusion_daemon.crosschain.records import CHANGE_COLUMNS, Cause, change_row, save_evidence, save_message
from fusion_daemon.crosschain.repository import load_message, load_state
from fusion_daemon.domain.identifiers import hex_of
from fusion_daemon.domain.journal import BlockRef
from fusion_daemon.domain.message import MESSAGE_STREAM
from fusion_daemon.store import Append, Commit, Execute, Store
from tests.unit.crosschain.test_crosschain_reading import GAS, READER, TO, call, log
from tests.unit.crosschain.world import NOW, RULES, STRANGER, A, Message, at

PLACE = at(A, 10, 4)
MOST = 2**256 - 1
M = Message()


def claiming(**fields: object) -> RawLog:
    """A stranger's call that carries an envelope of ours, as he would like it to be."""
    return call(PLACE, STRANGER, payload=M.but(**fields).payload)


def added(index: int, fee: int) -> RawLog:
    topics = (PLACE.tx_hash, index)
    return log(PLACE, GAS, axelar.NATIVE_GAS_ADDED, topics, ("uint256", "address"), fee, hex_of(STRANGER))


HOSTILE = {
    "the largest amount": claiming(amount=MOST),
    "the last moment": claiming(deadline=2**64 - 1, nonce=2**64 - 1),
    "a source beyond all chains": claiming(source=2**64 - 1),
    "a destination beyond all chains": claiming(destination=2**63),
    "a kind nobody knows": claiming(kind=255),
    "a chain's name with a NUL": call(PLACE, STRANGER, ("beta\0", TO[1])),
    "an address of NULs and a lone accent": call(PLACE, STRANGER, ("beta", "\0\u0301\0")),
    "a name of a megabyte": call(PLACE, STRANGER, ("x" * 2**20, TO[1])),
    "a payload of a megabyte": call(PLACE, STRANGER, payload=b"\0" * 2**20),
    "gas for the last log there could be": added(MOST, 1),
    "all gas there could be": added(0, MOST),
}


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE.keys())
async def test_it_is_kept_shown_and_read_again(store: Store, raw: RawLog) -> None:
    reading = READER.read([raw])
    assert (len(reading.evidence), reading.unreadable) == (1, ())
    tracker = await told(store, reading.evidence)
    state = await store.read(load_state)
    assert state.evidence == reading.evidence
    assert set(state.standings) == set(tracker.standings())
    assert MessageTracker.restored(RULES, state).settle(NOW) == []
    for standing in state.standings:
        assert await store.read(load_message, standing.id) == (standing, list(reading.evidence))


async def test_a_sources_own_wide_integers_too(store: Store) -> None:
    """An application that says `type(uint64).max` for "never", and moves more base units than 64 bits hold."""
    wide = M.but(amount=MOST, deadline=2**64 - 1)
    evidence: tuple[Evidence, ...] = (wide.sent(PLACE),)
    tracker = await told(store, evidence)
    assert [each.envelope for each in (await store.read(load_state)).standings] == [wide.envelope]
    assert tracker.next_due is not None


async def told(store: Store, evidence: tuple[Evidence, ...]) -> MessageTracker:
    """As the tracker writes it."""
    claim = await store.claim("message_tracker", produces=[MESSAGE_STREAM], consumes=[])
    tracker = MessageTracker(RULES)
    tracker.apply(A, BlockRef(PLACE.block_number, PLACE.block_hash, PLACE.timestamp), evidence)
    changes = tracker.settle(NOW)
    rows = [change_row(each, Cause.CHAIN, NOW) for each in changes]
    writes = [*save_evidence(evidence)]
    writes += [save_message(each, tracker.evidence_of(each.id), seq, NOW) for seq, each in enumerate(changes, 1)]
    head = claim.heads[MESSAGE_STREAM]
    appends = (Append(MESSAGE_STREAM, claim.epoch, head, "message_changes", CHANGE_COLUMNS, rows),) if rows else ()
    await store.commit(Commit(tuple(writes), appends, proof=None if rows else Execute("SELECT true")))
    return tracker
