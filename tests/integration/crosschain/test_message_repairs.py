"""What a chain's journal repairs reaches the message tracker once, whenever it comes: a log that an endpoint had
withheld counts as if it had been there, and one that is only decoded later counts no second time.

source       MessageSent ── … ── final          of which the store lacks a log, or did not understand it
destination                MessageReceived ── final
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fusion_daemon.aio import Aio
from fusion_daemon.chain.orders import Kind
from fusion_daemon.chain.repository_orders import add_order
from fusion_daemon.store import Reader, Store
from fusion_daemon.store.writes import SqlScalar
from tests.integration.crosschain.pair import FINAL, Pair, open_pair
from tests.integration.crosschain.test_message_tracker import bridge_of
from tests.integration.crosschain.tracking import TRACKER, Tracking, tracking

_DONE = "SELECT 1 FROM chain_orders HAVING bool_and(state = 'done')"
_REPAIRED = "SELECT 1 FROM chain_journal WHERE filter_version = 0 AND settles"
_AUDITED = """
SELECT 1 FROM chain_state AS s JOIN chain_audits AS a USING (chain_id)
WHERE a.audited >= least(s.finalized, s.tip_number) HAVING count(*) = 2
"""


@pytest.fixture(scope="module")
def links() -> Iterator[Pair]:
    with open_pair() as pair:
        yield pair


@pytest.fixture
def pair(links: Pair) -> Pair:
    links.reset()
    return links


async def alter(tracked: Tracking, sql: str, *arguments: SqlScalar) -> None:
    async def change(writer: Reader) -> None:
        await writer.fetch(sql, *arguments)

    await tracked.store.transact(change)


async def redecode(tracked: Tracking) -> None:
    """Of both chains."""
    for side in (0, 1):
        await tracked.store.transact(add_order, tracked.pair.chain(side), Kind.REDECODE, None, None, False, "ops")


async def arrive(tracked: Tracking, way: str, *, folded: bool) -> None:
    tracked.pair.lock(0, way)
    bridge_of(tracked.pair).step()
    for side in (0, 1):
        tracked.pair.mine(side, FINAL + 1)
    await tracked.quiet(folded=folded)


async def changes(tracked: Tracking) -> list[tuple[str | None, str | None]]:
    rows = await tracked.rows("SELECT before, after FROM message_changes ORDER BY seq")
    return [(row.optional_text("before"), row.optional_text("after")) for row in rows]


async def evidence(tracked: Tracking) -> list[str]:
    return [row.text("row") for row in await tracked.rows("SELECT e::text AS row FROM message_evidence e ORDER BY 1")]


@pytest.mark.parametrize("way", ["axelar", "1.6"])
async def test_what_is_decoded_later_was_told_before(aio: Aio, store: Store, pair: Pair, way: str) -> None:
    """All logs of both chains' bridges, stored by a release of ours that knew none of their events."""
    async with tracking(aio, store, pair) as tracked:
        await tracked.start()
        await arrive(tracked, way, folded=True)
        before = (await evidence(tracked), await changes(tracked), await tracked.states())
        assert before[2] == ["executed_final"]
        await tracked.kill()
        await alter(tracked, "UPDATE chain_logs SET name = NULL, args = NULL")
        await redecode(tracked)
        await tracked.start()
        await tracked.until(_DONE)
        await tracked.quiet()
        assert await tracked.rows(_REPAIRED)
        assert (await evidence(tracked), await changes(tracked), await tracked.states()) == before
        assert await tracked.rows("SELECT 1 FROM alerts") == []


@pytest.mark.parametrize("way", ["axelar", "1.6"])
async def test_what_is_decoded_after_its_message_was_closed_wakes_nobody(
    aio: Aio, store: Store, pair: Pair, way: str
) -> None:
    """Nothing of the message is kept but how it ended when its logs are told again."""
    async with tracking(aio, store, pair) as tracked:
        tracked.keep = -1e6
        await tracked.start()
        await arrive(tracked, way, folded=True)
        pair.mine(0)  # what is pruned goes with the next commit
        await tracked.until("SELECT 1 FROM closed_messages")
        await tracked.quiet()
        before = (await changes(tracked), await tracked.states())
        await tracked.kill()
        await alter(tracked, "UPDATE chain_logs SET name = NULL, args = NULL")
        await redecode(tracked)
        await tracked.start()
        await tracked.until(_DONE)
        await tracked.quiet()
        await tracked.kill()
        await tracked.start()
        await tracked.quiet()
        assert (await changes(tracked), await tracked.states()) == before
        assert await tracked.rows("SELECT 1 FROM alerts") == []


@pytest.mark.parametrize("way", ["axelar", "1.6"])
async def test_what_was_decoded_before_it_was_folded_is_told_without_an_alarm(
    aio: Aio, store: Store, pair: Pair, way: str
) -> None:
    """The tracker was away. What it finds at the blocks lacks what the repair says behind them."""
    async with tracking(aio, store, pair) as tracked:
        await tracked.start(0, 1)
        await arrive(tracked, way, folded=False)
        await tracked.kill()
        await alter(tracked, "UPDATE chain_logs SET name = NULL, args = NULL")
        await redecode(tracked)
        await tracked.start(0, 1)
        await tracked.until(_DONE)
        await tracked.start()
        await tracked.quiet()
        assert await tracked.states() == ["executed_final"]
        assert await tracked.rows("SELECT type FROM alerts") == []


@pytest.mark.parametrize("side", [0, 1], ids=["of the source", "of the destination"])
@pytest.mark.parametrize("way", ["axelar", "1.6"])
async def test_what_was_withheld_counts_when_it_is_repaired(
    aio: Aio, store: Store, pair: Pair, way: str, side: int
) -> None:
    """All logs of one chain are missing when the tracker folds their blocks; the audit finds them."""
    async with tracking(aio, store, pair) as tracked:
        await tracked.start(0, 1)
        await arrive(tracked, way, folded=False)
        await tracked.until(_AUDITED)
        await alter(tracked, "DELETE FROM chain_logs WHERE chain_id = $1", pair.chain(side))
        await tracked.start(TRACKER)
        await tracked.quiet()
        assert await tracked.states() != ["executed_final"]
        await tracked.kill()
        await alter(tracked, "DELETE FROM chain_audits")
        await tracked.start()
        await tracked.until(_REPAIRED)
        await tracked.quiet()
        assert await tracked.states() == ["executed_final"]
        held = await evidence(tracked)
        await tracked.kill()
        await tracked.start()
        await tracked.quiet()
        assert (await evidence(tracked), await tracked.states()) == (held, ["executed_final"])
        assert await tracked.rows("SELECT 1 FROM alerts") == []
