"""An entry that kills its consumer twice: its stream is held, all others go on, until the operator has decided."""

from __future__ import annotations

from random import Random

import pytest
import trio

import actors.margin_commits as commits_module
from actors.quarantine_keeper import QuarantineKeeper
from fusion_daemon.domain.account import ACCOUNT_STREAM, AccountRecord
from fusion_daemon.domain.identifiers import AccountId
from fusion_daemon.domain.journal import journal_stream
from fusion_daemon.domain.price import PRICE_STREAM
from fusion_daemon.quarantine.rules import AlreadySettled, NotReplayable, State
from fusion_daemon.risk.repository import margin_events_after
from fusion_daemon.runtime import ChildSpec, Supervisor, SupervisorSpec, SystemClock
from fusion_daemon.store import Store
from tests.integration.quarantine.isolation import Clinic, Faults, stands_at, until
from tests.integration.risk.test_risk_calculator import ACME, PROBE, lending, listing
from tests.unit.risk.margin_scene import DOLLAR, ETH, ETHER, GENESIS, ONE, TWO, USD, borrow, deposit, name, owner, usd

JOURNAL = journal_stream(ONE)


async def opened(store: Store) -> Clinic:
    """Both chains stand at entry 2, everything is folded."""
    clinic = Clinic(store)
    await listing(clinic.bench)
    await lending(clinic.bench)
    async with clinic.living():
        await clinic.bench.caught_up()
    return clinic


async def blocks(clinic: Clinic) -> None:
    """Chain one: 3(account 7 repays 400), 4(account 8: 1 WETH, owes 1,300). Chain two: 3(ACME owes 100 less)."""
    one, two = clinic.bench.writers[ONE], clinic.bench.writers[TWO]
    one.apply(3, borrow(7, -400 * DOLLAR))
    one.apply(4, deposit(8, ETHER), borrow(8, 1_300 * DOLLAR))
    two.apply(3, borrow(2, -100 * DOLLAR))
    for chain in (ONE, TWO):
        await clinic.bench.write_journal(chain)


async def test_a_journal_is_held_and_everything_else_goes_on(store: Store, faults: Faults) -> None:
    clinic = await opened(store)
    await blocks(clinic)
    faults.journal.add((JOURNAL, 3))
    await clinic.deaths(2)
    async with clinic.living() as context:
        await clinic.bench.write_prices(usd(3, ETH, 1_900.0))
        await clinic.shown("probe", lambda seen: stands_at(seen, 2, 3) and seen.inputs.price_seq == 3)
        await until(lambda: context.health.reason != "")
        assert "journal:1 is held before entry 3: entry 3 killed this actor twice" in context.health.reason
        assert await clinic.listed() == (), "held from the first moment, written or not"
        async with clinic.keeping() as keeper:
            await until(lambda: "journal:1: 1" in keeper.health.reason)
    assert faults.met == 2
    (found,) = await clinic.listed()
    assert (found.source, found.stream, found.seq, found.message) == ("risk_calculator", JOURNAL, 3, "JournalEntry")
    assert await clinic.cursor(JOURNAL) == 2


async def test_it_is_still_held_after_a_takeover_and_folded_again_after_a_replay(store: Store, faults: Faults) -> None:
    clinic = await opened(store)
    await blocks(clinic)
    faults.journal.add((JOURNAL, 3))
    await clinic.deaths(2)
    await clinic.written()
    clinic.another_daemon()
    (found,) = await clinic.listed()
    async with clinic.living() as context:
        await clinic.shown("probe", lambda seen: stands_at(seen, 2, 3))
        assert faults.met == 2
        faults.journal.clear()  # the upgrade
        await clinic.replay(found.id)
        await clinic.shown("probe", lambda seen: stands_at(seen, 4, 3))
        await until(lambda: context.health.reason == "")
        seven = await clinic.shown(name(7), lambda _: True)
    assert seven.figures is not None
    assert seven.figures.debt_usd == 600 * 10**8
    (found,) = await clinic.listed()
    assert (found.state, found.settled_by) == (State.REPLAYED, "treasury-ops")


async def test_a_replay_that_kills_again_is_held_again(store: Store, faults: Faults) -> None:
    clinic = await opened(store)
    await blocks(clinic)
    faults.journal.add((JOURNAL, 3))
    await clinic.deaths(2)
    await clinic.written()
    await clinic.replay((await clinic.listed())[0].id)
    await clinic.deaths(2)
    await clinic.written()
    assert [each.state for each in await clinic.listed()] == [State.HELD, State.REPLAYED]
    async with clinic.living():
        await clinic.shown("probe", lambda seen: stands_at(seen, 2, 3))


