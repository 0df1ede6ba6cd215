"""GET /v1/chains and POST /v1/chains/{id}/start-block, as plain coroutine functions on the asyncio side."""

from __future__ import annotations

import json

import msgspec
import pytest

from fusion_daemon.accounts.repository import list_audit
from fusion_daemon.chain.endpoint_state import State
from fusion_daemon.chain.endpoint_views import EndpointsView, endpoints_text
from fusion_daemon.chain.repository import StartBlockRefused, load_coverage, register_contracts
from fusion_daemon.chain.routes import routes
from fusion_daemon.chain.rpc_routes import endpoint_routes
from fusion_daemon.domain.identifiers import ChainId, hex_of
from fusion_daemon.domain.journal import journal_stream
from fusion_daemon.http.problem import Problem
from fusion_daemon.http.route import Principal, Reply, Request, Role
from tests.faults.fake_node import FakeNode
from tests.integration.chain.listening import CHAIN, Listening
from tests.unit.chain.vault_logs import ALICE, STRANGER, VAULT, WETH, deposited

NAMES = {CHAIN: "test", ChainId(1): "mainnet"}


DIFFERENCES = "/v1/chains/{id}/differences"
COVERAGE = "/v1/chains/{id}/coverage"
PATHS = {"GET": "/v1/chains", "POST": "/v1/chains/{id}/start-block"}


async def ask(listening: Listening, method: str, chain: str = "", body: bytes = b"", path: str = "") -> Reply:
    wanted = (method, path or PATHS[method])
    [route] = [each for each in routes(listening.aio, listening.store, NAMES) if (each.method, each.path) == wanted]
    request = Request(method, {"id": chain}, {}, {}, body, Principal("ops", Role.OPERATOR), "test")
    return await listening.aio.call(route.handler, request, timeout=10)


async def test_every_configured_chain_is_listed(listening: Listening, node: FakeNode) -> None:
    tip = node.mine()
    async with listening.live(node.url) as life:
        await life.until_tip(tip.hash)
    mainnet, test = json.loads((await ask(listening, "GET")).body)["chains"]
    assert mainnet == {"chain_id": 1, "name": "mainnet", "start_block": None, "tip": None, "latched": None}
    assert test["tip"] == {"number": 1, "hash": "0x" + tip.hash.hex()}
    assert (test["start_block"], test["head"], test["finalized"], test["latched"]) == (0, 1, 0, None)


async def test_how_far_a_chain_is_audited_and_what_differs(listening: Listening, node: FakeNode) -> None:
    tip = node.mine(deposited(ALICE, WETH, 5))
    async with listening.live(node.url) as life:
        await life.until_tip(tip.hash)
        await listening.until_audited(0)
    await listening.alter(
        "INSERT INTO chain_differences (chain_id, block_number, log_index, block_hash, endpoint)"
        f" VALUES ({CHAIN}, 7, 3, sha256(''), 'rpc.example')"
    )
    _, test = json.loads((await ask(listening, "GET")).body)["chains"]
    assert (test["audited"], test["differing"]) == (0, 1)
    [found] = json.loads((await ask(listening, "GET", str(CHAIN), path=DIFFERENCES)).body)["differences"]
    assert (found["block"], found["log_index"], found["endpoint"]) == (7, 3, "rpc.example")
    contract = f"INSERT INTO chain_contracts VALUES ({CHAIN}, decode('{'0b' * 20}', 'hex'), 2, 0)"
    await listening.alter(contract)
    _, test = json.loads((await ask(listening, "GET")).body)["chains"]
    assert test["audited"] is None


