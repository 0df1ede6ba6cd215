"""Rule: one daemon at a time writes in a database; its death or its silence frees the lease, and it never wins back
what another has taken.

    first   ═══ holds ═══╳ dies, falls silent, or gives it back
    second  ─ stands by ─────╔═══ holds ═══
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest
import trio

from fusion_daemon.aio import Aio
from fusion_daemon.store import (
    Candidate,
    LeaseHeld,
    LeaseRole,
    MigrationRefused,
    Reader,
    Store,
    StoreUnavailable,
    Taken,
    open_candidacy,
    without_holder,
)
from fusion_daemon.store import candidacy as module
from fusion_daemon.store.lease_sessions import LOCK
from tests.integration.store.candidates import (
    END_HOLDER,
    LONG,
    PATIENCE,
    SHORT,
    A,
    B,
    Heard,
    active,
    execute,
    holder,
    standby,
)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "START_PATIENCE", 0.2)


def renew_every(monkeypatch: pytest.MonkeyPatch, seconds: float, candidate: Candidate) -> None:
    monkeypatch.setattr(module, "RENEWALS", candidate.seconds / seconds)


async def configurations(reader: Reader) -> list[str]:
    return [row.text("configuration") for row in await reader.fetch("SELECT configuration FROM leases ORDER BY term")]


async def terms(reader: Reader) -> list[tuple[str, str]]:
    rows = await reader.fetch("SELECT instance, taken FROM leases ORDER BY term")
    return [(row.text("instance"), row.text("taken")) for row in rows]


async def lock_holders(reader: Reader) -> list[int]:
    rows = await reader.fetch(
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        " AND (classid::bigint << 32) | objid::bigint = $1",
        LOCK,
    )
    return [row.integer("pid") for row in rows]


async def recorded_backend(reader: Reader) -> int:
    row = await reader.fetch_one("SELECT backend_pid FROM leases ORDER BY term DESC LIMIT 1")
    assert row is not None
    return row.integer("backend_pid")


async def alive(reader: Reader, pid: int) -> bool:
    return bool(await reader.fetch("SELECT pid FROM pg_stat_activity WHERE pid = $1", pid))


async def test_the_first_on_an_empty_database_makes_its_schema(aio: Aio, empty_postgres_dsn: str) -> None:
    async with holder(aio, empty_postgres_dsn, A) as (candidacy, lease):
        assert (lease.term, candidacy.standing.role, candidacy.standing.taken) == (1, LeaseRole.ACTIVE, Taken.FREE)


async def test_the_second_stands_by_and_takes_over_what_the_first_gives_back(
    aio: Aio, postgres_dsn: str, store: Store
) -> None:
    async with trio.open_nursery() as nursery:
        leave = trio.Event()

        async def first(task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
            async with holder(aio, postgres_dsn, A):
                task_status.started()
                await leave.wait()

        await nursery.start(first)
        async with standby(aio, postgres_dsn, B) as (second, heard):
            assert (second.standing.holder, second.standing.term) == ("a", 1)
            leave.set()
            await heard.until(active)
            assert await store.read(terms) == [("a", "free"), ("b", "free")]


async def test_the_end_of_the_holders_session_frees_the_lease_at_once(
    aio: Aio, postgres_dsn: str, store: Store
) -> None:
    async with holder(aio, postgres_dsn, A), standby(aio, postgres_dsn, B) as (_, heard):
        await execute(aio, postgres_dsn, END_HOLDER)
        await heard.until(active)
        assert await store.read(terms) == [("a", "free"), ("b", "ended")]


async def test_a_silent_holder_is_replaced_after_its_time_and_its_session_is_ended(
    aio: Aio, postgres_dsn: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    mute = replace(A, seconds=SHORT)
    renew_every(monkeypatch, LONG, mute)
    async with holder(aio, postgres_dsn, mute), open_candidacy(aio, postgres_dsn, B, Heard()) as second:
        old = await store.read(recorded_backend)
        monkeypatch.setattr(module, "LOOKS", B.seconds / 0.02)
        with trio.fail_after(PATIENCE):
            await second.won()
        assert await store.read(terms) == [("a", "free"), ("b", "silent")]
        assert not await store.read(alive, old)


async def test_a_holder_renews_as_long_as_it_lives(
    aio: Aio, postgres_dsn: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def renewed_at(reader: Reader) -> datetime:
        row = await reader.fetch_one("SELECT renewed_at FROM leases")
        assert row is not None
        return row.moment("renewed_at")

    renew_every(monkeypatch, 0.02, A)
    async with holder(aio, postgres_dsn, A):
        for _ in range(2):
            before = await store.read(renewed_at)
            with trio.fail_after(PATIENCE):
                while await store.read(renewed_at) == before:
                    pass


async def test_a_lost_session_is_renewed_with_its_lock(
    aio: Aio, postgres_dsn: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    renew_every(monkeypatch, 0.02, A)
    async with holder(aio, postgres_dsn, A) as (_, lease):
        for _ in range(3):
            before = await store.read(recorded_backend)
            await execute(aio, postgres_dsn, END_HOLDER)
            with trio.fail_after(PATIENCE):
                while (now := await store.read(recorded_backend)) == before or await store.read(lock_holders) != [now]:
                    assert not lease.lost.is_set()
        assert await store.read(terms) == [("a", "free")]


async def test_a_holder_does_not_win_back_what_came_and_went_meanwhile(
    aio: Aio, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The other one has the lease and gives it back before the first looks again: the lock is free, the term is over.
    async with open_candidacy(aio, postgres_dsn, A, Heard()) as first:
        lease = await first.won()
        first._nursery.cancel_scope.cancel()  # its renewals stand still
        with trio.CancelScope(shield=True):
            await execute(aio, postgres_dsn, END_HOLDER)
            async with holder(aio, postgres_dsn, B):
                pass
            assert not await aio.call(first._session.renew, lease.term, "same", timeout=PATIENCE)


async def test_a_session_whose_end_the_server_missed_is_ended_by_its_own_holder(
    aio: Aio, postgres_dsn: str, store: Store
) -> None:
    async with holder(aio, postgres_dsn, A) as (candidacy, lease):
        session = candidacy._session
        forgotten, session._connection = session._connection, None
        assert forgotten is not None
        before = await store.read(recorded_backend)
        with trio.fail_after(PATIENCE):
            while True:
                try:
                    assert await aio.call(session.renew, lease.term, "same", timeout=PATIENCE)
                except StoreUnavailable:
                    continue
                break
        assert not await store.read(alive, before)
        assert await store.read(lock_holders) == [await store.read(recorded_backend)]

        async def let_go() -> None:
            forgotten.terminate()

        await aio.call(let_go, timeout=PATIENCE)


async def test_the_term_says_by_what_its_holder_decides_now_and_a_standby_compares_with_that(
    aio: Aio, postgres_dsn: str, store: Store
) -> None:
    """first   same ──────▶ new
    second  same ── hindered ──▶ new, could take over"""
    second_of = replace(B, seconds=2.0)
    async with holder(aio, postgres_dsn, A) as (first, _), standby(aio, postgres_dsn, second_of) as (second, heard):
        with trio.fail_after(PATIENCE):
            await first.decide_by("new")
        assert await store.read(configurations) == ["new"]
        await heard.stands_by("another configuration")
        await second.decide_by("new")
        await heard.stands_by()
        assert await store.read(configurations) == ["new"], "a standby records nothing"


async def test_what_could_not_be_recorded_is_with_the_next_renewal(
    aio: Aio, postgres_dsn: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    renew_every(monkeypatch, 0.05, A)
    async with holder(aio, postgres_dsn, A) as (first, _):
        await execute(aio, postgres_dsn, END_HOLDER)
        with trio.fail_after(PATIENCE):
            await first.decide_by("new")
        assert await store.read(configurations) == ["new"]


async def test_another_configuration_does_not_take_over_unless_told(
    aio: Aio, postgres_dsn: str, store: Store
) -> None:
    other = replace(B, configuration="other", seconds=2.0)
    async with holder(aio, postgres_dsn, A), standby(aio, postgres_dsn, other, "another configuration") as (second, _):
        assert second.standing.other_configuration
        await execute(aio, postgres_dsn, END_HOLDER)
        assert await store.read(lock_holders) == [], "the lease is free, and stays so"
        for _ in range(2):
            before = second.standing
            with trio.fail_after(PATIENCE):
                while second.standing is before:
                    assert await store.read(lock_holders) == [], "it has looked again"
        with trio.fail_after(PATIENCE):
            assert await second.take_over() == 2
        assert await store.read(terms) == [("a", "free"), ("b", "told")]


async def test_a_told_standby_takes_the_lease_from_a_living_holder(
    aio: Aio, postgres_dsn: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    renew_every(monkeypatch, 0.02, A)
    async with holder(aio, postgres_dsn, A) as (first, lease), standby(aio, postgres_dsn, B) as (second, _):
        with trio.fail_after(PATIENCE):
            assert await second.take_over() == 2
            await lease.lost.wait()
        assert first.standing.role is LeaseRole.LOST
        assert await second.take_over() == 2, "told again, it has nothing to do"
        assert await store.read(terms) == [("a", "free"), ("b", "told")]


@pytest.mark.parametrize(
    ("instance", "released", "takes_it"),
    [("a", False, True), ("b", True, True), ("b", False, False)],
    ids=["its own predecessor crashed", "another gave it back", "another crashed"],
)
async def test_a_start_with_another_configuration(
    aio: Aio, postgres_dsn: str, instance: str, released: bool, takes_it: bool
) -> None:
    await execute(
        aio,
        postgres_dsn,
        "INSERT INTO leases (term, instance, configuration, lease_seconds, taken, released_at, backend_pid,"
        " backend_start) VALUES"
        f" (1, 'a', 'before', 600, 'free', {'now()' if released else 'NULL'}, 1, now())",
    )
    mine = Candidate(instance, "after", LONG)
    if takes_it:
        async with holder(aio, postgres_dsn, mine) as (_, lease):
            assert lease.term == 2
    else:
        async with standby(aio, postgres_dsn, mine, "another configuration"):
            pass


async def test_a_standby_that_is_older_than_the_schema_ends_and_takes_nothing(
    aio: Aio, postgres_dsn: str, store: Store
) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with holder(aio, postgres_dsn, A), standby(aio, postgres_dsn, B):
            await execute(
                aio, postgres_dsn, "INSERT INTO schema_migrations VALUES (9999, '9999_future.sql', 'x', now())"
            )
            await execute(aio, postgres_dsn, END_HOLDER)
            await trio.sleep(PATIENCE)
    refused = caught.value.split(MigrationRefused)[0]
    assert refused is not None
    assert await store.read(terms) == [("a", "free")]


async def test_a_standby_outlives_the_loss_of_its_own_sessions(
    aio: Aio, postgres_dsn: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOKS", B.seconds / 0.02)
    async with holder(aio, postgres_dsn, A), standby(aio, postgres_dsn, B) as (_, heard):
        holders = await store.read(lock_holders)
        await execute(
            aio,
            postgres_dsn,
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            f" WHERE application_name LIKE 'fusion-daemon lease%' AND pid <> {holders[0]}",
        )
        await execute(aio, postgres_dsn, END_HOLDER)
        await heard.until(active)
        assert await store.read(terms) == [("a", "free"), ("b", "ended")]


async def test_a_role_that_may_not_end_the_silent_holder_says_so(
    aio: Aio, postgres_dsn: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    mute = replace(A, seconds=SHORT)
    renew_every(monkeypatch, LONG, mute)
    monkeypatch.setattr(module, "LOOKS", B.seconds / 0.02)
    await execute(
        aio, postgres_dsn, "CREATE ROLE stranger LOGIN", "GRANT SELECT ON leases, schema_migrations TO stranger"
    )
    try:
        async with holder(aio, postgres_dsn, mute):
            dsn = postgres_dsn.replace("fusion_prime@", "stranger@")
            async with standby(aio, dsn, B, "may not end"):
                assert await store.read(terms) == [("a", "free")]
    finally:
        await execute(aio, postgres_dsn, "DROP OWNED BY stranger", "DROP ROLE stranger")


async def test_whoever_holds_the_lease_is_not_disturbed(aio: Aio, postgres_dsn: str) -> None:
    async with holder(aio, postgres_dsn, A) as (_, lease):
        with pytest.raises(LeaseHeld, match="Another fusion-daemon works on this database"):
            async with without_holder(aio, postgres_dsn):
                raise AssertionError("the block ran beside a holder")
        assert not lease.lost.is_set()


async def test_two_fillers_do_not_meet(aio: Aio, postgres_dsn: str) -> None:
    async with without_holder(aio, postgres_dsn):
        with pytest.raises(LeaseHeld):
            async with without_holder(aio, postgres_dsn):
                raise AssertionError("two filled the database at once")


async def test_afterwards_the_lease_is_free_and_no_term_was_begun(aio: Aio, empty_postgres_dsn: str) -> None:
    async with without_holder(aio, empty_postgres_dsn):
        pass
    async with holder(aio, empty_postgres_dsn, A) as (_, lease):
        assert lease.term == 1
