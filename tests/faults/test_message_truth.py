"""Rule: whatever is sent, whatever the bridges, the chains and the operator's kill -9 do, when all is quiet the
tracker's tables say what the nodes say. Nothing is lost, nothing is doubled.

    sends        ─┐
    bridge faults ├─ random course ── everything alive, quiet ── tables == nodes
    reorgs, kills ─┘
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

import orjson
import pytest
import trio

from fusion_daemon.aio import Aio
from fusion_daemon.crosschain import Standing, in_flight
from fusion_daemon.crosschain.repository import load_state
from fusion_daemon.store import Row, Store
from tests.faults.message_course import Course
from tests.faults.message_truth import Event, TrueMessage, Truth, locks_minus_grants, read_truth
from tests.integration.crosschain.pair import FINAL, Pair, open_pair
from tests.integration.crosschain.tracking import PATIENCE, Tracking, tracking

SOAK = os.environ.get("FUSION_PRIME_SOAK") == "1"
COURSES = 500 if SOAK else 30
"""Each of its number: `-k [17]` runs one again."""
STEPS = 16
NOTHING = -(10.0**9)
"""Seconds that evidence is kept: all that may go goes at once, in every third course."""
_TIMELINE = {
    "MessageSent": "Sent",
    "MessageResent": "Resent",
    "MessageReceived": "Received",
    "MessageFailed": "Stored",
    "MessageRefused": "Refused",
    "MessageRetried": "Retried",
    "MessageRecovered": "Recovered",
}
_APPLIED = {"executed", "executed_final", "recovered"}


@pytest.fixture(scope="module")
def pairs() -> Iterator[tuple[Pair, Pair]]:
    with open_pair() as classic, open_pair(amplifier=True) as amplified:
        yield classic, amplified


@pytest.mark.parametrize("seed", range(1, COURSES + 1))
async def test_the_tables_say_what_the_chains_say(
    aio: Aio, store: Store, pairs: tuple[Pair, Pair], seed: int
) -> None:
    pair = pairs[seed % 2]
    pair.reset()
    async with tracking(aio, store, pair) as tracked:
        tracked.keep = tracked.keep if seed % 3 else NOTHING
        course = Course(seed, tracked, STEPS)
        try:
            await course.run()
            if tracked.keep == NOTHING:
                await _until_pruned(tracked)
            await _check(tracked, read_truth(pair))
        except BaseException as error:
            error.add_note(f"Seed {seed}: " + "; ".join(course.said))
            raise


async def _until_pruned(tracked: Tracking) -> None:
    """What ended becomes final; what is pruned goes with the blocks that are folded after that."""
    ended = "SELECT FROM messages WHERE state = 'executed_final' AND id NOT IN (SELECT message FROM closed_messages)"
    with trio.fail_after(PATIENCE):
        blocks = FINAL + 1
        while blocks > 1 or await tracked.rows(ended):
            for side in (0, 1):
                tracked.pair.mine(side, blocks)
            await tracked.quiet()
            blocks = 1


async def _check(tracked: Tracking, truth: Truth) -> None:
    state = await tracked.store.read(load_state)
    standings = {bytes(each.id): each for each in state.standings}
    rows = {row.octets("id"): row for row in await tracked.rows("SELECT * FROM messages")}
    assert rows.keys() == standings.keys()
    assert rows.keys() >= truth.messages.keys(), "lost"
    for message, standing in standings.items():
        _check_message(standing, truth.messages.get(message, TrueMessage(message)), truth)
        _check_row(rows[message], standing, truth.messages.get(message, TrueMessage(message)))
    reorged_out = {message for message, standing in standings.items() if standing.state == "reorged_out"}
    assert {bytes(message) for message in state.lost} == reorged_out, "what was seen and is gone"
    assert sum(in_flight(standings.values()).values()) == truth.in_flight
    assert locks_minus_grants(tracked.pair, truth) == truth.in_flight - truth.sourceless
    await _check_evidence(tracked, truth)
    await _check_changes(tracked, rows)


def _check_message(standing: Standing, true: TrueMessage, truth: Truth) -> None:
    assert true.count("MessageReceived", "MessageRecovered") <= 1, "the router's own guard"
    assert true.processed == (true.first("MessageReceived", "MessageFailed") is not None)
    assert standing.applied == true.applied
    assert (standing.progress == "app_failed") == true.stored
    assert (standing.source is not None) == true.sent
    final = _is_final(true.first("MessageSent"), truth) and _is_final(
        true.first("MessageReceived", "MessageRecovered"), truth
    )
    assert (standing.progress == "executed_final") == final
    assert standing.state != "duplicate"
    if standing.state == "reorged_out":
        assert not true.sent
    elif true.applied and true.sent:
        assert standing.state in _APPLIED
    if standing.state in _APPLIED | {"source_final"}:
        assert standing.state == "executed" or true.applied or _is_final(true.first("MessageSent"), truth)


def _is_final(event: Event | None, truth: Truth) -> bool:
    return event is not None and event.block <= truth.finalized[event.side]


def _check_row(row: Row, standing: Standing, true: TrueMessage) -> None:
    assert (row.text("state"), row.optional_text("progress")) == (standing.state, standing.progress)
    shown = [
        (event["event"], event["block_hash"], event["log_index"])
        for event in orjson.loads(row.json("timeline"))
        if event["event"] in _TIMELINE.values()
    ]
    told = [(_TIMELINE[each.name], "0x" + each.block_hash.hex(), each.log_index) for each in true.events]
    assert sorted(shown) == sorted(told), "the timeline"


async def _check_evidence(tracked: Tracking, truth: Truth) -> None:
    """What the tracker starts from again is on the chains, and all of what our routers said is there, or remembered."""
    closed = {row.octets("message") for row in await tracked.rows("SELECT message FROM closed_messages")}
    held = {
        (row.octets("block_hash"), row.integer("log_index"))
        for row in await tracked.rows("SELECT block_hash, log_index FROM message_evidence WHERE canonical")
    }
    assert held >= {(each.block_hash, each.log_index) for each in truth.events if each.id not in closed}
    canonical = tracked.pair.hashes(0) | tracked.pair.hashes(1)
    assert {block for block, _ in held} <= canonical


async def _check_changes(tracked: Tracking, rows: Mapping[bytes, Row]) -> None:
    """Folded from nothing, the stream gives the table; it has no gap."""
    states: dict[bytes, str | None] = {}
    changes = await tracked.rows("SELECT seq, message, before, after FROM message_changes ORDER BY seq")
    assert [row.integer("seq") for row in changes] == list(range(1, len(changes) + 1))
    for row in changes:
        message = row.octets("message")
        assert states.get(message) == row.optional_text("before")
        states[message] = row.optional_text("after")
    assert {message: state for message, state in states.items() if state is not None} == {
        message: row.text("state") for message, row in rows.items()
    }
