"""Rule: docs/api.md names every request that the admin port answers, with its role, and no other; and each POST has an
example and names every field of its body (test_docs runs the examples)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import cast

import pytest
import trio

from fusion_daemon.accounts.routes import AccountForm, AddressForm, ContactForm, VerifyForm
from fusion_daemon.chain.routes import StartBlock
from fusion_daemon.chain.routes_orders import OrderForm, SkipForm
from fusion_daemon.config import load_config
from fusion_daemon.crosschain.routes import RetryForm
from fusion_daemon.http.admin_routes import health_routes
from fusion_daemon.http.operation_routes import Observer, drain_routes, operation_routes
from fusion_daemon.http.route import Route
from fusion_daemon.operation import ActorOperations
from fusion_daemon.reload_answer import ReloadForm
from fusion_daemon.reload_ways import AuditedReloads, Reloads, reload_routes
from fusion_daemon.runtime import ChildSpec, Supervisor, SupervisorSpec, SystemClock
from fusion_daemon.standby import lease_routes
from fusion_daemon.store import Candidacy
from tools.metrics_page import unstarted_house

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/api.md").read_text()
ROW = re.compile(r"^\| `(GET|POST) (/\S*)` \| (\w+) \|", re.MULTILINE)
CURL = re.compile(r"^curl .*?\$API(/[\w/.<>-]+)", re.MULTILINE)
BODIES = {
    "/v1/accounts": AccountForm,
    "/v1/accounts/{id}/addresses": AddressForm,
    "/v1/accounts/{id}/contacts": ContactForm,
    "/v1/accounts/{id}/contacts/verify": VerifyForm,
    "/v1/chains/{id}/start-block": StartBlock,
    "/v1/chains/{id}/orders": OrderForm,
    "/v1/chains/{id}/skips": SkipForm,
    "/v1/messages/{id}/retry": RetryForm,
    "/v1/reload": ReloadForm,
}


LIMIT = re.compile(r"^\| `(\w+(?::<id>)?)` \| .* \| (\d+) s \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def served() -> list[Route]:
    """The admin port's table, as the daemon puts it together."""

    async def table() -> list[Route]:
        async with unstarted_house(load_config(ROOT / "config.toml")) as (aio, _, house):
            tree = Supervisor("root", house.stand.tree, clock=SystemClock(), random=Random(0))
            operations = ActorOperations(tree, aio)
            management = health_routes(lambda: (), lambda: ())
            lease = lease_routes(cast("Candidacy", None), aio, house.fixtures.audit, "fusion-prime")
            drain = drain_routes(lambda: 0.0, house.fixtures.audit, "fusion-prime")
            reload = reload_routes(cast("Reloads", None), cast("AuditedReloads", None), aio)
            operation = operation_routes(cast("Observer", None), operations, house.fixtures.audit)
            return [*management, *operation, *house.stand.routes, *lease, *drain, *reload]

    return trio.run(table)


def test_the_page_is_the_route_table(served: list[Route]) -> None:
    told = {(method, path): role for method, path, role in ROW.findall(PAGE)}
    roles = {
        (each.method, each.path): "none" if each.role is None else each.role.name.lower() for each in served
    }
    assert told == roles


def test_every_post_has_an_example(served: list[Route]) -> None:
    shown = CURL.findall(PAGE)
    for route in served:
        shape = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(route.path))
        assert route.method != "POST" or any(re.fullmatch(shape, path) for path in shown), route.path


def test_every_field_of_a_body_is_named() -> None:
    for path, form in BODIES.items():
        sections = re.split(r"^(?=`POST )", PAGE, flags=re.MULTILINE)
        (section,) = (each for each in sections if each.startswith(f"`POST {path}`"))
        for field in form.__struct_fields__:
            assert f"`{field}`" in section, (path, field)


def test_the_limits_of_the_data_are_those_of_the_tree() -> None:
    async def actors() -> dict[str, float | None]:
        async with unstarted_house(load_config(ROOT / "config.toml")) as (_, _, house):
            return {re.sub(r":\d+$", ":<id>", each.name): each.data_limit for each in leaves(house.stand.tree)}

    assert {name: float(limit) for name, limit in LIMIT.findall(PAGE)} == trio.run(actors)


def leaves(spec: SupervisorSpec) -> Iterator[ChildSpec]:
    for child in spec.children:
        if isinstance(child.start, SupervisorSpec):
            yield from leaves(child.start)
        else:
            yield child
