"""GET /v1/collateral and /v1/messages over real rows: locked counts once, and only what was sent is on its way."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import msgspec
import pytest

from fusion_daemon.aio import Aio
from fusion_daemon.crosschain import Evidence, State, Transition
from fusion_daemon.crosschain.hints import Opinion, Question
from fusion_daemon.crosschain.records import save_message
from fusion_daemon.crosschain.routes import Explaining, routes
from fusion_daemon.domain.identifiers import Address, ChainId, hex_of
from fusion_daemon.http.pages import cursor_of
from fusion_daemon.http.problem import Problem
from fusion_daemon.http.route import Principal, Request, Role
from fusion_daemon.store import Commit, Execute, Store, Write
from tests.unit.crosschain.world import AXELAR, ENVELOPE, NETWORKS, NOW, STRANGER, A, B, C, Message, address, at, judged

VAULT, LOCKS = address(A, 50), address(A, 51)
OWNER, WETH = ENVELOPE.account, ENVELOPE.asset
FINAL = {A: 100, B: 100}
FREE, LOCKED = 10**24, 3 * 10**18


async def nobody(questions: Sequence[Question]) -> Sequence[Opinion]:
    return ()


UNEXPLAINED = Explaining(NETWORKS, nobody)


class Chain(msgspec.Struct):
    tokens: list[dict[str, str]]


class Collateral(msgspec.Struct):
    """The part of the answer that these tests read."""

    chains: list[Chain]
    on_the_way: list[dict[str, object]]


async def ask(aio: Aio, store: Store, path: str, names: Mapping[str, str], query: Mapping[str, str]) -> object:
    [route] = [route for route in routes(store, {A: LOCKS}, UNEXPLAINED) if route.path == path]
    request = Request("GET", names, query, {}, b"", Principal("ops", Role.OPERATOR), "test")
    return json.loads((await aio.call(route.handler, request, timeout=10)).body)


async def collateral(aio: Aio, store: Store) -> Collateral:
    found = await ask(aio, store, "/v1/collateral/{account}", {"account": "acct-1"}, {})
    return msgspec.convert(found, Collateral)


async def messages(aio: Aio, store: Store, **query: str) -> list[dict[str, object]]:
    found = await ask(aio, store, "/v1/messages", {}, query)
    assert isinstance(found, dict)
    return list(found["messages"])


@pytest.fixture
async def registered(store: Store) -> Store:
    account = "INSERT INTO accounts (id, customer, name) VALUES ('acct-1', 'ACME', 'Treasury')"
    linked = "INSERT INTO account_addresses (chain_id, address, account) VALUES ($1, $2, 'acct-1')"
    state = "INSERT INTO chain_state (chain_id, start_block, finalized) VALUES ($1, 0, 7)"
    chains = [Execute(sql, args) for chain in (A, B) for sql, args in ((linked, (chain, OWNER)), (state, (chain,)))]
    await write(store, Execute(account), *chains)
    return store


async def write(store: Store, *writes: Write) -> None:
    await store.commit(Commit(writes, proof=Execute("SELECT true")))


async def hold(store: Store, *positions: tuple[Address, Address, int]) -> None:
    sql = "INSERT INTO positions (chain_id, vault, owner, token, side, amount) VALUES ($1, $2, $3, $4, $5, $6)"
    await write(store, *(Execute(sql, (A, vault, who, WETH, "collateral", amount)) for vault, who, amount in positions))


async def save(store: Store, message: Message, evidence: Sequence[Evidence], seq: int, lost: bool = False) -> State:
    """The row that the tracker writes of this evidence."""
    place = at(A, 1) if lost else None
    standing = judged([] if lost else evidence, NOW, FINAL, message, lost=place)
    await write(store, save_message(Transition(message.id, None, standing, ()), evidence, seq, NOW))
    return standing.state


async def test_locked_collateral_counts_once(aio: Aio, registered: Store) -> None:
    # The vault says that the lock contract holds it; the lock contract says of whom.
    await hold(registered, (VAULT, OWNER, FREE), (VAULT, LOCKS, LOCKED), (LOCKS, OWNER, LOCKED))
    message = Message()
    evidence: list[Evidence] = [message.sent(at(A, 1)), message.called(at(A, 1, 2))]
    assert await save(registered, message, evidence, 1) is State.SOURCE_FINAL
    told = await collateral(aio, registered)
    home, away = told.chains
    token = {"token": hex_of(WETH), "free": str(FREE), "locked": str(LOCKED), "total": str(FREE + LOCKED)}
    assert home.tokens == [token]
    assert away.tokens == []
    assert told.on_the_way == [
        {
            "message": hex_of(message.id),
            "state": "source_final",
            "source": A,
            "destination": B,
            "kind": "grant",
            "credit_usd_e8": "5000",
        }
    ]


async def test_the_lock_contract_is_nobody_and_strangers_hold_nothing_of_the_account(
    aio: Aio, registered: Store
) -> None:
    await hold(registered, (VAULT, LOCKS, LOCKED), (LOCKS, STRANGER, LOCKED))
    told = await collateral(aio, registered)
    assert [chain.tokens for chain in told.chains] == [[], []]


async def test_only_what_was_sent_and_has_not_arrived_is_on_its_way(aio: Aio, registered: Store) -> None:
    arrived, lost, forged, asked, stored = (Message().but(nonce=nonce, kind=1 + (nonce == 4)) for nonce in range(1, 6))
    applied: list[Evidence] = [arrived.sent(at(A, 1)), arrived.received(at(B, 1))]
    assert await save(registered, arrived, applied, 1) is State.EXECUTED_FINAL
    assert await save(registered, lost, [lost.sent(at(A, 1))], 2, lost=True) is State.REORGED_OUT
    assert await save(registered, forged, [forged.called(at(A, 1), STRANGER)], 3) is State.ORPHAN
    assert await save(registered, asked, [asked.sent(at(A, 1))], 4) is State.SOURCE_FINAL
    waiting: list[Evidence] = [stored.sent(at(A, 1), AXELAR), stored.stored(at(B, 1))]
    assert await save(registered, stored, waiting, 5) is State.APP_FAILED
    told = await collateral(aio, registered)
    assert [way["message"] for way in told.on_the_way] == [hex_of(stored.id)]
    newest_first = [hex_of(each.id) for each in (stored, asked, forged, lost, arrived)]
    assert [each["id"] for each in await messages(aio, registered)] == newest_first
    orphans = await messages(aio, registered, state="orphan")
    assert [(each["id"], each["flags"]) for each in orphans] == [(hex_of(forged.id), ["forged"])]
    assert await messages(aio, registered, account=hex_of(STRANGER)) == []
    assert [each["id"] for each in await messages(aio, registered, flag="forged")] == [hex_of(forged.id)]
    assert await messages(aio, registered, flag="resent") == []


async def test_an_account_without_addresses_holds_nothing(aio: Aio, store: Store) -> None:
    await write(store, Execute("INSERT INTO accounts (id, customer, name) VALUES ('acct-1', 'ACME', 'Treasury')"))
    assert await collateral(aio, store) == Collateral([], [])


async def test_an_unknown_account_state_or_flag_is_refused(aio: Aio, store: Store) -> None:
    with pytest.raises(Problem) as unknown:
        await collateral(aio, store)
    assert unknown.value.status == 404
    with pytest.raises(Problem) as refused:
        await messages(aio, store, state="lost")
    assert refused.value.status == 422
    with pytest.raises(Problem) as unheard:
        await messages(aio, store, flag="sunk")
    assert unheard.value.status == 422


async def test_the_same_octets_on_another_chain_are_somebody_else(aio: Aio, registered: Store) -> None:
    """Of contracts the address alone does not say whose it is: a message is an account's on the chains it is sent from
    and to."""
    elsewhere = Message().but(nonce=1, source=C, destination=ChainId(31_340))
    row: list[Evidence] = [elsewhere.sent(at(C, 1))]
    assert await save(registered, elsewhere, row, 1) is State.OBSERVED
    assert (await collateral(aio, registered)).on_the_way == []


@pytest.mark.parametrize("after", ["9" * 19, "0" * 20 + "9" * 20, "\u0663", "-1", "x"])
async def test_a_cursor_that_is_none_of_ours_is_refused(aio: Aio, store: Store, after: str) -> None:
    with pytest.raises(Problem) as refused:
        await messages(aio, store, cursor=cursor_of(after))
    assert refused.value.status == 400
