"""Rule: while the server answers `disk full` the daemon says so and waits; with room again nothing was lost.

The server's answer is made by a trigger. That a really full disk gives the same one is shown by
tests/faults/test_store_disk_full.py, where a small file system can be mounted.

writes    ══════╳ 53100 53100 53100 ╔═══════
ready        ok     disk full          ok
"""

from __future__ import annotations

import asyncio
import urllib.request

import asyncpg

from fusion_daemon.demo.accounts import players
from fusion_daemon.demo.scenario import await_margin, move_price
from fusion_daemon.demo.stage import Stage
from fusion_daemon.domain.price import USD_SCALE
from tests.e2e.expectation import assert_everyone_was_told
from tests.e2e.witness import await_caught_up
from tests.looking import until

FULL = """
CREATE FUNCTION disk_is_full() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'could not extend file "base/5/1259": No space left on device' USING ERRCODE = '53100';
END
$$;
CREATE TRIGGER full_streams BEFORE UPDATE OR INSERT ON streams FOR EACH STATEMENT EXECUTE FUNCTION disk_is_full();
CREATE TRIGGER full_cursors BEFORE UPDATE OR INSERT ON cursors FOR EACH STATEMENT EXECUTE FUNCTION disk_is_full();
"""
ROOM = "DROP FUNCTION disk_is_full CASCADE"


def execute(dsn: str, script: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(script)
        finally:
            await connection.close()

    asyncio.run(run())


def database_component(stage: Stage) -> dict[str, object]:
    _, answer = stage.daemon.get("/-/ready")
    assert isinstance(answer, dict)
    return next(each for each in answer["components"] if each["name"] == "database")


def scraped(stage: Stage, name: str) -> float:
    with urllib.request.urlopen(stage.metrics_url, timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(f"{name} "))


def test_a_full_disk_is_waited_out_and_named(stage: Stage) -> None:
    cast = players(4)
    stage.daemon.start()
    stage.register(cast)
    stage.deposit(cast)
    await_margin(stage, cast, "collateral_usd")
    stage.borrow(cast)
    await_margin(stage, cast, "health_factor")
    assert (database_component(stage)["ready"], scraped(stage, "fusion_store_disk_full")) == (True, 0.0)

    execute(stage.dsn, FULL)
    stage.set_price(1_400 * USD_SCALE)
    until(lambda: database_component(stage)["state"] == "disk full", "the database is full")
    component = database_component(stage)
    assert component["ready"] is False
    assert "No space left on device" in str(component["reason"])
    assert "Make room on that disk" in str(component["reason"])
    assert scraped(stage, "fusion_store_disk_full") == 1.0
    status, _ = stage.daemon.get(f"/v1/accounts/{cast[0].id}")
    assert status == 200, "reading goes on"

    execute(stage.dsn, ROOM)
    until(lambda: database_component(stage)["ready"] is True, "there is room")
    move_price(stage, 1_390)
    await_caught_up(stage)
    assert_everyone_was_told(stage)
    _, answer = stage.daemon.get("/v1/actors")
    assert isinstance(answer, dict)
    assert {actor["name"]: actor["restarts"] for actor in answer["actors"] if actor["restarts"]} == {}
    assert stage.daemon.stop() == 0
