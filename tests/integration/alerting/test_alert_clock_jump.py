"""Rule: whatever the wall clock does, a margin call that waits goes out within moments, never hours later.

clock   ───── 17:00 (wrong) ──╮ set back by five hours
                              ╰─ 12:00 ─────────────
call    accepted, tried, due 17:01 ═▶ due now
"""

from __future__ import annotations

import pytest

from tests.faults.receiver import BROKEN, Receiver, throttle
from tests.integration.alerting.desk import Desk, webhook
from tests.unit.alerting.margin_events import margin_event

HOURS = 3_600.0
DELIVERED = "SELECT count(*) = {} FROM deliveries WHERE state = 'delivered'"
RETRYING = "SELECT count(*) = 1 FROM deliveries WHERE state = 'retrying'"


def jump(desk: Desk, seconds: float) -> None:
    desk.clock.set_wall(desk.clock.now() + seconds)
    desk.bell.ring()


@pytest.mark.parametrize("seconds", [-5 * HOURS, 5 * HOURS])
async def test_a_retry_does_not_wait_for_the_jump_to_pass(desk: Desk, receiver: Receiver, seconds: float) -> None:
    receiver.first(BROKEN)
    desk.configure(webhook(receiver))
    async with desk.started():
        await desk.accept(margin_event())
        await desk.store.until(RETRYING)
        jump(desk, seconds)
        await desk.store.until(DELIVERED.format(1))
    assert list(receiver.ids().values()) == [2]


async def test_a_destination_that_asked_for_peace_by_the_wrong_clock_is_tried(desk: Desk, receiver: Receiver) -> None:
    receiver.first(throttle("90"))
    desk.configure(webhook(receiver))
    async with desk.started():
        await desk.accept(margin_event())
        await desk.store.until(RETRYING)
        jump(desk, -5 * HOURS)
        await desk.accept(margin_event(account="acct-2"))
        await desk.store.until(DELIVERED.format(2))


async def test_what_was_accepted_under_a_wrong_clock_goes_out_after_a_restart(desk: Desk, receiver: Receiver) -> None:
    # nobody was there to see the clock being set back: the first look assumes it
    desk.configure(webhook(receiver))
    await desk.accept(margin_event())
    jump(desk, -5 * HOURS)
    async with desk.started():
        await desk.store.until(DELIVERED.format(1))


async def test_a_retry_that_is_still_to_come_stays_where_it_is(desk: Desk, receiver: Receiver) -> None:
    # made and tried in the past, due in the future: that is no sign of a jump
    receiver.first(throttle("90"))
    desk.configure(webhook(receiver))
    async with desk.started():
        await desk.accept(margin_event())
        await desk.store.until(RETRYING)
    desk.clock.advance(60)
    async with desk.started():
        await desk.look()
        assert len(receiver.arrivals()) == 1
        desk.advance(40)
        await desk.store.until(DELIVERED.format(1))
