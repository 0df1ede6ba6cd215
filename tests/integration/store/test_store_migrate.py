from __future__ import annotations

import pytest
import trio

from fusion_daemon.aio import Aio
from fusion_daemon.store import (
    Migration,
    MigrationFailed,
    MigrationRefused,
    Reader,
    StoreRefused,
    migrate,
    open_store,
    schema_state,
)

ONE = Migration(1, "0001_one.sql", "CREATE TABLE one (id int); CREATE TABLE one_more (id int);")
TWO = Migration(2, "0002_two.sql", "INSERT INTO one VALUES (1);")


async def names(aio: Aio, dsn: str) -> list[str]:
    async def query(reader: Reader) -> list[str]:
        rows = await reader.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        return [row.text("tablename") for row in rows]

    async with open_store(aio, dsn) as store:
        return await store.read(query)


async def test_each_file_is_applied_once(aio: Aio, empty_postgres_dsn: str) -> None:
    assert await aio.call(migrate, empty_postgres_dsn, [ONE], timeout=30) == [ONE]
    assert await aio.call(migrate, empty_postgres_dsn, [ONE, TWO], timeout=30) == [TWO]
    assert await aio.call(migrate, empty_postgres_dsn, [ONE, TWO], timeout=30) == []
    assert await names(aio, empty_postgres_dsn) == ["one", "one_more", "schema_migrations"]


async def test_a_changed_file_is_refused_before_anything_is_touched(aio: Aio, empty_postgres_dsn: str) -> None:
    await aio.call(migrate, empty_postgres_dsn, [ONE], timeout=30)
    changed = Migration(1, ONE.name, ONE.sql + " -- a remark")
    three = Migration(3, "0003_three.sql", "CREATE TABLE three (id int)")
    with pytest.raises(MigrationRefused, match=r"0001_one.sql has changed"):
        await aio.call(migrate, empty_postgres_dsn, [changed, three], timeout=30)
    assert "three" not in await names(aio, empty_postgres_dsn)


async def test_a_late_file_and_an_unknown_one_are_refused(aio: Aio, empty_postgres_dsn: str) -> None:
    two = Migration(2, TWO.name, "SELECT 1")
    await aio.call(migrate, empty_postgres_dsn, [two], timeout=30)
    with pytest.raises(MigrationRefused, match=r"0001_one.sql was never applied"):
        await aio.call(migrate, empty_postgres_dsn, [ONE, two], timeout=30)
    with pytest.raises(MigrationRefused, match="does not know"):
        await aio.call(migrate, empty_postgres_dsn, [ONE], timeout=30)


async def test_a_failing_file_leaves_nothing_of_itself(aio: Aio, empty_postgres_dsn: str) -> None:
    broken = Migration(2, "0002_broken.sql", "CREATE TABLE half (id int); SELECT 1 / 0;")
    with pytest.raises(MigrationFailed, match=r"0002_broken.sql failed: division by zero"):
        await aio.call(migrate, empty_postgres_dsn, [ONE, broken], timeout=30)
    assert await names(aio, empty_postgres_dsn) == ["one", "one_more", "schema_migrations"]
    assert await aio.call(migrate, empty_postgres_dsn, [ONE, TWO], timeout=30) == [TWO]


async def test_of_two_at_once_one_applies_and_the_other_finds_it_done(aio: Aio, empty_postgres_dsn: str) -> None:
    slow = Migration(1, "0001_slow.sql", "CREATE TABLE slow (id int); SELECT pg_sleep(0.1);")
    results: list[list[Migration]] = []

    async def run() -> None:
        results.append(await aio.call(migrate, empty_postgres_dsn, [slow], timeout=30))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(run)
    assert sorted(results, key=len) == [[], [], [slow]]


async def test_the_state_of_a_schema_is_read_without_changing_it(aio: Aio, empty_postgres_dsn: str) -> None:
    before = await aio.call(schema_state, empty_postgres_dsn, timeout=30)
    assert before.applied == ()
    assert before.pending[0].name == "0001_streams.sql"
    assert await names(aio, empty_postgres_dsn) == []
    await aio.call(migrate, empty_postgres_dsn, timeout=30)
    after = await aio.call(schema_state, empty_postgres_dsn, timeout=30)
    assert [one.version for one in after.applied] == [one.version for one in before.pending]
    assert after.pending == ()


async def test_a_database_that_is_not_there_is_explained(aio: Aio, postgres_dsn: str) -> None:
    with pytest.raises(StoreRefused, match="no_such_"):
        await aio.call(migrate, postgres_dsn.replace("/test_", "/no_such_"), timeout=30)
