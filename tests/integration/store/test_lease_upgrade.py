"""Rule: a newer program may stand by beside an older holder; it changes nothing before it holds the lease, brings the
schema up when it does, and the older one then writes nothing any more.

    older  ═══ holds ════════╳ lost
    newer  ─ stands by ──────╔═ told ═ migrates ═ holds ═══
"""

from __future__ import annotations

import sys

import pytest
import trio

from fusion_daemon.aio import Aio
from fusion_daemon.store import Superseded, open_candidacy, open_store
from fusion_daemon.store.migrate import SchemaState, schema_state, shipped_migrations
from tests.integration.store.candidates import PATIENCE, A, B, Heard, holder

migrations = sys.modules["fusion_daemon.store.migrate"]  # the package exports a function of that name


@pytest.fixture
def older(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The program as it was before its last migration, until undone."""
    before = shipped_migrations()[:-1]
    for name in ("shipped_migrations", "_shipped"):
        monkeypatch.setattr(migrations, name, lambda: before)
    return monkeypatch


async def test_a_schema_is_upgraded_while_a_standby_runs(
    aio: Aio, empty_postgres_dsn: str, older: pytest.MonkeyPatch
) -> None:
    async def schema() -> SchemaState:
        return await aio.call(schema_state, empty_postgres_dsn, timeout=PATIENCE)

    async with holder(aio, empty_postgres_dsn, A) as (_, lease):
        older.undo()
        last = (await schema()).pending
        assert [each.name for each in last] == [shipped_migrations()[-1].name]
        heard = Heard()
        async with open_candidacy(aio, empty_postgres_dsn, B, heard) as second, trio.open_nursery() as nursery:
            won = trio.Event()

            async def win() -> None:
                await second.won()
                won.set()

            nursery.start_soon(win)
            await heard.stands_by()
            assert (await schema()).pending == last, "who stands by changes nothing"
            with trio.fail_after(PATIENCE):
                await second.take_over()
                await won.wait()
            assert (await schema()).pending == ()
            async with open_store(aio, empty_postgres_dsn) as late:
                late.carry(lease)
                with pytest.raises(Superseded):
                    await late.claim("late")
