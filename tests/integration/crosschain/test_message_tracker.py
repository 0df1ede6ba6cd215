"""The message tracker on two real chains and a real Postgres.

source       MessageSent ── final
bridge              approval / commit ── execution
destination                        MessageReceived ── final          EXECUTED_FINAL: both
"""

from __future__ import annotations

from collections.abc import Iterator

import orjson
import pytest

from actors import message_folding
from fusion_daemon.aio import Aio
from fusion_daemon.crosschain import LaneTerms, Terms
from fusion_daemon.demo.bridge import DevBridge, Faults
from fusion_daemon.demo.node import transaction_request
from fusion_daemon.domain.identifiers import Address
from fusion_daemon.runtime import SystemClock
from fusion_daemon.store import Store
from tests.faults.message_truth import read_truth
from tests.integration.crosschain.pair import FINAL, WAYS, Pair, open_pair
from tests.integration.crosschain.tracking import TRACKER, Tracking, tracking

FLAVOURS = ("amplifier", *WAYS)
STRANGER = Address(b"\x51" * 20)
EAGER = 0
"""Blocks that the bridge waits for at the source: none, so that a reorg can still take the source away."""


@pytest.fixture(scope="module")
def classic() -> Iterator[Pair]:
    with open_pair() as pair:
        yield pair


@pytest.fixture(scope="module")
def amplified() -> Iterator[Pair]:
    with open_pair(amplifier=True) as pair:
        yield pair


@pytest.fixture
def pair(classic: Pair) -> Pair:
    classic.reset()
    return classic


@pytest.fixture(params=FLAVOURS)
def flavoured(request: pytest.FixtureRequest, classic: Pair, amplified: Pair) -> tuple[Pair, str]:
    """Chains, and the way that a message takes between them."""
    flavour = str(request.param)
    pair, way = (amplified, "axelar") if flavour == "amplifier" else (classic, flavour)
    pair.reset()
    return pair, way


_WHOLE = "SELECT 1 FROM chain_journal WHERE filter_version > 1 AND settles HAVING count(*) = 2"


def bridge_of(pair: Pair, faults: Faults | None = None, depth: int | None = EAGER) -> DevBridge:
    return DevBridge((pair.links[0].bridge, pair.links[1].bridge), faults or Faults(), depth)


async def finish(tracking: Tracking) -> None:
    for side in (0, 1):
        tracking.pair.mine(side, FINAL + 1)
    await tracking.quiet()


async def test_a_message_arrives_and_becomes_final(aio: Aio, store: Store, flavoured: tuple[Pair, str]) -> None:
    pair, way = flavoured
    async with tracking(aio, store, pair) as tracked:
        await tracked.start()
        pair.lock(0, way)
        await tracked.quiet()
        assert await tracked.states() == ["observed"]
        bridge_of(pair).step()
        await tracked.quiet()
        assert await tracked.states() == ["executed"]
        await finish(tracked)
        assert await tracked.states() == ["executed_final"]
        [row] = await tracked.rows("SELECT timeline FROM messages")
        assert {event["chain"] for event in orjson.loads(row.json("timeline"))} == {31_337, 31_338}


async def test_a_bridge_that_is_configured_later_tells_what_it_carried_before(
    aio: Aio, store: Store, pair: Pair
) -> None:
    """The message was sent and executed while neither chain's gateway was read: the routers alone told of it. What the
    gateways said comes late, in blocks that were folded long ago, and counts as if it had been there."""
    async with tracking(aio, store, pair) as tracked:
        tracked.unread = {network.axelar.gateway for network in pair.networks() if network.axelar is not None}
        assert tracked.unread
        await tracked.start()
        pair.lock(0, "axelar")
        bridge_of(pair).step()
        await finish(tracked)
        [before] = await tracked.rows("SELECT timeline FROM messages")
        await tracked.kill()
        tracked.unread.clear()
        await tracked.start()
        await tracked.until(_WHOLE)
        await tracked.quiet()
        assert await tracked.states() == ["executed_final"]
        [after] = await tracked.rows("SELECT timeline FROM messages")
        assert len(orjson.loads(after.json("timeline"))) > len(orjson.loads(before.json("timeline")))


