"""GET /v1/messages/{id} of the daemon's own house over real HTTP, Postgres and explorers: what they say is shown beside
what the chains show, and changes nothing of it."""

from __future__ import annotations

import http.client
import json
import os
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pytest
import structlog
import trio

from fusion_daemon.actor_metrics import hint_families
from fusion_daemon.aio import Aio
from fusion_daemon.composition import House, build_house
from fusion_daemon.config import Config
from fusion_daemon.crosschain import Evidence, MessageTracker, State
from fusion_daemon.crosschain.records import save_evidence, save_message
from fusion_daemon.domain.identifiers import ChainId, hex_of
from fusion_daemon.domain.journal import BlockRef
from fusion_daemon.http.metrics import Family
from fusion_daemon.http.principals import Principals
from fusion_daemon.http.server import AdminServer
from fusion_daemon.http.serving import serving
from fusion_daemon.http.settings import HttpSettings
from fusion_daemon.runtime import SystemClock
from fusion_daemon.secret_files import SecretFiles
from fusion_daemon.store import Commit, Execute, Reader, Store
from tests.faults.explorers import Explorers, serve_explorers
from tests.unit.crosschain.world import CCIP, NETWORKS, NOW, RULES, A, B, C, Message, at

MESSAGE = Message()
CALL = at(A, 10, 3)
OVER_AXELAR: list[Evidence] = [MESSAGE.sent(at(A, 10, 4)), MESSAGE.called(CALL)]
OVER_CCIP: list[Evidence] = [MESSAGE.sent(at(A, 10, 4), CCIP), MESSAGE.ccip(CALL)]
LATE = NOW + 100_000
"""Long after every term: the message is stuck."""
TABLES = ("messages", "message_changes", "message_evidence", "alerts")
WHOLE = "SELECT t::text AS whole FROM {} AS t ORDER BY 1"
Shown = dict[str, Any]


@dataclass
class Desk:
    store: Store
    house: House
    explorers: Explorers
    server: AdminServer
    port: int

    async def stuck(self, evidence: Sequence[Evidence]) -> None:
        """The rows that the tracker writes of this evidence alone."""
        tracker = MessageTracker(RULES)
        for each in evidence:
            place = each.place
            tracker.apply(place.chain, BlockRef(place.block_number, place.block_hash, 0), [each])
        [transition] = tracker.settle(LATE)
        assert transition.after is not None
        assert transition.after.state is State.STUCK
        saved = save_message(transition, tracker.evidence_of(MESSAGE.id), 1, LATE)
        await self.store.commit(Commit((*save_evidence(list(evidence)), saved), proof=Execute("SELECT true")))

    async def shown(self, name: str = hex_of(MESSAGE.id)) -> tuple[int, Shown]:
        return await trio.to_thread.run_sync(self._get, f"/v1/messages/{name}")

    def serve(self, config: Config) -> None:
        """As a reload does at its end."""
        self.server.serve(self.house.design(config, {}).routes)

    async def rows(self) -> list[str]:
        """All that is stored of messages."""

        async def query(reader: Reader) -> list[str]:
            return [row.text("whole") for table in TABLES for row in await reader.fetch(WHOLE.format(table))]

        return await self.store.read(query)

    def requests(self) -> dict[tuple[str, ...], float]:
        [family] = hint_families(self.house)
        return {each.labels: each.value for each in cast("Family", family).samples if each.value}

    def _get(self, path: str) -> tuple[int, Shown]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


def configuration(**explorers: object) -> Config:
    messages = {"explorers": {"timeout_seconds": 10.0, **explorers}}
    return Config.model_validate({"chains": [_chain(chain) for chain in (A, B, C)], "messages": messages})


def _chain(chain: ChainId) -> dict[str, object]:
    network = NETWORKS[chain]
    axelar, ccip = network.axelar, network.ccip
    assert axelar is not None
    assert ccip is not None
    bridges = {
        "router": hex_of(network.router),
        "axelar": {
            "name": axelar.name,
            "gateway": hex_of(axelar.gateway),
            "gas_service": hex_of(axelar.gas_service),
            "adapter": hex_of(axelar.adapter),
        },
        "ccip": {
            "selector": ccip.selector,
            "on_ramps": list(map(hex_of, ccip.on_ramps)),
            "off_ramps": list(map(hex_of, ccip.off_ramps)),
            "adapter": hex_of(ccip.adapter),
        },
    }
    return {"id": chain, "name": axelar.name, "rpc_urls": ["http://127.0.0.1:1"], "bridges": bridges}


