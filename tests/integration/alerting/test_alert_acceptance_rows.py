"""Rules of acceptance that the database keeps: once told, always told; twice accepted, once delivered."""

from __future__ import annotations

from fusion_daemon.domain.account import AccountRecord, Channel, Contact
from fusion_daemon.domain.alert import Alert, Severity
from fusion_daemon.domain.identifiers import AccountId
from fusion_daemon.domain.margin import MarginKind, MarginState
from tests.faults.receiver import Receiver
from tests.integration.alerting.desk import Desk, webhook
from tests.unit.alerting.margin_events import margin_event

WARNING, CALL, HEALTHY = MarginState.WARNING, MarginState.MARGIN_CALL, MarginState.HEALTHY


async def test_whoever_heard_of_a_margin_call_hears_of_its_end(desk: Desk, receiver: Receiver) -> None:
    """WARNING -> MARGIN_CALL -> WARNING -> HEALTHY, each step in a transaction of its own."""
    desk.configure(webhook(receiver))
    for event in (
        margin_event(step=1, after=WARNING),
        margin_event(step=2, kind=MarginKind.WORSENED, before=WARNING, after=CALL),
        margin_event(step=3, kind=MarginKind.IMPROVED, before=CALL, after=WARNING),
        margin_event(step=4, kind=MarginKind.RESOLVED, before=WARNING, after=HEALTHY),
        margin_event(episode=2, step=1, after=WARNING),
        margin_event(episode=2, step=2, kind=MarginKind.RESOLVED, before=WARNING, after=HEALTHY),
    ):
        await desk.accept(event)
    rows = await desk.store.rows("SELECT severity, state FROM alerts ORDER BY episode, id")
    assert [row.integer("severity") for row in rows] == [1, 2, 2, 2, 1, 1]
    assert "".join(row.text("state")[0] for row in rows) == "arrraa"  # accepted, routed
    [made] = await desk.store.rows("SELECT count(*) AS deliveries FROM deliveries")
    assert made.integer("deliveries") == 3


async def test_a_correction_reaches_whoever_heard_of_the_call(desk: Desk, receiver: Receiver) -> None:
    """CALL, then a reorg: CORRECTED to HEALTHY, then REINSTATED as a mere WARNING: still told."""
    desk.configure(webhook(receiver))
    await desk.accept(margin_event(step=1))
    await desk.accept(margin_event(step=2, kind=MarginKind.CORRECTED, before=CALL, after=HEALTHY))
    await desk.accept(margin_event(step=3, kind=MarginKind.REINSTATED, before=HEALTHY, after=WARNING))
    async with desk.started():
        await desk.store.until("SELECT count(*) = 3 FROM deliveries WHERE state = 'delivered'")
    kinds = sorted(str(each.body["type"]) for each in receiver.arrivals())
    assert kinds == ["margin.corrected", "margin.opened", "margin.reinstated"]


async def test_accepting_twice_adds_nothing(desk: Desk, receiver: Receiver) -> None:
    desk.configure(webhook(receiver))
    for _ in range(2):
        await desk.accept(margin_event(), margin_event(account="acct-2", after=WARNING))
    [rows] = await desk.store.rows(
        "SELECT (SELECT count(*) FROM alerts) AS alerts, (SELECT count(*) FROM deliveries) AS deliveries"
    )
    assert (rows.integer("alerts"), rows.integer("deliveries")) == (2, 1)


async def test_accepting_again_does_not_reopen_what_was_delivered(desk: Desk, receiver: Receiver) -> None:
    desk.configure(webhook(receiver))
    async with desk.started():
        await desk.accept(margin_event())
        await desk.store.until("SELECT count(*) = 1 FROM deliveries WHERE state = 'delivered'")
        await desk.accept(margin_event())
        await desk.accept(margin_event(account="acct-2"))
        await desk.store.until("SELECT count(*) = 2 FROM deliveries WHERE state = 'delivered'")
    assert set(receiver.ids().values()) == {1}


async def test_contacts_hear_of_their_own_account_only(
    desk: Desk, receiver: Receiver, other: Receiver
) -> None:
    desk.configure(webhook(receiver))
    contact = Contact(AccountId("acct-1"), Channel.WEBHOOK, other.url, "desk")
    record = AccountRecord(AccountId("acct-1"), "ACME", "Treasury", (), (contact,))
    async with desk.started():
        await desk.accept(margin_event(), margin_event(account="eip155:1:0xab"), accounts=[record])
        await desk.store.until("SELECT count(*) = 3 FROM deliveries WHERE state = 'delivered'")
    assert len(receiver.arrivals()) == 2
    [arrival] = other.arrivals()
    assert arrival.genuine
    assert str(arrival.body["data"]).count("acct-1")


async def test_the_dispatcher_makes_the_deliveries_of_warnings(
    desk: Desk, receiver: Receiver, other: Receiver
) -> None:
    """A warning's verified contacts come from the registry; an unverified one hears nothing."""
    desk.configure(webhook(receiver))
    await desk.store.write(
        "INSERT INTO accounts (id, customer, name) VALUES ('acct-1', 'ACME', 'Treasury')",
        "INSERT INTO account_contacts (account, channel, target, secret_name, verified_at, verified_by) "
        f"VALUES ('acct-1', 'webhook', '{other.url}', 'desk', now(), 'ada')",
        "INSERT INTO account_contacts (account, channel, target, secret_name) "
        "VALUES ('acct-1', 'email', 'nobody@example.com', NULL)",
    )
    async with desk.started() as dispatcher:
        await desk.accept(margin_event(after=WARNING), margin_event(account="unknown", after=WARNING))
        await desk.store.until("SELECT count(*) = 3 FROM deliveries WHERE state = 'delivered'")
        assert dispatcher.statistics().routed == 2
    assert (len(receiver.arrivals()), len(other.arrivals())) == (2, 1)


async def test_an_alert_that_nobody_is_configured_to_hear_says_so(desk: Desk) -> None:
    async with desk.started():
        await desk.accept(margin_event(), margin_event(account="acct-2", after=WARNING))
        await desk.store.until("SELECT count(*) = 2 FROM alerts WHERE state = 'unaddressed'")


async def test_a_producers_foreign_text_is_stored_as_it_came(desk: Desk, receiver: Receiver) -> None:
    desk.configure(webhook(receiver))
    said = Alert(
        "chs_1",
        "chain.stalled",
        Severity.CRITICAL,
        None,
        1_700_000_000,
        "it \0 said",
        b'{"z":1,"a":"\\u0000"}',
    )
    async with desk.started():
        await desk.raise_alert(said)
        await desk.store.until("SELECT count(*) = 1 FROM deliveries WHERE state = 'delivered'")
    [arrival] = receiver.arrivals()
    assert arrival.raw.endswith(b'"data":{"z":1,"a":"\\u0000"}}')