async def test_equal_calls_in_one_block_are_told_apart(aio: Aio, store: Store, pair: Pair) -> None:
    """The same lock twice: the envelopes differ by their nonce alone, the calls by transaction alone."""
    pair.nodes[0].send(pair.lock_transaction(0, "axelar"), pair.lock_transaction(0, "axelar"))
    faults = Faults(drop=1.0)
    bridge = bridge_of(pair, faults)
    bridge.step()
    first, second = bridge.held
    bridge.resume(second)
    bridge.step()
    async with tracking(aio, store, pair) as tracked:
        await tracked.start()
        await tracked.quiet()
        assert await tracked.states() == ["observed", "executed"] or await tracked.states() == ["executed", "observed"]
        [done] = await tracked.rows("SELECT timeline FROM messages WHERE state = 'executed'")
        assert {event["transaction"] for event in orjson.loads(done.json("timeline")) if event["chain"] == 31_337} == {
            "0x" + second.tx_hash.hex()
        }
        bridge.resume(first)
        bridge.step()
        await tracked.quiet()
        assert await tracked.states() == ["executed", "executed"]


@pytest.mark.parametrize("whole", [False, True], ids=["the tracker", "the process"])
async def test_a_kill_between_any_two_stages_changes_nothing(
    aio: Aio, store: Store, flavoured: tuple[Pair, str], whole: bool
) -> None:
    pair, way = flavoured
    bridge = bridge_of(pair)

    async def life(tracked: Tracking) -> None:
        await tracked.quiet()
        await tracked.kill(*(() if whole else (TRACKER,)))

    async with tracking(aio, store, pair) as tracked:
        await tracked.start()
        pair.lock(0, way)
        await life(tracked)
        bridge.step()
        await tracked.start()
        await life(tracked)
        await tracked.start()
        await finish(tracked)
        assert await tracked.states() == ["executed_final"]
        changes = await tracked.rows("SELECT before, after FROM message_changes ORDER BY seq")
        assert [(row.optional_text("before"), row.optional_text("after")) for row in changes] == [
            (None, "observed"),
            ("observed", "executed"),
            ("executed", "executed_final"),
        ]


async def test_a_reorg_of_the_source_is_undone_and_healed(aio: Aio, store: Store, flavoured: tuple[Pair, str]) -> None:
    """Before the bridge has looked, and after the destination has applied: credit without collateral is an alarm."""
    pair, way = flavoured
    bridge = bridge_of(pair)
    async with tracking(aio, store, pair) as tracked:
        await tracked.start()
        for carried in (False, True):
            before = pair.height(0)
            pair.lock(0, way)
            await tracked.quiet()
            if carried:
                bridge.step()
                await tracked.quiet()
            assert await tracked.states() == ["executed" if carried else "observed"]
            pair.reorg(0, pair.height(0) - before)
            await tracked.quiet()
            assert await tracked.states() == ["reorged_out"]
            pair.lock(0, way)  # the same envelope: its nonce is free again
            await tracked.quiet()
            assert await tracked.states() == ["executed" if carried else "observed"]
            if not carried:
                pair.reorg(0, pair.height(0) - before)
        await finish(tracked)
        assert await tracked.states() == ["executed_final"]
        alerts = await tracked.rows("SELECT type FROM alerts ORDER BY number")
        assert {row.text("type") for row in alerts} == {"message.reorged_out", "message.resolved"}