async def test_coverage_tells_whose_logs_were_read_of_which_blocks(listening: Listening, node: FakeNode) -> None:
    """Two blocks are read with one vault; of a second one, configured later, they are missing until they are read."""
    assert json.loads((await ask(listening, "GET", "1", path=COVERAGE)).body) == {
        "chain_id": 1,
        "tip": None,
        "filters": [],
        "skips": [],
    }
    tip = node.mine()
    async with listening.live(node.url) as life:
        await life.until_tip(tip.hash)
    view = await listening.store.read(load_coverage, CHAIN)
    epoch = (await listening.store.claim("test", produces=(journal_stream(CHAIN),))).epoch
    await listening.store.commit(register_contracts(CHAIN, epoch, view, view.configured((STRANGER,), 0)))
    whole = [{"first": 0, "last": 1}]
    contracts = [{"address": hex_of(each), "since_block": 0, "origin": None} for each in (VAULT, STRANGER)]
    assert json.loads((await ask(listening, "GET", "31337", path=COVERAGE)).body) == {
        "chain_id": 31_337,
        "tip": 1,
        "filters": [
            {"filter_version": 1, "contracts": contracts[:1], "covered": whole, "missing": [], "skipped": []},
            {"filter_version": 2, "contracts": contracts[1:], "covered": [], "missing": whole, "skipped": []},
        ],
        "skips": [],
    }
    with pytest.raises(Problem):
        await ask(listening, "GET", "5", path=COVERAGE)


async def test_start_block_is_chosen_until_something_is_stored(listening: Listening, node: FakeNode) -> None:
    for block in (7, 0):
        reply = await ask(listening, "POST", "31337", b'{"block": %d}' % block)
        assert json.loads(reply.body) == {"chain_id": 31_337, "start_block": block}
    tip = node.mine()
    async with listening.live(node.url, settings=listening.settings(start_block=5)) as life:
        await life.until_tip(tip.hash)
    assert len(await listening.entries()) == 2
    with pytest.raises(StartBlockRefused, match="has been read already"):
        await ask(listening, "POST", "31337", b'{"block": 1}')
    rows = await listening.store.read(list_audit, None, 10)
    # A refused choice has no effect and no row; newest first.
    assert [(row.principal, row.action, row.object) for row in rows] == [("ops", "chain.start_block", "31337")] * 2


@pytest.mark.parametrize(
    ("chain", "body", "status"),
    [
        ("5", b'{"block": 1}', 404),
        ("x", b'{"block": 1}', 404),
        ("31337", b'{"block": -1}', 422),
        ("31337", b'{"block": "1"}', 422),
        ("31337", b'{"blok": 1}', 422),
        ("31337", b"", 400),
    ],
)
async def test_bad_requests(listening: Listening, chain: str, body: bytes, status: int) -> None:
    with pytest.raises(Problem) as caught:
        await ask(listening, "POST", chain, body)
    assert caught.value.status == status


async def test_the_state_of_each_endpoint_is_shown(listening: Listening, node: FakeNode, second_node: FakeNode) -> None:
    """The first serves another chain; its URL's key is not shown."""
    node.chain_id = 5
    tip = second_node.mine()
    async with listening.live(node.url, second_node.url) as life:
        await life.until_tip(tip.hash)
        [route] = endpoint_routes(NAMES, lambda chain: life.listener.statistics().endpoints if chain == CHAIN else ())

        async def show(chain: str) -> EndpointsView:
            request = Request("GET", {"id": chain}, {}, {}, b"", Principal("ops", Role.VIEWER), "test")
            reply = await listening.aio.call(route.handler, request, timeout=10)
            return msgspec.json.decode(reply.body, type=EndpointsView)

        assert (await show("1")).endpoints == ()
        with pytest.raises(Problem):
            await show("7")
        view = await show("31337")
        first, second = view.endpoints
        assert (first.state, first.reason, first.in_use) == ("wrong_chain", "It serves chain 5.", False)
        assert (second.state, second.reason, second.in_use, second.head) == ("alive", None, True, 1)
        assert "planted-key" not in str(view)
        assert "  0 http://127.0.0.1" in "\n".join(endpoints_text((view,)))
        transitions = life.listener.statistics().endpoints[0].transitions
        assert transitions == {(State.ALIVE, State.WRONG_CHAIN, "chain_id"): 1}