@pytest.fixture
def explorers() -> Iterator[Explorers]:
    with serve_explorers() as served:
        yield served


@pytest.fixture
async def desk(aio: Aio, store: Store, explorers: Explorers) -> AsyncIterator[Desk]:
    config = configuration(axelarscan=explorers.url, ccip_api=explorers.url)
    house = build_house(config, SecretFiles(None), SystemClock(), aio, store)
    log = structlog.get_logger("test")
    server = AdminServer(HttpSettings(), house.stand.routes, Principals((), os.getuid()), log)
    async with serving(aio, server, stop_timeout=15.0) as bound:
        assert bound.port is not None
        yield Desk(store, house, explorers, server, bound.port)


async def test_an_explorer_that_contradicts_the_chains_is_shown_and_changes_nothing(desk: Desk) -> None:
    await desk.stuck(OVER_AXELAR)
    before = await desk.rows()
    desk.explorers.call(hex_of(CALL.tx_hash), CALL.log_index, status="executed", gas_status="gas_paid")
    desk.serve(configuration())
    _, unexplained = await desk.shown()
    desk.serve(desk.house.stand.config)
    status, told = await desk.shown()
    [hint] = told.pop("hints")
    assert status == 200
    assert (hint["source"], hint["outcome"], hint["status"], hint["gas"]) == (
        "axelarscan",
        "answered",
        "executed",
        "gas_paid",
    )
    assert unexplained == {**told, "hints": []}
    assert told["state"] == "stuck"
    assert await desk.rows() == before


async def test_ccips_word_on_manual_execution_is_shown(desk: Desk) -> None:
    await desk.stuck(OVER_CCIP)
    name = hex_of(MESSAGE.ccip_id)
    desk.explorers.ccip[name] = {"messageId": name, "status": "FAILED", "readyForManualExecution": True}
    _, told = await desk.shown()
    [hint] = told["hints"]
    assert (hint["source"], hint["status"], hint["ready_for_manual_execution"]) == ("ccip_api", "FAILED", True)
    assert desk.explorers.asked == [f"/v2/messages/{name}"]


async def test_the_message_is_shown_while_its_explorer_is_away(desk: Desk) -> None:
    await desk.stuck(OVER_AXELAR)
    desk.explorers.hang = threading.Event()
    desk.serve(configuration(axelarscan=desk.explorers.url, timeout_seconds=0.5))
    began = trio.current_time()
    answers = [await desk.shown(), await desk.shown()]
    assert trio.current_time() - began < 10.0
    for status, told in answers:
        [hint] = told["hints"]
        assert (status, told["state"], hint["outcome"], hint["status"]) == (200, "stuck", "unavailable", None)
        assert "did not answer within 0.5 s" in hint["error"]
        assert hint["asked_at"]
    assert len(desk.explorers.asked) == 1
    assert desk.requests() == {("axelarscan", "unavailable"): 1}


async def test_no_id_but_one_that_is_known_reaches_an_explorer(desk: Desk) -> None:
    await desk.stuck(OVER_AXELAR)
    for name in ("0x" + "00" * 32, "..%2f..%2fadmin", "0x" + "zz" * 32, hex_of(MESSAGE.id)[2:]):
        assert (await desk.shown(name))[0] == 404
    assert not desk.explorers.asked


async def test_after_a_reload_the_new_explorer_is_asked_or_none(desk: Desk) -> None:
    await desk.stuck(OVER_AXELAR)
    with serve_explorers() as other:
        other.call(hex_of(CALL.tx_hash), CALL.log_index, status="approved")
        desk.serve(configuration(axelarscan=other.url))
        _, told = await desk.shown()
    assert [hint["status"] for hint in told["hints"]] == ["approved"]
    desk.serve(configuration())
    _, told = await desk.shown()
    assert told["hints"] == []
    assert not desk.explorers.asked
