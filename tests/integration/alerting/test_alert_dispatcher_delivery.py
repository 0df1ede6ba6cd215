"""What is accepted arrives: signed, once, with its attempts on record."""

from __future__ import annotations

from tests.faults.receiver import Receiver
from tests.integration.alerting.desk import Desk, webhook
from tests.unit.alerting.margin_events import margin_event


async def test_a_margin_call_arrives_once_signed_and_recorded(desk: Desk, receiver: Receiver) -> None:
    desk.configure(webhook(receiver))
    async with desk.started():
        await desk.accept(margin_event())
        await desk.store.until("SELECT count(*) = 1 FROM deliveries WHERE state = 'delivered'")
    [arrival] = receiver.arrivals()
    assert arrival.genuine
