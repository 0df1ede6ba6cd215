"""Rule: the admin port answers a margin call's question as the command line does, problems included. Real processes."""

from __future__ import annotations

import json
from functools import partial
from http import HTTPStatus

import pytest

from fusion_daemon.aio import Aio
from fusion_daemon.http import Problem, Reply, Request
from fusion_daemon.risk.clients.calculators import Calculators
from fusion_daemon.risk.routes import stateless_routes
from tests.unit.cli.test_cli_risk_margin import ASKED, USDC, answered


async def test_one_account_and_a_list_of_them(aio: Aio) -> None:
    routes = {route.path: route for route in stateless_routes(Calculators().ask)}

    async def ask(path: str, body: object) -> Reply:
        request = Request("POST", {}, {}, {}, json.dumps(body, indent=1).encode(), None, "test")
        return await aio.call(partial(routes[path].handler, request), timeout=60.0)

    (single,) = answered(ASKED)
    one = await ask("/v1/risk/margin", ASKED)
    assert (one.status, json.loads(one.body)) == (HTTPStatus.OK, single)
    many = await ask("/v1/risk/margin/batch", [ASKED, ASKED])
    assert json.loads(many.body) == [single, single]
    with pytest.raises(Problem) as refused:
        await ask("/v1/risk/margin/batch", [ASKED, {**ASKED, "debt": [{**USDC, "price": None}]}])
    assert (refused.value.status, refused.value.code) == (422, "invalid")
    assert "request number 1" in refused.value.detail
    assert refused.value.remedy
