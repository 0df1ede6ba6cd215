"""Rule: what holds a nonce is looked at at every look, whatever else waits."""

from __future__ import annotations

from fusion_daemon.domain.identifiers import ChainId
from fusion_daemon.store import Store
from fusion_daemon.transactions.repository import MOST_OPEN, queue_of
from tests.integration.transactions.test_transaction_care import INSERT, NOW, write


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
