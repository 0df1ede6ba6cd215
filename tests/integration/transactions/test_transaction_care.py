"""Rule: an ended transaction loses the steps on its way and nothing else; and the verification finds a broken queue."""

from __future__ import annotations

import pytest

from fusion_daemon.store import Commit, Execute, Reader, Store
from fusion_daemon.store.writes import SqlScalar
from fusion_daemon.transactions.retention import drop_transaction_steps
from fusion_daemon.transactions.soundness import unsound_transactions

NOW = 1_800_000_000.0
DAY = 86_400.0
INSERT = """
INSERT INTO transactions (id, chain_id, signer, recipient, data, value, gas_cap, fee_cap, purpose, asset, amount,
                          proposer, digest, proposed_at, state, steps, changed_at, nonce, renonced)
VALUES ($1, 1, decode(repeat('51', 20), 'hex'), decode(repeat('52', 20), 'hex'), '', 0, 1, 1, 'p', 'ETH', 0, 'x', '',
        to_timestamp($2::double precision), $3, 4, to_timestamp($2::double precision), $4, 0)
"""
STEP = """
INSERT INTO transaction_steps (transaction_id, step, at, kind, state, raw, nonce)
VALUES ($1, $2, now(), 'k', $3, $4, $5)
"""


async def write(store: Store, *statements: tuple[str, tuple[SqlScalar, ...]]) -> None:
    writes = tuple(Execute(sql, arguments) for sql, arguments in statements)
    await store.commit(Commit(writes, proof=Execute("SELECT true")))


@pytest.fixture
async def queue(store: Store) -> Store:
    """Nonces 5 and 6 ended long ago, 7 lately, 8 is on its way."""
    ages = {5: 20, 6: 15, 7: 2, 8: 20}
    for nonce, age in ages.items():
        state = "mined" if nonce == 8 else "final"
        await write(store, (INSERT, (f"t:{nonce}", NOW - age * DAY, state, nonce)))
        for step, then in enumerate(("proposed", "signed", "sent", state), 1):
            await write(store, (STEP, (f"t:{nonce}", step, then, b"raw" if step == 2 else None, nonce)))
    return store


async def steps(store: Store) -> dict[str, list[int]]:
    async def read(reader: Reader) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for row in await reader.fetch("SELECT transaction_id AS id, step FROM transaction_steps ORDER BY 1, 2"):
            found.setdefault(row.text("id"), []).append(row.integer("step"))
        return found

    return await store.read(read)


async def broken(store: Store) -> set[str]:
    return {subject for subject, wrong in (await store.read(unsound_transactions)).items() if wrong}


async def test_the_steps_of_what_ended_long_ago_go_but_the_first_and_the_last(queue: Store) -> None:
    dropped = await queue.transact(drop_transaction_steps, NOW, 10 * DAY)
    assert dropped == {"transaction_steps": 4}
    whole = [1, 2, 3, 4]
    assert await steps(queue) == {"t:5": [1, 4], "t:6": [1, 4], "t:7": whole, "t:8": whole}
    assert await queue.transact(drop_transaction_steps, NOW, 10 * DAY) == {"transaction_steps": 0}
    assert await broken(queue) == set()


@pytest.mark.parametrize(
    ("plant", "subject"),
    [
        ("UPDATE transactions SET nonce = 6 WHERE id = 't:5'", "nonces"),
        ("UPDATE transactions SET nonce = 3 WHERE id = 't:5'", "nonces"),
        ("UPDATE transactions SET state = 'reverted' WHERE id = 't:7'", "transactions"),
        ("UPDATE transactions SET steps = 5 WHERE id = 't:7'", "transactions"),
        ("DELETE FROM transaction_steps WHERE transaction_id = 't:8' AND step = 3", "transactions"),
        ("UPDATE transaction_steps SET raw = NULL WHERE transaction_id = 't:8'", "transactions"),
    ],
)
async def test_verification_finds_what_is_broken(queue: Store, plant: str, subject: str) -> None:
    assert await broken(queue) == set()
    await write(queue, (plant, ()))
    assert await broken(queue) == {subject}


async def test_a_nonce_that_somebody_else_took_is_no_gap(queue: Store) -> None:
    await write(queue, ("UPDATE transactions SET nonce = 9, renonced = 1 WHERE id = 't:7'", ()))
    assert await broken(queue) == set()
