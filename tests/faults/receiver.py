"""A webhook receiver that misbehaves on command, and an SMTP sink. Both on loopback, in threads of their own.

The receiver checks every signature with the code of the Standard Webhooks project, not with ours, and keeps
every request, duplicates included.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import orjson
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from fusion_daemon.alerting.settings import SmtpSecurity

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LOOPBACK_PEM = Path(__file__).with_name("loopback.pem")
"""Key and self-signed certificate of 127.0.0.1. Worthless elsewhere: it only shows how TLS is spoken."""

DEADLINE = 20.0
"""Seconds after which a test that waits for a request has failed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the receiver does with a request once it has read it."""

    status: int = 204
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    hang: bool = False
    """Answer only when the receiver is released."""
    drop: bool = False
    """Close the connection without a word."""


OK = Answer()
BROKEN = Answer(500, body=b"out of order")
GONE = Answer(410)
HANG = Answer(hang=True)
DROP = Answer(drop=True)


def throttle(retry_after: str | None = None, status: int = 429) -> Answer:
    """`retry_after` is delta-seconds or an HTTP date, as it stands in the header."""
    return Answer(status, () if retry_after is None else (("Retry-After", retry_after),))


def redirect(url: str) -> Answer:
    return Answer(302, (("Location", url),))


@dataclass(frozen=True, slots=True)
class Arrival:
    webhook_id: str
    path: str
    genuine: bool
    body: dict[str, object]
    raw: bytes
    connection: int
    """Which connection brought it: kept-alive ones bring several."""


class Receiver:
    """Answers as `answer` says, which gets the arrival and its number from 1; 204 unless told otherwise."""

    def __init__(self, secret: str = SECRET, *, tls: bool = False) -> None:
        self.answer: Callable[[Arrival, int], Answer] = lambda arrival, number: OK
        self._webhook = Webhook(secret)
        self._arrivals: list[Arrival] = []
        self._news = threading.Condition()
        self._released = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            timeout = DEADLINE

            def do_POST(self) -> None:
                receiver._serve(self)

            def do_GET(self) -> None:  # where a followed redirect would end up
                receiver._serve(self)

            def log_message(self, *_: object) -> None:
                """Silent: what arrived is in `arrivals`."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        if tls:
            self._server.socket = _server_context().wrap_socket(self._server.socket, server_side=True)
        self._scheme = "https" if tls else "http"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}/alerts"

    def always(self, answer: Answer) -> None:
        self.answer = lambda arrival, number: answer

    def first(self, *answers: Answer) -> None:
        """These answers to the first requests, 204 to all later ones."""
        self.answer = lambda arrival, number: answers[number - 1] if number <= len(answers) else OK

    def arrivals(self) -> list[Arrival]:
        with self._news:
            return list(self._arrivals)

    def ids(self) -> Counter[str]:
        """How often each webhook-id came."""
        return Counter(each.webhook_id for each in self.arrivals())

    def wait_for(self, count: int) -> list[Arrival]:
        """Block (call it in a thread) until `count` requests have arrived. AssertionError after DEADLINE."""
        with self._news:
            arrived = self._news.wait_for(lambda: len(self._arrivals) >= count, DEADLINE)
            assert arrived, f"{len(self._arrivals)} of {count} requests arrived"
            return list(self._arrivals)

    def release(self) -> None:
        """Let every hanging request be answered with 204."""
        self._released.set()

    def close(self) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        raw = request.rfile.read(int(request.headers.get("Content-Length", "0")))
        arrival = self._arrival(request, raw)
        with self._news:
            self._arrivals.append(arrival)
            answer = self.answer(arrival, len(self._arrivals))
            self._news.notify_all()
        if answer.drop:
            request.close_connection = True
            return
        if answer.hang:
            self._released.wait(DEADLINE)
            answer = OK
        try:
            request.send_response(answer.status)
            for name, value in (*answer.headers, ("Content-Length", str(len(answer.body)))):
                request.send_header(name, value)
            request.end_headers()
            request.wfile.write(answer.body)
        except ConnectionError:
            request.close_connection = True  # the sender has given up meanwhile

    def _arrival(self, request: BaseHTTPRequestHandler, raw: bytes) -> Arrival:
        headers = dict(request.headers.items())
        try:
            self._webhook.verify(raw, headers)
            genuine = True
        except WebhookVerificationError:
            genuine = False
        body = orjson.loads(raw) if raw else {}
        connection = request.client_address[1]
        return Arrival(headers.get("webhook-id", ""), request.path, genuine, body, raw, connection)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def handle_error(self, request: object, client_address: object) -> None:
        """A sender that hangs up in the middle is no news here."""


@contextmanager
def receiving(secret: str = SECRET, *, tls: bool = False) -> Iterator[Receiver]:
    receiver = Receiver(secret, tls=tls)
    try:
        yield receiver
    finally:
        receiver.close()


def refusing_port() -> int:
    """A loopback port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class MailSink:
    """An SMTP server that keeps what it accepts. Replies can be set per command."""

    port: int = 0
    messages: list[Message] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    at_rcpt: Callable[[str, int], str] = lambda address, number: "250 OK"
    """The reply to the n-th RCPT, counted from 1."""
    at_data: Callable[[int], str] = lambda number: "250 OK"
    drop_after_data: int = 0
    """How many messages are read to the final dot and then answered by a closed connection."""
    _rcpts: int = 0
    _news: threading.Condition = field(default_factory=threading.Condition)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self._rcpts += 1
        reply = self.at_rcpt(address, self._rcpts)
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        assert isinstance(envelope.content, bytes)
        with self._news:
            self.messages.append(message_from_bytes(envelope.content, policy=default))
            self.recipients += envelope.rcpt_tos
            self._news.notify_all()
        if self.drop_after_data:
            self.drop_after_data -= 1
            assert server.transport is not None
            server.transport.close()
        return self.at_data(len(self.messages))

    def wait_for(self, count: int) -> list[Message]:
        """Block (call it in a thread) until `count` messages have come. AssertionError after DEADLINE."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.messages) >= count, DEADLINE), self.messages
            return list(self.messages)


class _Controller(Controller):
    def _trigger_server(self) -> None:
        assert isinstance(self.server, asyncio.Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


@contextmanager
def mail_sink(
    *, security: SmtpSecurity = SmtpSecurity.NONE, login: tuple[str, str] | None = None
) -> Iterator[MailSink]:
    """A sink on a free port; with `login` it takes mail from that user alone."""

    def authenticate(
        server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword
    ) -> AuthResult:
        return AuthResult(handled=False, success=login == (data.login.decode(), data.password.decode()))

    sink = MailSink()
    context = None if security is SmtpSecurity.NONE else _server_context()
    controller = _Controller(
        sink,
        hostname="127.0.0.1",
        port=0,
        ssl_context=context if security is SmtpSecurity.TLS else None,
        tls_context=context if security is SmtpSecurity.STARTTLS else None,
        require_starttls=security is SmtpSecurity.STARTTLS,
        authenticator=authenticate,
        auth_required=login is not None,
        auth_require_tls=security is SmtpSecurity.STARTTLS,
    )
    controller.start()
    try:
        sink.port = controller.port
        yield sink
    finally:
        controller.stop()


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(LOOPBACK_PEM)
    return context
