"""A receiver may fail, throttle, hang, redirect or vanish: the alert arrives, only ever under one id."""

from __future__ import annotations

import time
from dataclasses import replace
from email.utils import formatdate

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from fusion_daemon.alerting.channels import Channels
from fusion_daemon.alerting.delivery import Delivery
from fusion_daemon.alerting.retry import Outcome
from fusion_daemon.alerting.settings import Receiver as Target
from fusion_daemon.domain.account import Channel
from fusion_daemon.domain.margin import MarginState
from tests.faults.receiver import (
    BROKEN,
    DROP,
    GONE,
    HANG,
    Answer,
    Receiver,
    receiving,
    redirect,
    refusing_port,
    throttle,
)
from tests.integration.alerting.desk import Desk, webhook
from tests.unit.alerting.margin_events import margin_event

DELIVERED = "SELECT count(*) = {} FROM deliveries WHERE state = 'delivered'"


async def attempts(desk: Desk) -> list[tuple[int, str, int | None]]:
    rows = await desk.store.rows("SELECT * FROM delivery_attempts ORDER BY delivery_id, attempt")
    return [(row.integer("attempt"), row.text("outcome"), row.optional_integer("code")) for row in rows]


@pytest.mark.parametrize(
    ("answer", "outcome", "code"),
    [
        (BROKEN, "failed", 500),
        (Answer(404), "failed", 404),
        (throttle(), "throttled", 429),
        (throttle(status=502), "throttled", 502),
        (DROP, "ambiguous", None),
    ],
)
async def test_what_fails_is_tried_again_under_the_same_id(
    desk: Desk, receiver: Receiver, answer: Answer, outcome: str, code: int | None
) -> None:
    receiver.first(answer, answer)
    desk.configure(webhook(receiver))
    async with desk.started():
        await desk.accept(margin_event())
        for attempt in (1, 2):
            await desk.store.until(f"SELECT count(*) = {attempt} FROM delivery_attempts")
            assert len(receiver.arrivals()) == attempt  # not before it is due
            desk.advance(5)
        await desk.store.until(DELIVERED.format(1))
    assert await attempts(desk) == [(1, outcome, code), (2, outcome, code), (3, "delivered", 204)]
    assert list(receiver.ids().values()) == [3]
    assert len({each.raw for each in receiver.arrivals()}) == 1
    assert all(each.genuine for each in receiver.arrivals())


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_retry_after_is_waited_out(desk: Desk, receiver: Receiver, form: str) -> None:
    wait = "90" if form == "seconds" else formatdate(int(desk.clock.now()) + 90, usegmt=True)
    receiver.first(throttle(wait))
    desk.configure(webhook(receiver))
    async with desk.started():
        await desk.accept(margin_event())
        await desk.store.until("SELECT count(*) = 1 FROM deliveries WHERE state = 'retrying'")
        [row] = await desk.store.rows("SELECT extract(epoch FROM due_at)::float8 AS due FROM deliveries")
        assert 89 <= row.number("due") - desk.clock.now() <= 96
        desk.advance(88)
        # A second alert for the same receiver, due at once, has to wait too: it is the receiver that asked.
        await desk.accept(margin_event(account="acct-2"))
        await desk.look()
        assert len(receiver.arrivals()) == 1
        desk.advance(8)
        await desk.store.until(DELIVERED.format(2))
    assert sorted(receiver.ids().values()) == [1, 2]


async def test_a_502_for_a_warning_delays_no_margin_call(desk: Desk, receiver: Receiver) -> None:
    """500, then a proxy's 502 without a time: the warning waits for minutes, another account's call for nothing."""
    receiver.first(BROKEN, throttle(status=502))
    desk.configure(webhook(receiver))
    async with desk.started():
        await desk.accept(margin_event(account="acct-w", after=MarginState.WARNING))
        await desk.store.until("SELECT count(*) = 1 FROM delivery_attempts")
        desk.advance(5)
        await desk.store.until("SELECT count(*) = 2 FROM delivery_attempts")
        await desk.accept(margin_event(account="acct-m"))
        await desk.store.until(DELIVERED.format(1))
    [row] = await desk.store.rows("SELECT attempts FROM deliveries WHERE state = 'retrying'")
    assert row.integer("attempts") == 2


