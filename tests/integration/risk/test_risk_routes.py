"""What the API says of an account's margin, read from a real database and a living calculator."""

from __future__ import annotations

import json
from functools import partial

import pytest

from actors.risk_calculator import MarginOf
from fusion_daemon.aio import Aio
from fusion_daemon.domain.identifiers import AccountId
from fusion_daemon.http import Problem, Reply, Request, Route
from fusion_daemon.risk.report import AccountMargin
from fusion_daemon.risk.routes import routes
from fusion_daemon.store import Store
from tests.integration.risk.calculator_bench import Bench
from tests.integration.risk.test_risk_calculator import crash, lending, listing
from tests.unit.risk.margin_scene import name


def asked(path: dict[str, str], query: dict[str, str]) -> Request:
    return Request("GET", path, query, {}, b"", None, "test")


async def test_margin_and_its_events(aio: Aio, store: Store) -> None:
    bench = Bench(store)

    async def on_trio(account: AccountId) -> AccountMargin | None:
        return await bench.requests.ask(MarginOf(account), 10.0)

    async def ask(account: AccountId) -> AccountMargin | None:
        return await aio.to_trio(on_trio, account, timeout=10.0)

    margin, events = routes(store, ask)

    async def get(route: Route, account: str, **query: str) -> Reply:
        return await aio.call(partial(route.handler, asked({"id": account}, query)), timeout=10.0)

    await listing(bench)
    async with bench.running():
        await bench.caught_up()
        await lending(bench)
        await bench.caught_up()
        await crash(bench)
        await bench.caught_up()
        shown = json.loads((await get(margin, name(7))).body)
        assert (shown["state"], shown["episode"], shown["step"]) == ("WARNING", 1, 4)
        assert shown["figures"]["health_factor"] == "1.52"
        assert shown["figures"]["score_percent"] == "90"
        assert shown["figures"]["collateral_usd"] == "1900"
        assert shown["credit_usd"] == "0"
        assert {(leg["asset"], leg["side"], leg["balance"]) for leg in shown["legs"]} == {
            ("ETH", "collateral", str(10**18)),
            ("USDC", "debt", str(10**9)),
        }
        with pytest.raises(Problem) as refused:
            await get(margin, "nobody")
        assert refused.value.status == 404
    first = json.loads((await get(events, name(7), limit="3")).body)
    assert [each["step"] for each in first["events"]] == [4, 3, 2]
    rest = json.loads((await get(events, name(7), limit="3", cursor=first["next_cursor"])).body)
    assert [(each["step"], each["kind"]) for each in rest["events"]] == [(1, "opened")]
    assert rest["next_cursor"] is None
    with pytest.raises(Problem) as refused:
        await get(events, name(7), cursor="bm9uc2Vuc2U")
    assert refused.value.status == 400
