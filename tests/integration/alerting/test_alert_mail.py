"""Mail against a real SMTP server: accepted is not delivered, and every attempt is the same message."""

from __future__ import annotations

import ssl

import pytest
import trio

from fusion_daemon.alerting.clients.mail import MailClient, MailRequest
from fusion_daemon.alerting.rendering import Mail
from fusion_daemon.alerting.retry import Outcome, Verdict
from fusion_daemon.alerting.settings import Receiver, SmtpSecurity, SmtpSettings
from fusion_daemon.domain.account import Channel
from tests.faults.receiver import LOOPBACK_PEM, MailSink, mail_sink, refusing_port
from tests.integration.alerting.desk import Desk
from tests.unit.alerting.margin_events import margin_event

OPS = Receiver("ops", Channel.EMAIL, "ops@example.com", None)


def smtp(port: int, security: SmtpSecurity = SmtpSecurity.NONE, username: str | None = None) -> SmtpSettings:
    return SmtpSettings("127.0.0.1", port, security, "Fusion Prime <alerts@example.com>", username, "relay")


def trusting() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=LOOPBACK_PEM)


async def send(
    settings: SmtpSettings,
    target: str = OPS.target,
    *,
    context: ssl.SSLContext | None = None,
    timeout: float = 5.0,
    password: str = "geheim",
) -> Outcome:
    client = MailClient(settings, timeout, 4, context or trusting())
    request = MailRequest("msg_1", target, Mail("[CRITICAL] Grüße", "Text\n.\n", "mrg_1"), 1_700_000_000.0)
    return await client.send(request, password)


async def test_a_margin_call_by_mail(desk: Desk, sink: MailSink) -> None:
    desk.configure(OPS, smtp=smtp(sink.port))
    desk.secrets["relay"] = "unused"
    async with desk.started():
        await desk.accept(margin_event())
        await desk.store.until("SELECT count(*) = 1 FROM deliveries WHERE state = 'accepted'")
    [message] = sink.messages
    assert sink.recipients == ["ops@example.com"]
    assert message["Subject"].startswith("[CRITICAL] acct-1 is in a margin call")
    assert message["Auto-Submitted"] == "auto-generated"


async def test_refused_for_now_is_tried_again_as_the_same_message(desk: Desk, sink: MailSink) -> None:
    sink.at_data = lambda number: "451 greylisted" if number == 1 else "250 OK"
    desk.configure(OPS, smtp=smtp(sink.port))
    desk.secrets["relay"] = "unused"
    async with desk.started():
        await desk.accept(margin_event())
        await desk.store.until("SELECT count(*) = 1 FROM deliveries WHERE state = 'retrying'")
        desk.advance(5)
        await desk.store.until("SELECT count(*) = 1 FROM deliveries WHERE state = 'accepted'")
    first, second = sink.messages
    assert first["Message-ID"] == second["Message-ID"]
    assert first.get_payload() == second.get_payload()


async def test_a_missing_relay_password_may_still_come(desk: Desk, sink: MailSink) -> None:
    desk.configure(OPS, smtp=smtp(sink.port))
    async with desk.started():
        await desk.accept(margin_event())
        await desk.store.until("SELECT count(*) = 1 FROM deliveries WHERE state = 'retrying'")
        desk.secrets["relay"] = "unused"
        desk.advance(5)
        await desk.store.until("SELECT count(*) = 1 FROM deliveries WHERE state = 'accepted'")


async def test_refused_for_good_is_not_tried_again(sink: MailSink) -> None:
    sink.at_rcpt = lambda address, number: "550 no such user"
    outcome = await send(smtp(sink.port))
    assert (outcome.verdict, outcome.code) == (Verdict.REJECTED, 550)
    assert outcome.detail == "SMTP 550: no such user"


async def test_lost_after_the_final_dot_it_may_have_arrived(sink: MailSink) -> None:
    sink.drop_after_data = 1
    assert (await send(smtp(sink.port))).verdict is Verdict.AMBIGUOUS
    assert len(sink.messages) == 1