async def test_a_reorg_of_the_destination_is_undone_and_healed(
    aio: Aio, store: Store, flavoured: tuple[Pair, str]
) -> None:
    pair, way = flavoured
    bridge = bridge_of(pair)
    async with tracking(aio, store, pair) as tracked:
        await tracked.start()
        pair.mine(1, 2)
        before = pair.height(1)
        pair.lock(0, way)
        bridge.step()
        await tracked.quiet()
        whole = pair.height(1) - before
        assert await tracked.states() == ["executed"]
        for depth in range(1, whole + 1):  # the execution, then the approval or commit before it too
            pair.reorg(1, depth)
            await tracked.quiet()
            [state] = await tracked.states()
            accepted = "approved" if way == "axelar" else "committed"
            assert state == ("observed" if depth == whole else accepted)
            bridge.step()
            await tracked.quiet()
            assert await tracked.states() == ["executed"]
            pair.reorg(1, pair.height(1) - before)
            bridge.step()
        await finish(tracked)
        assert await tracked.states() == ["executed_final"]


async def test_the_timeline_shows_what_is_canonical(aio: Aio, store: Store, pair: Pair) -> None:
    """A reorg puts the same transaction into another block: the message stands as before, its evidence elsewhere."""
    async with tracking(aio, store, pair) as tracked:
        await tracked.start()
        lock = pair.lock_transaction(0, "axelar")
        pair.nodes[0].send(lock)
        pair.mine(0)
        await tracked.quiet()
        pair.reorg(0, 2, (transaction_request(lock), 1))
        await tracked.quiet()
        assert await tracked.states() == ["observed"]
        [row] = await tracked.rows("SELECT timeline FROM messages")
        assert {event["block_hash"] for event in orjson.loads(row.json("timeline"))} == {"0x" + pair.tip(0).hex()}