async def test_after_a_discard_balances_are_those_of_the_chain(store: Store, faults: Faults) -> None:
    clinic = await opened(store)
    await blocks(clinic)
    faults.journal.add((JOURNAL, 3))
    await clinic.deaths(2)
    async with clinic.living(), clinic.keeping():
        await until(lambda: not clinic.bench.ward.unwritten)
        await clinic.discard((await clinic.listed())[0].id)
        await clinic.shown("probe", lambda seen: stands_at(seen, 4, 3))
        seven = await clinic.shown(name(7), lambda _: True)
    assert seven.figures is not None
    assert seven.figures.debt_usd == 600 * 10**8, "what entry 3 repaid is in the store's positions"
    assert faults.met == 2, "and it was not folded again"
    clinic.another_daemon()
    async with clinic.living() as context:
        await clinic.bench.caught_up()
        assert context.health.reason == ""


async def test_of_a_reorg_nothing_is_folded_when_one_of_its_entries_is_held(store: Store, faults: Faults) -> None:
    """Chain one: 2 <- 3a(8 borrows), then 2 <- 3b <- 4b: entries 4(retract) 5(3b) 6(4b), of which 5 kills."""
    clinic = await opened(store)
    one = clinic.bench.writers[ONE]
    one.apply(3, deposit(8, ETHER), borrow(8, 1_000 * DOLLAR))
    await clinic.bench.write_journal(ONE)
    one.retract(3, deposit(8, ETHER), borrow(8, 1_000 * DOLLAR))
    one.apply(3, deposit(8, 2 * ETHER), fork="b", settles=False)
    one.apply(4, borrow(8, 100 * DOLLAR), fork="b")
    one.apply(5, borrow(8, 100 * DOLLAR), fork="b")
    await clinic.bench.write_journal(ONE)
    faults.journal.add((JOURNAL, 5))
    await clinic.deaths(2)
    async with clinic.living(), clinic.keeping():
        await clinic.shown("probe", lambda seen: stands_at(seen, 3, 2))
        await until(lambda: not clinic.bench.ward.unwritten)
        await clinic.discard((await clinic.listed())[0].id)
        await clinic.shown("probe", lambda seen: stands_at(seen, 7, 2))
        eight = await clinic.shown(name(8), lambda _: True)
    assert eight.figures is not None
    assert (eight.figures.debt_usd, eight.figures.collateral_usd) == (200 * 10**8, 4_000 * 10**8)
    assert await clinic.cursor(JOURNAL) >= 6


async def test_an_entry_that_a_start_cannot_take_back_does_not_end_the_daemon(store: Store, faults: Faults) -> None:
    """The same defect meets the entry in the fold and, once it is in the store, in every start."""
    clinic = await opened(store)
    await blocks(clinic)
    faults.changes.add((JOURNAL, 4))
    await clinic.deaths(2)
    async with clinic.living() as context, clinic.keeping():
        seen = await clinic.shown("probe", lambda seen: stands_at(seen, 4, 3))
        assert seen.inputs.price_seq == 2
        await until(lambda: "what the store held at the last start is shown" in context.health.reason)
        await until(lambda: not clinic.bench.ward.unwritten)
        assert await clinic.cursor(JOURNAL) == 2
        faults.changes.clear()
        await clinic.replay((await clinic.listed())[0].id)
        await until(lambda: context.health.reason == "")
        await clinic.bench.caught_up()
    assert {each.account for each in await store.read(margin_events_after, 0, 100)} >= {name(8)}


async def test_a_held_entry_that_no_start_can_take_back_either_is_still_one_entry(store: Store, faults: Faults) -> None:
    clinic = await opened(store)
    await blocks(clinic)
    faults.journal.add((JOURNAL, 3))
    await clinic.deaths(2)
    await clinic.written()
    faults.changes.add((JOURNAL, 3))
    await clinic.deaths(2)
    await clinic.written()
    clinic.another_daemon()
    async with clinic.living():
        await clinic.shown("probe", lambda seen: stands_at(seen, 4, 3))
    (found,) = await clinic.rows("SELECT phase FROM quarantine")
    assert found.text("phase") == "start"


async def test_a_price_is_passed_over_for_good(store: Store, faults: Faults) -> None:
    clinic = await opened(store)
    await clinic.bench.write_prices(usd(3, ETH, 1.0))
    faults.prices.add(3)
    await clinic.deaths(2)
    async with clinic.living() as context, clinic.keeping() as keeper:
        await clinic.bench.write_prices(usd(4, ETH, 1_900.0))
        await clinic.shown("probe", lambda seen: seen.inputs.price_seq == 4)
        await until(lambda: "prices: 1" in keeper.health.reason)
        assert context.health.reason == "", "nothing is held"
        (found,) = await clinic.listed()
        with pytest.raises(NotReplayable):
            await clinic.replay(found.id)
    assert await clinic.cursor(PRICE_STREAM) >= 2


