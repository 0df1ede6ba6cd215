"""Streams, cursors, epochs and commits on a real Postgres."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio

from fusion_daemon.aio import Aio
from fusion_daemon.store import (
    Advance,
    Append,
    Claim,
    Commit,
    Copy,
    Execute,
    ExecuteMany,
    Fenced,
    Reader,
    Row,
    Store,
    WriteConflict,
    open_store,
)

WEI = 2**200 + 1


async def make_tables(reader: Reader) -> None:
    for stream in ("a", "b"):
        await reader.fetch(f"CREATE TABLE entries_{stream} (seq bigint PRIMARY KEY, amount numeric(78,0))")
    await reader.fetch("CREATE TABLE notes (id bigint PRIMARY KEY, amount numeric(78,0), owner text)")


async def entries(reader: Reader, stream: str) -> list[tuple[int, int]]:
    rows = await reader.fetch(f"SELECT seq, amount FROM entries_{stream} ORDER BY seq")
    return [(row.integer("seq"), row.integer("amount")) for row in rows]


async def notes(reader: Reader) -> list[int]:
    return [row.integer("id") for row in await reader.fetch("SELECT id FROM notes ORDER BY id")]


@pytest.fixture
async def tables(store: Store) -> None:
    await store.transact(make_tables)


def append(claim: Claim, stream: str, head: int, *amounts: int) -> Append:
    return Append(stream, claim.epoch, head, f"entries_{stream}", ("amount",), [(one,) for one in amounts])


def note(identity: int) -> Execute:
    return Execute("INSERT INTO notes (id, amount) VALUES ($1, $2)", (identity, WEI))


async def test_a_first_claim_starts_everything_at_nothing(store: Store) -> None:
    claim = await store.claim("risk", produces=["margin"], consumes=["prices", "journal:1"])
    assert claim.heads == {"margin": 0}
    assert claim.positions == {"prices": 0, "journal:1": 0}


async def test_entries_are_numbered_from_the_head(store: Store, tables: None) -> None:
    claim = await store.claim("w", produces=["a"])
    await store.commit(Commit(appends=(append(claim, "a", 0, 10, 20),)))
    await store.commit(Commit(appends=(append(claim, "a", 2, WEI),)))
    assert await store.read(entries, "a") == [(1, 10), (2, 20), (3, WEI)]
    assert (await store.claim("w", produces=["a"])).heads == {"a": 3}


async def test_a_commit_is_all_or_nothing(store: Store, tables: None) -> None:
    # append and note are fine, the cursor stands elsewhere
    claim = await store.claim("w", produces=["a"], consumes=["p"])
    with pytest.raises(Fenced, match="cursor w/p has epoch"):
        await store.commit(Commit((note(1),), (append(claim, "a", 0, 1),), (Advance("w", "p", claim.epoch, 5, 6),)))
    assert await store.read(entries, "a") == []
    assert await store.read(notes) == []
    assert (await store.claim("w", produces=["a"])).heads == {"a": 0}


async def test_writes_happen_in_order_with_the_cursor(store: Store, tables: None) -> None:
    claim = await store.claim("w", consumes=["p"])
    await store.commit(
        Commit(
            writes=(
                Copy("notes", ("id", "amount"), [(1, WEI), (2, 0)]),
                Execute("UPDATE notes SET owner = 'x' WHERE amount = $1", (WEI,), expect=1),
                ExecuteMany("INSERT INTO notes (id, amount) VALUES ($1, $2)", [(3, WEI), (4, 1)]),
                Execute("DELETE FROM notes WHERE id = ANY($1::bigint[])", ([2, 4],), expect=2),
            ),
            advances=(Advance("w", "p", claim.epoch, 0, 9),),
        )
    )
    assert await store.read(notes) == [1, 3]
    assert (await store.claim("w", consumes=["p"])).positions == {"p": 9}


async def test_empty_writes_cost_nothing_and_break_nothing(store: Store, tables: None) -> None:
    claim = await store.claim("w", produces=["a"], consumes=["p"])
    empty = (Copy("notes", ("id",), []), ExecuteMany("INSERT INTO notes (id) VALUES ($1)", []))
    await store.commit(Commit(empty, (append(claim, "a", 0),), (Advance("w", "p", claim.epoch, 0, 1),)))
    assert await store.read(entries, "a") == []


async def test_another_count_than_expected_rolls_everything_back(store: Store, tables: None) -> None:
    claim = await store.claim("w", consumes=["p"])
    with pytest.raises(WriteConflict, match="was to change 1 rows and changed 0"):
        await store.commit(
            Commit(
                (note(1), Execute("UPDATE notes SET owner = 'me' WHERE id = 7", expect=1)),
                advances=(Advance("w", "p", claim.epoch, 0, 1),),
            )
        )
    assert await store.read(notes) == []
    assert store.statistics().conflicts == 1


async def test_numbers_are_gapless_under_concurrent_writers(store: Store, tables: None) -> None:
    # Two streams, each with its writer, eight tasks that race: a: 1..100, b: 1..100, no hole in either.
    async def write(stream: str) -> None:
        claim = await store.claim(stream, produces=[stream])
        for head in range(0, 100, 2):
            await store.commit(Commit(appends=(append(claim, stream, head, head, head + 1),)))

    async def look() -> None:
        while not done:
            for stream in ("a", "b"):
                seen = await store.read(entries, stream)
                assert [seq for seq, _ in seen] == list(range(1, len(seen) + 1))

    done = False
    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        async with trio.open_nursery() as writers:
            writers.start_soon(write, "a")
            writers.start_soon(write, "b")
        done = True
    for stream in ("a", "b"):
        assert await store.read(entries, stream) == [(seq, seq - 1) for seq in range(1, 101)]


async def test_a_zombie_is_fenced(store: Store, tables: None) -> None:
    # old claims, new claims, old wakes up and commits at the right head: refused, new goes on
    old = await store.claim("w", produces=["a"], consumes=["p"])
    new = await store.claim("w", produces=["a"], consumes=["p"])
    with pytest.raises(Fenced, match=f"stream a has epoch {new.epoch} and stands at 0"):
        await store.commit(Commit(appends=(append(old, "a", 0, 1),)))
    with pytest.raises(Fenced):
        await store.commit(Commit(advances=(Advance("w", "p", old.epoch, 0, 1),)))
    await store.commit(Commit(appends=(append(new, "a", 0, 2),), advances=(Advance("w", "p", new.epoch, 0, 1),)))
    assert await store.read(entries, "a") == [(1, 2)]
    assert store.statistics().fenced == 2


async def test_of_many_actors_that_claim_and_write_at_once_one_wins_every_number(store: Store, tables: None) -> None:
    # Every contender claims and appends until it is fenced; numbers stay gapless, one entry per number.
    acknowledged: list[int] = []

    async def contend(identity: int) -> None:
        for round_ in range(10):
            claim = await store.claim("w", produces=["a"])
            value = identity * 100 + round_
            try:
                await store.commit(Commit(appends=(append(claim, "a", claim.heads["a"], value),)))
            except Fenced:
                continue
            acknowledged.append(value)

    async with trio.open_nursery() as nursery:
        for identity in range(4):
            nursery.start_soon(contend, identity)
    found = await store.read(entries, "a")
    assert [seq for seq, _ in found] == list(range(1, len(found) + 1))
    assert sorted(value for _, value in found) == sorted(acknowledged)


async def test_a_cursor_belongs_to_its_consumer(store: Store) -> None:
    risk = await store.claim("risk", consumes=["p"])
    audit = await store.claim("audit", consumes=["p"])
    await store.commit(Commit(advances=(Advance("risk", "p", risk.epoch, 0, 4),)))
    await store.commit(Commit(advances=(Advance("audit", "p", audit.epoch, 0, 2),)))
    assert (await store.claim("risk", consumes=["p"])).positions == {"p": 4}
    assert (await store.claim("audit", consumes=["p"])).positions == {"p": 2}


async def test_a_wrong_statement_is_raised_at_once(store: Store, tables: None) -> None:
    claim = await store.claim("w", consumes=["p"])
    with pytest.raises(Exception, match='relation "nowhere" does not exist'):
        await store.commit(Commit((Execute("DELETE FROM nowhere"),), advances=(Advance("w", "p", claim.epoch, 0, 1),)))
    with pytest.raises(Exception, match="expects 1 argument"):
        await store.commit(
            Commit(
                (Execute("DELETE FROM notes WHERE id = $1", (1, 2)),),
                advances=(Advance("w", "p", claim.epoch, 0, 1),),
            )
        )
    assert store.statistics().actors.retries == 0


async def test_a_constraint_that_fails_at_commit_is_raised_not_retried(store: Store, tables: None) -> None:
    async def defer(reader: Reader) -> None:
        await reader.fetch("ALTER TABLE notes ADD CONSTRAINT one_owner UNIQUE (owner) DEFERRABLE INITIALLY DEFERRED")

    await store.transact(defer)
    claim = await store.claim("w", consumes=["p"])
    twice = ExecuteMany("INSERT INTO notes (id, owner) VALUES ($1, $2)", [(1, "x"), (2, "x")])
    with pytest.raises(Exception, match="one_owner"):
        await store.commit(Commit((twice,), advances=(Advance("w", "p", claim.epoch, 0, 1),)))
    assert (await store.claim("w", consumes=["p"])).positions == {"p": 0}


async def test_a_read_sees_one_moment(store: Store, tables: None) -> None:
    claim = await store.claim("w", produces=["a"])
    first_done, second_may = trio.Event(), trio.Event()
    portal = store._aio

    async def hand_over() -> None:
        first_done.set()
        await second_may.wait()

    async def twice(reader: Reader) -> tuple[int, int]:
        before = len(await entries(reader, "a"))
        await portal.to_trio(hand_over, timeout=10)
        return before, len(await entries(reader, "a"))

    results: list[tuple[int, int]] = []

    async def look() -> None:
        results.append(await store.read(twice))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        await first_done.wait()
        await store.commit(Commit(appends=(append(claim, "a", 0, 1),)))
        second_may.set()
    assert results == [(0, 0)]
    assert len(await store.read(entries, "a")) == 1


async def test_a_read_cannot_write(store: Store, tables: None) -> None:
    async def write(reader: Reader) -> Sequence[Row]:
        return await reader.fetch("INSERT INTO notes (id) VALUES (1)")

    with pytest.raises(Exception, match="read-only transaction"):
        await store.read(write)


async def test_two_claimers_of_a_queue_never_get_the_same_row(store: Store, tables: None) -> None:
    async def fill(reader: Reader) -> None:
        await reader.fetch("INSERT INTO notes (id) SELECT generate_series(1, 100)")

    async def take(reader: Reader, owner: str) -> list[int]:
        rows = await reader.fetch(
            "UPDATE notes SET owner = $1 WHERE id IN (SELECT id FROM notes WHERE owner IS NULL"
            " ORDER BY id LIMIT 5 FOR UPDATE SKIP LOCKED) RETURNING id",
            owner,
        )
        return [row.integer("id") for row in rows]

    await store.transact(fill)
    taken: list[int] = []

    async def work(owner: str) -> None:
        while got := await store.transact(take, owner):
            taken.extend(got)

    async with trio.open_nursery() as nursery:
        for owner in ("x", "y", "z"):
            nursery.start_soon(work, owner)
    assert sorted(taken) == list(range(1, 101))


async def test_a_swallowed_error_does_not_pass_for_a_commit(store: Store, tables: None) -> None:
    async def swallow(reader: Reader) -> None:
        await reader.fetch("INSERT INTO notes (id) VALUES (1)")
        with pytest.raises(Exception, match="duplicate key"):
            await reader.fetch("INSERT INTO notes (id) VALUES (1)")

    with pytest.raises(RuntimeError, match="rolled back"):
        await store.transact(swallow)
    assert await store.read(notes) == []


async def test_the_http_side_queries_from_asyncio(store: Store, tables: None, aio: Aio) -> None:
    async def handler() -> list[tuple[int, int]]:
        return await store.query(entries, "a")

    assert await aio.call(handler, timeout=10) == []


async def test_cancelled_work_leaves_every_connection_idle(store: Store, tables: None) -> None:
    # Deadlines from nothing to 4 ms cut commits, reads and claims at every point; afterwards nothing is
    # held, nothing is half done, and the stream goes on where its last entry is.
    async def sleepy(reader: Reader) -> None:
        await reader.fetch("SELECT pg_sleep(0.002)")

    for number in range(200):
        with trio.move_on_after((number % 20) * 0.0002):
            claim = await store.claim("w", produces=["a"])
            await store.commit(Commit(appends=(append(claim, "a", claim.heads["a"], number),)))
            await store.read(sleepy)
    statistics = store.statistics().actors
    assert statistics.idle == statistics.size
    claim = await store.claim("w", produces=["a"])
    found = await store.read(entries, "a")
    assert [seq for seq, _ in found] == list(range(1, claim.heads["a"] + 1))


async def test_a_cancelled_statement_ends_on_the_server(store: Store) -> None:
    async def endless(reader: Reader) -> None:
        await reader.fetch("SELECT pg_sleep(20)")

    async def busy(reader: Reader) -> int:
        row = await reader.fetch_one(
            "SELECT count(*) AS n FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(20)'"
        )
        assert row is not None
        return row.integer("n")

    with trio.move_on_after(0.1) as scope:
        await store.read(endless)
    assert scope.cancelled_caught
    assert await store.read(busy) == 0


async def test_a_store_of_its_own_password_is_refused_in_words(aio: Aio, postgres_dsn: str) -> None:
    nowhere = postgres_dsn.replace("/test_", "/no_such_")
    with pytest.raises(Exception, match=r"refused the login.*no_such_"):
        async with open_store(aio, nowhere):
            raise AssertionError("must not open")