async def test_finality_of_a_branch_is_not_told_of_the_one_before_it(
    aio: Aio, store: Store, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tracker was down while the branch with the message was replaced and its height became final:

    n <- lock(a) <- . <- .
    n <- . <- . <- . <- ... <- final ...       what is stored when the tracker folds `a`
    """
    monkeypatch.setattr(message_folding, "PORTION", 1)
    async with tracking(aio, store, pair) as tracked:
        await tracked.start(0, 1)
        pair.lock(0, "axelar")
        pair.mine(0, 2)
        await tracked.quiet(folded=False)
        pair.reorg(0, 3)
        pair.mine(0, FINAL + 5)
        await tracked.quiet(folded=False)
        await tracked.start()
        await tracked.quiet()
        changes = await tracked.rows("SELECT after FROM message_changes ORDER BY seq")
        assert [row.optional_text("after") for row in changes] == ["observed", "reorged_out"]


async def test_a_chain_without_receipts_keeps_no_other_waiting(aio: Aio, store: Store, pair: Pair) -> None:
    """And is named as long as it waits, with data that grow old."""
    async with tracking(aio, store, pair) as tracked:
        tracked.mute.update(pair.chain(side) for side in (0, 1))
        await tracked.start()
        for side in (0, 1):
            pair.lock(side, "axelar")
        await tracked.until_muted(0, 1)
        assert tracked.told is not None
        since = tracked.told.data_since
        tracked.mute.remove(pair.chain(1))
        await tracked.until("SELECT 1 FROM messages WHERE source = $1", pair.chain(1))
        await tracked.until_muted(0)
        assert tracked.told.data_since == since
        tracked.mute.clear()
        await tracked.until("SELECT 1 FROM messages WHERE source = $1", pair.chain(0))
        await tracked.until_muted()


async def test_alarms_of_a_message_that_the_bridge_drops(aio: Aio, store: Store, pair: Pair) -> None:
    terms = Terms(LaneTerms(source_finality=1, acceptance=1, execution=1))
    async with tracking(aio, store, pair, terms, Ahead()) as tracked:
        await tracked.start()
        pair.lock(0, "axelar")
        bridge = bridge_of(pair, Faults(drop=1.0))
        bridge.step()
        await tracked.until("SELECT 1 FROM alerts WHERE type = 'message.stuck'")
        assert await tracked.states() == ["stuck"]
        [key] = bridge.held
        bridge.resume(key)
        bridge.step()
        await tracked.until("SELECT 1 FROM alerts WHERE type = 'message.resolved'")
        assert await tracked.states() == ["executed"]
        assert await kinds(tracked) == ["message.stuck", "message.resolved"]


async def test_what_is_stuck_stays_stuck_while_the_tracker_catches_up(
    aio: Aio, store: Store, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was told by the clock, which was ahead of the blocks that are folded after a restart."""
    monkeypatch.setattr(message_folding, "PORTION", 1)
    async with tracking(aio, store, pair, Terms(LaneTerms(source_finality=300)), Ahead()) as tracked:
        await tracked.start()
        pair.lock(0, "axelar")
        await tracked.until("SELECT 1 FROM alerts WHERE type = 'message.stuck'")
        await tracked.kill(TRACKER)
        for side in (0, 1):
            pair.mine(side, 3)
        await tracked.quiet(folded=False)
        await tracked.start()
        await tracked.quiet()
        assert await kinds(tracked) == ["message.stuck"]


async def test_alarms_of_a_failure_over_ccip(aio: Aio, store: Store, pair: Pair) -> None:
    async with tracking(aio, store, pair) as tracked:
        await tracked.start()
        pair.lock(0, "1.6")
        bridge = bridge_of(pair, Faults(starve=1.0))
        bridge.step()
        await tracked.quiet()
        assert (await tracked.states(), await kinds(tracked)) == (["failed"], ["message.failed"])
        [key] = bridge.held
        bridge.resume(key)
        bridge.step()
        await tracked.quiet()
        assert await tracked.states() == ["executed"]
        assert await kinds(tracked) == ["message.failed", "message.resolved"]


async def test_what_the_application_does_not_take_is_an_alarm_until_a_retry(
    aio: Aio, store: Store, flavoured: tuple[Pair, str]
) -> None:
    pair, way = flavoured
    async with tracking(aio, store, pair) as tracked:
        await tracked.start()
        pair.pause(1, way, paused=True)
        pair.lock(0, way)
        bridge_of(pair).step()
        await tracked.quiet()
        assert (await tracked.states(), await kinds(tracked)) == (["app_failed"], ["message.app_failed"])
        pair.pause(1, way, paused=False)
        [payload] = (each.payload for each in read_truth(pair).messages.values())
        assert pair.retry(1, payload)
        await tracked.quiet()
        assert await tracked.states() == ["recovered"]
        await finish(tracked)
        assert await tracked.states() == ["executed_final"]
        assert await kinds(tracked) == ["message.app_failed", "message.resolved"]


async def test_a_false_sender_is_an_alarm_and_moves_nothing(aio: Aio, store: Store, pair: Pair) -> None:
    async with tracking(aio, store, pair) as tracked:
        await tracked.start()
        pair.lock(0, "axelar")
        await tracked.quiet()  # read after the false approval, the source would first look like none
        bridge_of(pair, Faults(wrong_source=STRANGER)).step()
        await tracked.quiet()
        assert (await tracked.states(), await kinds(tracked)) == (["observed"], ["message.forged"])
        bridge_of(pair).step()
        await tracked.quiet()
        assert await tracked.states() == ["executed"]


async def test_what_has_no_source_is_an_orphan(aio: Aio, store: Store, pair: Pair) -> None:
    """The source is taken back before anybody has read it: credit that nothing is locked for."""
    async with tracking(aio, store, pair, Terms(orphan_grace=1), Ahead()) as tracked:
        before = pair.height(0)
        pair.lock(0, "2.0")
        bridge_of(pair).step()
        pair.reorg(0, pair.height(0) - before)
        await tracked.start()
        await tracked.until("SELECT 1 FROM alerts WHERE type = 'message.orphan' AND severity = 2")
        assert await tracked.states() == ["orphan"]


async def kinds(tracked: Tracking) -> list[str]:
    return [row.text("type") for row in await tracked.rows("SELECT type FROM alerts ORDER BY number")]


class Ahead(SystemClock):
    """Ten minutes later, so that nobody has to wait for a term: blocks that are mined at once run ahead of time."""

    def now(self) -> float:
        return super().now() + 600