ZONE_BEYOND_ANY_DATE = (("Retry-After", "Mon, 01 Jan 2024 00:00:00 +99999999999999999999"),)


async def test_a_retry_after_that_no_date_can_hold_stops_nobody(
    desk: Desk, receiver: Receiver, other: Receiver
) -> None:
    """One receiver's header is that receiver's affair: the others are told, and it is tried again itself."""
    receiver.first(Answer(503, ZONE_BEYOND_ANY_DATE))
    desk.configure(webhook(receiver, "odd"), webhook(other, "well"))
    async with desk.started():
        await desk.accept(margin_event())
        await desk.store.until(DELIVERED.format(1))
        await desk.store.until("SELECT count(*) = 1 FROM deliveries WHERE state = 'retrying'")
        desk.advance(5)
        await desk.store.until(DELIVERED.format(2))


async def test_an_error_that_nobody_foresaw_is_one_attempts_failure(
    desk: Desk, receiver: Receiver, other: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The channel breaks on one delivery, in a way of its own: the other arrives, and the broken one ends."""
    attempt = Channels.attempt

    async def breaks(channels: Channels, delivery: Delivery, now: float) -> Outcome:
        if delivery.receiver.name == "odd":
            raise LookupError("whsec_quoted")
        return await attempt(channels, delivery, now)

    monkeypatch.setattr(Channels, "attempt", breaks)
    desk.configure(webhook(receiver, "odd"), webhook(other, "well"))
    async with desk.started() as dispatcher:
        with capture_logs() as logs:
            await desk.accept(margin_event())
            await desk.store.until(DELIVERED.format(1))
            await desk.store.until("SELECT count(*) = 1 FROM deliveries WHERE state = 'retrying'")
        assert dispatcher.statistics().faults == 1
    [row] = await desk.store.rows("SELECT detail FROM delivery_attempts WHERE outcome = 'failed'")
    assert row.text("detail") == "The daemon met an error of its own (LookupError)."
    [told] = [each for each in logs if each["event"] == "attempt_broke"]
    assert (told["log_level"], told["exc_info"]) == ("error", True)


async def test_a_redirect_is_never_followed(desk: Desk, receiver: Receiver, other: Receiver) -> None:
    receiver.first(redirect(other.url))
    desk.configure(webhook(receiver))
    async with desk.started():
        await desk.accept(margin_event())
        await desk.store.until("SELECT count(*) = 1 FROM deliveries WHERE state = 'retrying'")
        desk.advance(5)
        await desk.store.until(DELIVERED.format(1))
    assert (await attempts(desk))[0] == (1, "failed", 302)
    assert other.arrivals() == []


async def test_a_receiver_that_hangs_has_failed_and_gets_it_again(desk: Desk, receiver: Receiver) -> None:
    receiver.first(HANG)
    desk.configure(webhook(receiver), timeout=1.0)
    async with desk.started():
        await desk.accept(margin_event())
        await desk.store.until("SELECT count(*) = 1 FROM deliveries WHERE state = 'retrying'")
        desk.advance(5)
        await desk.store.until(DELIVERED.format(1))
    assert await attempts(desk) == [(1, "ambiguous", None), (2, "delivered", 204)]
    assert list(receiver.ids().values()) == [2]


async def test_one_that_hangs_delays_no_other(desk: Desk, receiver: Receiver, other: Receiver) -> None:
    """60 alerts for two receivers, one of which answers nothing: the other has all of them meanwhile."""
    receiver.always(HANG)
    desk.configure(webhook(receiver, "deaf"), webhook(other, "well"), per_destination=4, concurrency=8)
    async with desk.started() as dispatcher:
        await desk.accept(*[margin_event(account=f"acct-{each}") for each in range(60)])
        await desk.store.until(DELIVERED.format(60))
        assert len(other.arrivals()) == 60
        assert len(receiver.arrivals()) <= 4
        assert dispatcher.statistics().in_flight <= 4
        receiver.release()
        await desk.store.until(DELIVERED.format(120))
    assert set(receiver.ids().values()) | set(other.ids().values()) == {1}


async def test_what_waits_for_a_slot_is_as_old_as_it_is_overdue(desk: Desk, receiver: Receiver) -> None:
    """One slot, held by a receiver that hangs: the second delivery is due, and nobody takes it."""
    receiver.always(HANG)
    desk.configure(webhook(receiver), per_destination=1, concurrency=1)
    async with desk.started():
        await desk.accept(margin_event(account="acct-1"))
        await trio.to_thread.run_sync(receiver.wait_for, 1)
        await desk.accept(margin_event(account="acct-2"))
        await looked(desk)
        assert desk.data_age() == pytest.approx(0.0, abs=1e-3)
        desk.clock.advance(90.0)
        assert desk.data_age() == pytest.approx(90.0, abs=1e-3), "nobody has looked since"
        await looked(desk)
        assert desk.data_age() == pytest.approx(90.0, abs=1e-3), "a look at it makes nothing younger"
        receiver.release()
        await desk.store.until(DELIVERED.format(2))
        await looked(desk)
        assert desk.data_age() == pytest.approx(0.0, abs=1e-3)


async def looked(desk: Desk) -> None:
    """Two looks have begun since, so one is over and told."""
    await desk.look()
    await desk.look()
    await trio.testing.wait_all_tasks_blocked()


async def test_a_flood_of_warnings_does_not_delay_a_margin_call(desk: Desk, receiver: Receiver) -> None:
    receiver.always(HANG)
    desk.configure(webhook(receiver), per_destination=4, concurrency=8)
    async with desk.started():
        flood = [margin_event(account=f"acct-{each}", after=MarginState.WARNING) for each in range(50)]
        await desk.accept(*flood)
        await trio.to_thread.run_sync(receiver.wait_for, 4)
        await desk.accept(margin_event(account="acct-x"))
        arrived = await trio.to_thread.run_sync(receiver.wait_for, 5)
    assert "MARGIN_CALL" in str(arrived[4].body)


async def test_nobody_listens(desk: Desk) -> None:
    desk.configure(Target("desk", Channel.WEBHOOK, f"http://127.0.0.1:{refusing_port()}/", "desk"))
    async with desk.started():
        await desk.accept(margin_event())
        await desk.store.until("SELECT count(*) = 1 FROM deliveries WHERE state = 'retrying'")
    [row] = await desk.store.rows("SELECT detail FROM delivery_attempts")
    assert row.text("detail") == "The receiver cannot be reached (ConnectionRefusedError)."


async def test_a_certificate_that_nobody_vouches_for_gets_nothing(desk: Desk) -> None:
    with receiving(tls=True) as receiver:
        desk.configure(webhook(receiver))
        async with desk.started():
            await desk.accept(margin_event())
            await desk.store.until("SELECT count(*) = 1 FROM deliveries WHERE state = 'retrying'")
    assert receiver.arrivals() == []


async def test_a_long_answer_is_not_read_and_not_quoted(desk: Desk, receiver: Receiver) -> None:
    receiver.first(Answer(500, body=b"x" * 1_000_000))
    desk.configure(webhook(receiver))
    async with desk.started():
        await desk.accept(margin_event())
        await desk.store.until("SELECT count(*) = 1 FROM delivery_attempts")
    [row] = await desk.store.rows("SELECT detail FROM delivery_attempts")
    assert row.text("detail") == "HTTP 500: " + "x" * 200


async def test_a_secret_that_is_missing_may_still_come(desk: Desk, receiver: Receiver) -> None:
    secret = desk.secrets.pop("desk")
    desk.configure(webhook(receiver))
    async with desk.started():
        await desk.accept(margin_event())
        await desk.store.until("SELECT count(*) = 1 FROM deliveries WHERE state = 'retrying'")
        desk.secrets["desk"] = "not a secret"
        desk.advance(5)
        await desk.store.until("SELECT count(*) = 2 FROM delivery_attempts")
        desk.secrets["desk"] = secret
        desk.advance(5)
        await desk.store.until(DELIVERED.format(1))
    details = [row.text("detail") for row in await desk.store.rows("SELECT detail FROM delivery_attempts")]
    assert details[0] == "The secret desk is not there."
    assert not any("not a secret" in detail for detail in details)
    assert list(receiver.ids().values()) == [1]


async def test_410_ends_it_and_the_other_receivers_are_told(
    desk: Desk, receiver: Receiver, other: Receiver
) -> None:
    receiver.always(GONE)
    desk.configure(webhook(receiver, "deaf"), webhook(other, "well"))
    async with desk.started():
        await desk.accept(margin_event(), margin_event(account="acct-2"))
        await desk.store.until("SELECT count(*) = 2 FROM deliveries WHERE state = 'rejected'")
        await desk.store.until(DELIVERED.format(3))
    # One report a day and receiver, not one an alert.
    types = sorted(str(each.body["type"]) for each in other.arrivals())
    assert types == ["alerting.channel_broken", "margin.opened", "margin.opened"]
    assert len(receiver.arrivals()) == 2


async def test_a_schedule_used_up_cannot_loop(desk: Desk, receiver: Receiver, other: Receiver) -> None:
    """Both receivers are deaf: each is reported to the other, undelivered too, and that is the end."""
    receiver.always(BROKEN)
    other.always(BROKEN)
    desk.configure(webhook(receiver, "one"), webhook(other, "two"))
    await desk.accept(margin_event())
    await desk.store.write("UPDATE deliveries SET attempts = 14")
    async with desk.started() as dispatcher:
        await desk.store.until("SELECT count(*) = 2 FROM deliveries WHERE state = 'exhausted'")
        await desk.store.until("SELECT count(*) = 2 FROM alerts WHERE type = 'alerting.channel_broken'")
        await desk.store.until("SELECT count(*) = 2 FROM deliveries WHERE state = 'retrying'")
        await desk.store.write("UPDATE deliveries SET attempts = 14 WHERE state = 'retrying'")
        desk.advance(86_400)  # the next day's report has another id: it must not be made at all
        await desk.store.until("SELECT count(*) = 4 FROM deliveries WHERE state = 'exhausted'")
        assert sum(dispatcher.statistics().ended.values()) == 4
    [row] = await desk.store.rows("SELECT count(*) AS alerts FROM alerts")
    assert row.integer("alerts") == 3


async def test_connections_are_kept_alive(desk: Desk, receiver: Receiver) -> None:
    desk.configure(webhook(receiver), concurrency=4)
    async with desk.started():
        await desk.accept(*[margin_event(account=f"acct-{each}") for each in range(100)])
        await desk.store.until(DELIVERED.format(100))
    assert len({each.connection for each in receiver.arrivals()}) <= 4


async def test_a_receivers_wrong_clock_is_its_own_affair(desk: Desk, receiver: Receiver) -> None:
    """The signature carries the time of the attempt, not of the fact: late retries are still genuine."""
    receiver.first(BROKEN)
    desk.configure(webhook(receiver))
    desk.clock.set_wall(time.time() - 250)
    async with desk.started():
        await desk.accept(replace(margin_event(), past=True))
        await desk.store.until("SELECT count(*) = 1 FROM deliveries WHERE state = 'retrying'")
        desk.advance(260)
        await desk.store.until(DELIVERED.format(1))
    assert [each.genuine for each in receiver.arrivals()] == [True, True]
