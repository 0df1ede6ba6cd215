"""Rule: what holds a nonce is looked at at every look, whatever else waits."""

from __future__ import annotations

from fusion_daemon.domain.identifiers import Address, ChainId
from fusion_daemon.store import Reader, Store
from fusion_daemon.transactions.proposal import moment
from fusion_daemon.transactions.repository import _FLOORS, _GAS, MOST_OPEN, queue_of
from tests.integration.transactions.test_transaction_care import DAY, INSERT, NOW, write

MANY = INSERT[: INSERT.index("VALUES")] + """
SELECT 'o:' || n, 1, decode(repeat('51', 20), 'hex'), decode(repeat('52', 20), 'hex'), '', 0, 1, 1, 'p', 'ETH', 0, 'x',
       '', to_timestamp(0), 'final', 4, to_timestamp(0), n, 0 FROM generate_series(1, 5000) AS n
"""


async def test_however_many_wait_what_holds_a_nonce_is_read(store: Store) -> None:
    """More than one look reads cannot be sent for their fee cap, and were proposed before the one that is on its way:
    its nonce must not be given out again."""
    many = range(MOST_OPEN)
    await write(store, *((INSERT, (f"t:waits:{number}", NOW, "approved", None)) for number in many))
    await write(store, (INSERT, ("t:sent", NOW, "sent", 7)))
    queue = await store.read(queue_of, ChainId(1), NOW)
    assert "t:sent" in [each.intent.id for each in queue.transactions]
    numbers = [each.number for each in queue.transactions]
    assert numbers == sorted(numbers)


async def test_floors_and_gas_are_those_of_the_signers_at_work(store: Store) -> None:
    """The floor is above all that ended, whatever is held; gas counts while it is held, and for a day after."""
    ended = (("t:old", NOW - 2 * DAY, "final", 5), ("t:new", NOW, "reverted", 6), ("t:none", NOW, "failed", None))
    held = (("t:held", NOW - 2 * DAY, "sent", 9), ("t:waits", NOW, "approved", None))
    await write(store, *((INSERT, row) for row in (*ended, *held)), ("UPDATE transactions SET gas_cost = 10", ()))
    queue = await store.read(queue_of, ChainId(1), NOW)
    signer = Address(b"\x51" * 20)
    assert (queue.floors, queue.gas) == ({signer: 7}, {signer: 20})
    assert (await store.read(queue_of, ChainId(2), NOW)).floors == {}


async def test_a_look_reads_no_ended_transaction_but_the_last(store: Store) -> None:
    """They stay for ever, and a look comes every second."""
    await write(store, (MANY, ()), ("ANALYZE transactions", ()))
    await write(store, (INSERT, ("t:sent", NOW, "sent", 9_999)))

    async def plans(reader: Reader) -> str:
        floors = await reader.fetch(f"EXPLAIN {_FLOORS}", 1, ["mined", "sent", "signed"], [b"\x51" * 20])
        gas = await reader.fetch(f"EXPLAIN {_GAS}", 1, moment(NOW))
        return "\n".join(row.text("QUERY PLAN") for row in (*floors, *gas))

    plan = await store.read(plans)
    assert "Seq Scan" not in plan, plan
    assert (await store.read(queue_of, ChainId(1), NOW)).floors == {Address(b"\x51" * 20): 5_001}
