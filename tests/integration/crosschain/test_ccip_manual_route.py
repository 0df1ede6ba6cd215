"""Rule: over HTTP, from the rows of a real Postgres, the retry of a CCIP delivery proposes what the logs prove."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import pytest
from msgspec.structs import replace

from fusion_daemon.aio import Aio
from fusion_daemon.crosschain import RawLog, Transition
from fusion_daemon.crosschain.records import save_evidence, save_message
from fusion_daemon.crosschain.recovery import NotRecoverable
from fusion_daemon.crosschain.routes import Recoveries, recovery_routes
from fusion_daemon.crosschain.terms import LaneTerms, Terms
from fusion_daemon.demo.bridge import Generation
from fusion_daemon.domain.identifiers import hex_of
from fusion_daemon.http.problem import Problem
from fusion_daemon.http.route import Principal, Request, Role
from fusion_daemon.runtime import ManualClock
from fusion_daemon.store import Commit, Execute, ExecuteMany, Reader, Store
from fusion_daemon.transactions.repository import propose_next, read_transaction
from tests.integration.crosschain.ccip_scene import (
    COMMITTED,
    NOBODY,
    VERSIONS,
    Scene,
)
from tests.integration.crosschain.seen import networks_of
from tests.integration.crosschain.two_chains import CHAINS, TwoChains, as_joined, joined_chains

_WIDTH = 262_144
_BLOCK = "INSERT INTO chain_blocks VALUES ($1, $2, $3, $4, $5, true) ON CONFLICT DO NOTHING"
_LOG = "INSERT INTO chain_logs VALUES ($1, $2, $3, $4, $5, 0, $6, $7, $8, NULL, NULL, 1)"


@pytest.fixture(scope="module")
def joined() -> Iterator[TwoChains]:
    with joined_chains() as chains:
        yield chains


@pytest.fixture
def chains(joined: TwoChains) -> Iterator[TwoChains]:
    with as_joined(joined) as fresh:
        yield fresh


async def stored(store: Store, scene: Scene, logs: list[RawLog]) -> None:
    """As the chains' listeners and the tracker leave it."""
    parts = [
        Execute(f"SELECT make_partitions('{table}', {_WIDTH}, 0, {chain})")
        for table in ("chain_blocks", "chain_logs")
        for chain in CHAINS
    ]
    places = [log.place for log in logs]
    blocks = {(place.chain, place.block_hash, place.block_number, bytes(32), place.timestamp): None for place in places}
    rows = [
        (
            log.place.chain,
            log.place.block_hash,
            log.place.log_index,
            log.place.block_number,
            log.place.tx_hash,
            log.emitter,
            list(log.topics),
            log.data,
        )
        for log in logs
    ]
    standing, evidence = scene.standing(), scene.evidence()
    message = save_message(Transition(standing.id, None, standing, ()), evidence, 1, 0.0)
    writes = (*parts, ExecuteMany(_BLOCK, list(blocks)), ExecuteMany(_LOG, rows), *save_evidence(evidence), message)
    await store.commit(Commit(writes, proof=Execute("SELECT true")))


async def retried(aio: Aio, store: Store, scene: Scene, body: Mapping[str, object], now: int) -> str:
    """The calldata that are proposed, and to whom."""
    terms = Terms(LaneTerms(manual=scene.manual().after))
    networks = networks_of(scene.chains.here, scene.chains.there)
    parts = Recoveries(aio, ManualClock(now), networks, terms, propose_next, lambda: None)
    [route] = recovery_routes(store, parts)
    octets = json.dumps({"signer": hex_of(NOBODY)} | dict(body)).encode()
    caller = Principal("treasury-ops", Role.OPERATOR)
    path = {"id": hex_of(scene.standing().id)}
    reply = await aio.call(route.handler, Request("POST", path, {}, {}, octets, caller, "request-1"), timeout=30.0)
    found = await store.read(read_transaction, str(json.loads(reply.body)["transaction"]))
    floors = await store.read(_floors)
    assert floors == [scene.recovery(replace(scene.manual(), now=now)).gas_floor]
    assert found.transaction.gas_cap == max(2_000_000, *floors)
    return f"{found.transaction.to}:{found.transaction.data}"


async def _floors(reader: Reader) -> list[int]:
    return [row.integer("gas_floor") for row in await reader.fetch("SELECT gas_floor FROM transactions")]


def answers(scene: Scene) -> list[dict[str, str]]:
    return [{"verifier": hex_of(each.verifier), "result": hex_of(each.result)} for each in scene.verifications()]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_failed_delivery_is_proposed_from_the_rows(
    aio: Aio, store: Store, chains: TwoChains, version: Generation
) -> None:
    scene = Scene(chains, version)
    chains.faults.starve = 1.0
    scene.lock_among_others()
    await stored(store, scene, scene.logs())
    wanted = scene.recovery()
    with pytest.raises(Problem, match=str(wanted.gas_floor)):
        body = {"verifications": answers(scene), "gas_cap": wanted.gas_floor - 1}
        await retried(aio, store, scene, body, scene.manual().now)
    found = await retried(aio, store, scene, {"verifications": answers(scene)}, scene.manual().now)
    assert found == f"{hex_of(wanted.to)}:{hex_of(wanted.data)}"


@pytest.mark.parametrize("version", COMMITTED)
async def test_the_threshold_is_the_lanes_and_the_logs_are_the_canonical_ones(
    aio: Aio, store: Store, chains: TwoChains, version: Generation
) -> None:
    scene = Scene(chains, version)
    chains.faults.drop = 1.0
    scene.lock_among_others()
    await stored(store, scene, scene.logs())
    manual = scene.manual()
    with pytest.raises(NotRecoverable, match="CCIP's network has"):
        await retried(aio, store, scene, {}, manual.now)
    later = manual.now + manual.after + 1
    assert hex_of(chains.there.bridge.off_ramps[version]) in await retried(aio, store, scene, {}, later)
    on_ramp = chains.here.bridge.on_ramps[version]
    first = next(log.place for log in manual.logs if log.emitter == on_ramp)
    orphaned = Execute("UPDATE chain_blocks SET canonical = false WHERE hash = $1", (first.block_hash,))
    ended = Execute("UPDATE transactions SET state = 'refused'")
    await store.commit(Commit((orphaned, ended), proof=Execute("SELECT true")))
    with pytest.raises(NotRecoverable, match="not all stored"):
        await retried(aio, store, scene, {}, later)


async def test_an_answer_that_is_none_is_refused(aio: Aio, store: Store, chains: TwoChains) -> None:
    scene = Scene(chains, "2.0")
    scene.lock_among_others()
    await stored(store, scene, scene.logs())
    for verifier, result in (("me", "0x"), (hex_of(NOBODY), "no hex")):
        with pytest.raises(Problem) as problem:
            await retried(aio, store, scene, {"verifications": [{"verifier": verifier, "result": result}]}, 0)
        assert problem.value.status == 422
