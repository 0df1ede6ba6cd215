"""Mail by SMTP, with the standard library in a thread of its own. The async function runs on the trio
side."""

from __future__ import annotations

import smtplib
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, parseaddr

import trio

from fusion_daemon.alerting.rendering import Mail
from fusion_daemon.alerting.retry import Outcome, Verdict, smtp_outcome
from fusion_daemon.alerting.settings import SmtpSecurity, SmtpSettings


@dataclass(frozen=True, slots=True)
class MailRequest:
    delivery: str
    """The delivery's id: it names the Message-ID, the same over all attempts."""
    target: str
    mail: Mail
    sent_at: float
    """Unix seconds."""


class MailClient:
    """One connection a mail, each in a thread."""

    def __init__(self, settings: SmtpSettings, timeout: float, connections: int, context: ssl.SSLContext) -> None:
        self._settings = settings
        self._timeout = timeout
        self._context = context
        self._threads = trio.CapacityLimiter(connections)

    async def send(self, request: MailRequest, password: str | None) -> Outcome:
        """One attempt (trio side). Every failure of the network or of the relay is an Outcome.

        Cancelling does not abandon the thread: it waits until the attempt has ended, which the sockets'
        timeout bounds, and then raises Cancelled.
        """
        message = compose(request, self._settings.sender)
        return await trio.to_thread.run_sync(self._attempt, message, request.target, password, limiter=self._threads)

    def _attempt(self, message: bytes, target: str, password: str | None) -> Outcome:
        deadline = time.monotonic() + self._timeout
        if not f"{self._settings.username}{password}".isascii():  # smtplib would raise at the login
            return Outcome(Verdict.FAILED, None, "The relay's user name or password is not ASCII.")
        try:
            relay = self._connect()
        except UnicodeError:
            return Outcome(Verdict.FAILED, None, "The relay's name is not one that a host can have.")
        except (smtplib.SMTPException, OSError) as error:
            return _unreached(error)
        try:
            _greet(relay, self._settings, self._context, password, deadline)
            outcome = _hand_over(relay, parseaddr(self._settings.sender)[1], target, message, deadline)
        except (smtplib.SMTPException, OSError) as error:
            outcome = _unreached(error)  # a refused login is ours to mend, not the addressee's fault: tried again
        finally:
            relay.close()
        return outcome

    def _connect(self) -> smtplib.SMTP:
        host, port = self._settings.host, self._settings.port
        if self._settings.security is SmtpSecurity.TLS:
            return smtplib.SMTP_SSL(host, port, timeout=self._timeout, context=self._context)
        return smtplib.SMTP(host, port, timeout=self._timeout)


def compose(request: MailRequest, sender: str) -> bytes:
    """The message of one delivery, in ASCII; its Message-ID is the same for every attempt."""
    domain = parseaddr(sender)[1].rpartition("@")[2]
    message = EmailMessage()
    message["From"] = sender
    message["To"] = request.target
    message["Subject"] = request.mail.subject
    message["Date"] = formatdate(request.sent_at)
    message["Message-ID"] = f"<{request.delivery}@{domain}>"
    message["References"] = f"<{request.mail.thread}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(request.mail.text)
    return message.as_bytes(policy=SMTP.clone(cte_type="7bit"))


def _greet(
    relay: smtplib.SMTP,
    settings: SmtpSettings,
    context: ssl.SSLContext,
    password: str | None,
    deadline: float,
) -> None:
    _hurry(relay, deadline)
    relay.ehlo_or_helo_if_needed()
    if settings.security is SmtpSecurity.STARTTLS:
        relay.starttls(context=context)  # forgets what EHLO said in the clear, so it is said again
        _hurry(relay, deadline)
        relay.ehlo()
    if settings.username is not None:
        relay.login(settings.username, password or "")


def _hand_over(relay: smtplib.SMTP, sender: str, target: str, message: bytes, deadline: float) -> Outcome:
    code, text = _address(relay, sender, target, deadline)
    if code not in (250, 251):
        return smtp_outcome(code, _detail(code, text))
    try:
        code, text = relay.data(message)
    except smtplib.SMTPDataError as error:
        return smtp_outcome(error.smtp_code, _detail(error.smtp_code, error.smtp_error))
    except (smtplib.SMTPException, OSError) as error:
        return Outcome(
            Verdict.AMBIGUOUS,
            None,
            f"The connection broke after DATA ({_reason(error)}); the relay may have it.",
        )
    # The relay has answered for the message already; how it says goodbye changes nothing.
    with suppress(smtplib.SMTPException, OSError):
        relay.docmd("QUIT")
    return smtp_outcome(code, _detail(code, text))


def _address(relay: smtplib.SMTP, sender: str, target: str, deadline: float) -> tuple[int, bytes]:
    _hurry(relay, deadline)
    options: list[str] = []
    if not (sender + target).isascii():
        if not relay.has_extn("smtputf8"):
            return 553, b"the relay does not offer SMTPUTF8, which a non-ASCII address needs"
        options = ["SMTPUTF8"]
        relay.command_encoding = "utf-8"
    code, text = relay.mail(sender, options)
    if code == 250:
        _hurry(relay, deadline)
        code, text = relay.rcpt(target)
        _hurry(relay, deadline)
    return code, text


def _hurry(relay: smtplib.SMTP, deadline: float) -> None:
    """What is left of the attempt's time is the next step's timeout. Raises TimeoutError when nothing is."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("no time left")
    if relay.sock is not None:
        relay.sock.settimeout(left)


def _unreached(error: smtplib.SMTPException | OSError) -> Outcome:
    if isinstance(error, smtplib.SMTPResponseException):
        return Outcome(Verdict.FAILED, error.smtp_code, _detail(error.smtp_code, error.smtp_error))
    return Outcome(Verdict.FAILED, None, f"The relay cannot be reached ({_reason(error)}).")


def _detail(code: int, text: bytes | str) -> str:
    words = text if isinstance(text, str) else text.decode("utf-8", "replace")
    return f"SMTP {code}: " + "".join(each if each.isprintable() else " " for each in words)[:200]


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