async def test_a_price_that_was_passed_over_is_in_no_later_picture(store: Store, faults: Faults) -> None:
    """It would be the last of its asset at a start."""
    clinic = await opened(store)
    await clinic.bench.write_prices(usd(3, ETH, 1.0), usd(4, USD, 1.0))
    faults.prices.add(3)
    await clinic.deaths(2)
    await clinic.written()
    (found,) = await clinic.listed()
    for decide in (None, clinic.discard):
        clinic.another_daemon()
        async with clinic.living():
            if decide is not None:
                await decide(found.id)
            seven = await clinic.shown(name(7), lambda seen: seen.inputs.price_seq == 4)
            assert seven.figures is not None
            assert seven.figures.collateral_usd == 2_000 * 10**8
    assert faults.met == 2


async def test_a_change_of_an_account_is_held_and_a_discard_leaves_its_record(
    store: Store, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits_module, "UNCOMMITTED_ENTRIES", 1)
    clinic = await opened(store)
    broken = AccountRecord(ACME.account, "ACME", "main", (*ACME.addresses, (ONE, owner(7))), ())
    await clinic.bench.write_accounts(broken, AccountRecord(AccountId("beta"), "", "", ((ONE, owner(9)),), ()))
    faults.accounts.add(ACME.account)
    await clinic.deaths(2)
    async with clinic.living() as context, clinic.keeping():
        await until(lambda: "accounts is held before entry 3" in context.health.reason)
        await until(lambda: not clinic.bench.ward.unwritten)
        await clinic.discard((await clinic.listed())[0].id)
        await clinic.shown("beta", lambda _: True)
    for _ in range(2):
        clinic.another_daemon()
        async with clinic.living():
            acme = await clinic.shown(ACME.account, lambda _: True)
            assert acme.figures is not None
            assert acme.figures.collateral_usd == 4_000 * 10**8, "without account 7's WETH"
    assert faults.met == 2
    assert await clinic.cursor(ACCOUNT_STREAM) == 4


async def test_what_is_settled_stays_settled_and_has_one_row_in_the_audit(store: Store, faults: Faults) -> None:
    clinic = await opened(store)
    await blocks(clinic)
    faults.journal.add((JOURNAL, 3))
    await clinic.deaths(2)
    await clinic.written()
    (found,) = await clinic.listed()
    await clinic.discard(found.id)
    for again in (clinic.replay, clinic.discard):
        with pytest.raises(AlreadySettled):
            await again(found.id)
    (row,) = await clinic.rows("SELECT principal, action, object, outcome, detail->>'stream' AS stream FROM audit")
    assert [row.text(each) for each in ("principal", "action", "object", "outcome", "stream")] == [
        "treasury-ops",
        "deadletter.discard",
        str(found.id),
        "done",
        JOURNAL,
    ]


async def test_a_death_that_is_the_stores_fault_condemns_nothing(store: Store, faults: Faults) -> None:
    """A second calculator fences the first, in the commit of an entry, twice."""
    clinic = await opened(store)
    for seq, dollars in ((3, 1_300.0), (4, 1_900.0)):
        with pytest.RaisesGroup(pytest.RaisesExc(Exception, match="has taken over"), flatten_subgroups=True):
            async with trio.open_nursery() as nursery:
                await nursery.start(clinic.bench.live, store)
                await clinic.bench.caught_up()
                await store.claim("risk_calculator", produces=("margin_events",), consumes=("prices",))
                await clinic.bench.write_prices(usd(seq, ETH, dollars, GENESIS + 30 + seq))
                await trio.sleep_forever()
    assert clinic.bench.ward.unwritten == ()
    assert PROBE.account == "probe"


async def test_the_daemon_lives_through_all_of_it(store: Store, faults: Faults) -> None:
    """Under its supervisor, from the boot on: a price, and a journal entry that no start can take back out either."""
    clinic = await opened(store)
    await blocks(clinic)
    await clinic.bench.write_prices(usd(3, ETH, 1.0), usd(4, ETH, 1_900.0))
    faults.changes.add((JOURNAL, 4))
    faults.prices.add(3)
    children = (
        ChildSpec("quarantine_keeper", lambda: QuarantineKeeper(clinic.bench.ward, store)),
        ChildSpec("risk_calculator", lambda: clinic.bench.calculator(store)),
    )
    tree = Supervisor("root", SupervisorSpec(children), clock=SystemClock(), random=Random(0))
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: tree.run(task_status=task_status))
        await clinic.shown("probe", lambda seen: stands_at(seen, 4, 3) and seen.inputs.price_seq == 4)
        await until(lambda: not clinic.bench.ward.unwritten)
        restarts = {each.name: each.restarts for each in tree.tree()}
        await tree.stop()
    assert restarts == {"quarantine_keeper": 0, "risk_calculator": 4}
    assert {(each.stream, each.seq) for each in await clinic.listed()} == {(JOURNAL, 4), (PRICE_STREAM, 3)}
