"""Rule: a calculator that is asked to drain answers what it has been asked, commits the cursors of what it has folded,
and returns; so the next life folds nothing again."""

from __future__ import annotations

import trio
from trio.testing import wait_all_tasks_blocked

from actors.risk_calculator import MarginOf
from actors.risk_inputs import OWNER
from fusion_daemon.domain.account import ACCOUNT_STREAM, AccountRecord
from fusion_daemon.domain.identifiers import AccountId
from fusion_daemon.domain.price import PRICE_STREAM
from fusion_daemon.runtime import ActorContext
from fusion_daemon.store import Reader, Row, Store
from tests.integration.risk.calculator_bench import DEADLINE, Bench
from tests.unit.risk.margin_scene import ETH, GENESIS, usd

PROBE = AccountRecord(AccountId("probe"), "probe", "probe", (), ())
QUESTIONS = 5


async def cursors(store: Store) -> dict[str, int]:
    async def query(reader: Reader) -> list[Row]:
        return await reader.fetch("SELECT stream, position FROM cursors WHERE consumer = $1", OWNER)

    return {row.text("stream"): row.integer("position") for row in await store.read(query)}


async def test_it_answers_commits_its_cursors_and_returns(store: Store) -> None:
    """The bench's clock stands still, so that no cursor falls due: only the drain commits them."""
    bench = Bench(store)
    await bench.write_accounts(PROBE)
    await bench.write_prices(*(usd(seq, ETH, 2_000.0 + seq, at=GENESIS + seq) for seq in range(1, 5)))
    answers: list[str] = []
    over = trio.Event()

    async def live(*, task_status: trio.TaskStatus[ActorContext]) -> None:
        await bench.live(bench.store, task_status=task_status)
        over.set()

    async def ask() -> None:
        shown = await bench.requests.ask(MarginOf(PROBE.account), DEADLINE)
        assert shown is not None
        answers.append(shown.account)

    async def drain(context: ActorContext) -> None:
        # An ask has one checkpoint, too, before its letter is in the mailbox: so all are when draining begins.
        await trio.lowlevel.checkpoint()
        context.drain("SIGTERM")

    async with trio.open_nursery() as nursery:
        context = await nursery.start(live)
        await bench.caught_up()  # and the new configuration is committed, with the cursors of its moment
        await bench.write_prices(*(usd(seq, ETH, 2_000.0 + seq, at=GENESIS + seq) for seq in range(5, 8)))
        await bench.caught_up()
        before = await cursors(store)
        await wait_all_tasks_blocked()
        for _ in range(QUESTIONS):
            nursery.start_soon(ask)
        nursery.start_soon(drain, context)
        with trio.fail_after(DEADLINE):
            await over.wait()
    assert answers == [PROBE.account] * QUESTIONS
    seen = bench.requests.statistics()
    assert (seen.accepted, seen.queued, seen.dead) == (seen.handled, 0, 0)
    assert before[PRICE_STREAM] < len(bench.prices)
    after = await cursors(store)
    assert (after[PRICE_STREAM], after[ACCOUNT_STREAM]) == (len(bench.prices), 1)