async def test_no_relay(sink: MailSink) -> None:
    outcome = await send(smtp(refusing_port()))
    assert (outcome.verdict, outcome.detail) == (
        Verdict.FAILED,
        "The relay cannot be reached (Connection refused).",
    )


async def test_a_relay_that_says_nothing_costs_the_timeout() -> None:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        outcome = await send(smtp(listener.socket.getsockname()[1]), timeout=0.2)
    assert outcome.verdict is Verdict.FAILED


async def test_what_was_written_is_what_arrives(sink: MailSink) -> None:
    assert (await send(smtp(sink.port))).verdict is Verdict.ACCEPTED
    [message] = sink.messages
    assert message["Subject"] == "[CRITICAL] Grüße"
    assert message.get_payload(decode=True) == b"Text\r\n.\r\n"


async def test_a_non_ascii_address_needs_the_relays_consent(sink: MailSink) -> None:
    outcome = await send(smtp(sink.port), "jürgen@example.com")
    assert outcome.verdict is Verdict.ACCEPTED
    assert sink.recipients == ["jürgen@example.com"]


@pytest.mark.filterwarnings("ignore:Requiring AUTH while")  # the sink does not see that it is wrapped in TLS
@pytest.mark.parametrize("security", [SmtpSecurity.STARTTLS, SmtpSecurity.TLS])
async def test_encrypted_and_logged_in(security: SmtpSecurity) -> None:
    with mail_sink(security=security, login=("desk", "geheim")) as sink:
        outcome = await send(smtp(sink.port, security, "desk"))
        assert outcome.verdict is Verdict.ACCEPTED, outcome
        assert len(sink.messages) == 1


@pytest.mark.parametrize("security", [SmtpSecurity.STARTTLS, SmtpSecurity.TLS])
async def test_a_relay_that_cannot_prove_who_it_is_gets_nothing(security: SmtpSecurity) -> None:
    with mail_sink(security=security) as sink:
        outcome = await send(smtp(sink.port, security), context=ssl.create_default_context())
        assert outcome.verdict is Verdict.FAILED
        assert sink.messages == []


async def test_a_wrong_password_is_ours_to_mend() -> None:
    with mail_sink(security=SmtpSecurity.STARTTLS, login=("desk", "other")) as sink:
        outcome = await send(smtp(sink.port, SmtpSecurity.STARTTLS, "desk"))
    assert (outcome.verdict, outcome.code) == (Verdict.FAILED, 535)
    assert "geheim" not in outcome.detail
    assert sink.messages == []


async def test_a_password_that_smtp_cannot_carry_is_said_not_raised() -> None:
    with mail_sink(security=SmtpSecurity.STARTTLS, login=("desk", "pässword")) as sink:
        outcome = await send(smtp(sink.port, SmtpSecurity.STARTTLS, "desk"), password="pässword")
    assert outcome == Outcome(Verdict.FAILED, None, "The relay's user name or password is not ASCII.")


async def test_a_relay_whose_name_no_host_can_have_is_said_not_raised() -> None:
    outcome = await send(SmtpSettings("mail..example", 25, SmtpSecurity.NONE, "alerts@example.com"))
    assert outcome == Outcome(Verdict.FAILED, None, "The relay's name is not one that a host can have.")


async def test_without_starttls_nothing_is_sent_in_the_clear(sink: MailSink) -> None:
    outcome = await send(smtp(sink.port, SmtpSecurity.STARTTLS))
    assert outcome.verdict is Verdict.FAILED
    assert sink.messages == []


async def test_cancelling_waits_for_the_thread(sink: MailSink) -> None:
    """A thread that is left behind could still send after the next life has sent it too."""
    entered = trio.Event()
    token = trio.lowlevel.current_trio_token()

    def slow(address: str, number: int) -> str:
        token.run_sync_soon(entered.set)
        return "250 OK"

    sink.at_rcpt = slow
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, smtp(sink.port))
            await entered.wait()
            scope.cancel()
    assert len(sink.messages) == 1
