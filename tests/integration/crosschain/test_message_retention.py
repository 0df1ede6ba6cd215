"""Rule: once the evidence of an ended message is gone, everything is told as before: now, after a restart, and to
whoever verifies the database. Two real chains, a real Postgres."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import orjson
import pytest

from fusion_daemon.aio import Aio
from fusion_daemon.crosschain import Rules, Terms
from fusion_daemon.crosschain.closing import Closed
from fusion_daemon.demo.bridge import DevBridge, Faults
from fusion_daemon.store import Commit, Execute, Store
from fusion_daemon.verification import verify_database
from tests.integration.crosschain.pair import FINAL, Pair, open_pair
from tests.integration.crosschain.tracking import TRACKER, Tracking, tracking

NOTHING = -(10.0**9)
"""Seconds that make everything old."""
NOBODY = msgspec.msgpack.encode(Closed(None, None, None, None, ())).hex()


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with open_pair() as opened:
        yield opened


async def finish(tracked: Tracking) -> None:
    for side in (0, 1):
        tracked.pair.mine(side, FINAL + 1)
    await tracked.quiet()


async def failed(tracked: Tracking, dsn: str) -> list[str]:
    rules = Rules(tracked.pair.networks(), Terms())
    findings = await tracked.aio.call(verify_database, dsn, rules, timeout=30)
    return [f"{each.subject}: {each.says}" for each in findings if each.failed]


@pytest.mark.parametrize("way", ["axelar", "ccip"])
async def test_an_ended_message_is_told_the_same_without_its_evidence(
    aio: Aio, store: Store, postgres_dsn: str, pair: Pair, way: str
) -> None:
    pair.reset()
    bridge = DevBridge((pair.links[0].bridge, pair.links[1].bridge), Faults(), 0)
    async with tracking(aio, store, pair) as tracked:
        await tracked.start()
        pair.lock(0, way)
        await tracked.quiet()
        bridge.step()
        await finish(tracked)
        [before] = await tracked.rows("SELECT * FROM messages")
        shown = "SELECT jsonb_build_array(state, flags, changes, bridge, sent_at)::text AS told FROM messages"
        [told] = await tracked.rows(shown)
        assert before.text("state") == "executed_final"
        tracked.keep = NOTHING
        while await tracked.rows("SELECT FROM message_evidence"):
            await finish(tracked)
        assert len(await tracked.rows("SELECT FROM closed_messages")) == 1
        tracked.keep = Tracking.keep
        assert await failed(tracked, postgres_dsn) == []

        await tracked.kill(TRACKER)
        await tracked.start()
        await finish(tracked)
        assert [row.text("told") for row in await tracked.rows(shown)] == [told.text("told")]
        [after] = await tracked.rows("SELECT * FROM messages")
        assert orjson.loads(after.json("timeline")) == orjson.loads(before.json("timeline"))

        pair.lock(0, way)  # the next one goes its way, beside one that is remembered
        await tracked.quiet()
        bridge.step()
        await finish(tracked)
        assert await tracked.states() == ["executed_final", "executed_final"]
        assert await failed(tracked, postgres_dsn) == []


NEWEST = "SELECT max(seq) FROM message_changes"


@pytest.mark.parametrize(
    ("plant", "subject"),
    [
        ("UPDATE messages SET state = 'stuck'", "messages"),
        ("DELETE FROM message_evidence WHERE chain_id = 31338", "messages"),
        ("UPDATE message_finality SET finalized = 0", "messages"),
        ("DELETE FROM messages", "messages"),
        ("UPDATE messages SET flags = '{forged}'", "messages"),
        ("UPDATE message_changes SET before = 'stuck' WHERE seq = 2", "message changes"),
        ("DELETE FROM message_changes WHERE seq = 2", "stream messages"),
        ("DELETE FROM message_changes WHERE seq = 2", "message changes"),
        (f"UPDATE message_changes SET after = 'stuck' WHERE seq = ({NEWEST})", "message changes"),
        (f"INSERT INTO closed_messages VALUES ('\\x01', '\\x{NOBODY}', '[]')", "what hangs on messages"),
        ("UPDATE message_evidence SET evidence = '\\x01' WHERE chain_id = 31338", "messages"),
        ("INSERT INTO abandoned_messages VALUES ('\\x01')", "what hangs on messages"),
    ],
)
async def test_verification_finds_what_is_broken(
    aio: Aio, store: Store, postgres_dsn: str, pair: Pair, plant: str, subject: str
) -> None:
    pair.reset()
    bridge = DevBridge((pair.links[0].bridge, pair.links[1].bridge), Faults(), 0)
    async with tracking(aio, store, pair) as tracked:
        await tracked.start()
        pair.lock(0, "axelar")
        await tracked.quiet()
        bridge.step()
        await finish(tracked)
        await tracked.kill()
        assert await failed(tracked, postgres_dsn) == []
        await store.commit(Commit((Execute(plant),), proof=Execute("SELECT true")))
        assert subject in {each.partition(":")[0] for each in await failed(tracked, postgres_dsn)}
