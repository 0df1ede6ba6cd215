"""One attempt at a delivery, by whatever channel its receiver has. The trio side of `clients/`."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from fusion_daemon.aio import Aio, AioTimeout
from fusion_daemon.alerting.clients.mail import MailClient, MailRequest
from fusion_daemon.alerting.clients.webhook import WebhookClient, WebhookRequest, open_webhooks
from fusion_daemon.alerting.delivery import Delivery
from fusion_daemon.alerting.rendering import mail, webhook_body
from fusion_daemon.alerting.retry import Outcome, Verdict
from fusion_daemon.alerting.settings import AlertingSettings
from fusion_daemon.alerting.signature import SecretInvalid, identity_headers, signature_headers
from fusion_daemon.domain.account import Channel

Secrets = Callable[[str], str | None]
"""A secret's value by its name; None when there is none (yet)."""

_CROSSING_SLACK = 5.0
"""Seconds by which the bridge's deadline exceeds the client's own, so that the client's verdict comes
first."""


class Channels:
    def __init__(
        self,
        aio: Aio,
        settings: AlertingSettings,
        secrets: Secrets,
        webhooks: WebhookClient,
        mails: MailClient | None,
    ) -> None:
        self._aio = aio
        self._settings = settings
        self._secrets = secrets
        self._webhooks = webhooks
        self._mails = mails

    async def attempt(self, delivery: Delivery, now: float) -> Outcome:
        """Try once, at `now` (unix seconds). Trio side; every failure outside this process is an Outcome.

        Cancelling ends the attempt before it raises; whether the receiver has the message is then unknown.
        """
        if delivery.receiver.channel is Channel.EMAIL:
            return await self._mail(delivery, now)
        return await self._webhook(delivery, now)

    async def _webhook(self, delivery: Delivery, now: float) -> Outcome:
        body = webhook_body(delivery.alert)
        name = delivery.receiver.secret
        if name is None:
            headers = identity_headers(delivery.id, int(now))
        else:
            secret = self._secrets(name)
            if secret is None:
                return _missing(name)
            try:
                headers = signature_headers(secret, delivery.id, int(now), body)
            except SecretInvalid as error:
                return Outcome(Verdict.FAILED, None, f"The secret {name} cannot sign: {error}")
        request = WebhookRequest(delivery.receiver.target, headers, body, now)
        try:
            return await self._aio.call(self._webhooks.post, request, timeout=self._settings.timeout + _CROSSING_SLACK)
        except AioTimeout:
            return Outcome(Verdict.AMBIGUOUS, None, "The attempt overran its deadline; the receiver may have it.")

    async def _mail(self, delivery: Delivery, now: float) -> Outcome:
        if self._mails is None or self._settings.smtp is None:
            return Outcome(Verdict.FAILED, None, "No SMTP relay is configured.")
        name = self._settings.smtp.password
        password = None if name is None else self._secrets(name)
        if name is not None and password is None:
            return _missing(name)
        request = MailRequest(delivery.id, delivery.receiver.target, mail(delivery.alert), now)
        return await self._mails.send(request, password)


@asynccontextmanager
async def open_channels(aio: Aio, settings: AlertingSettings, secrets: Secrets) -> AsyncIterator[Channels]:
    """Channels for as long as the block runs (trio side)."""
    webhooks = await aio.call(open_webhooks, settings.timeout, settings.concurrency, timeout=5.0)
    mails = None
    if settings.smtp is not None:
        context = ssl.create_default_context()
        mails = MailClient(settings.smtp, settings.timeout, settings.per_destination, context)
    try:
        yield Channels(aio, settings, secrets, webhooks, mails)
    finally:
        with trio.CancelScope(shield=True):  # bounded by the call's own deadline
            await aio.call(webhooks.close, timeout=5.0)


def _missing(name: str) -> Outcome:
    # Tried again on the usual schedule: the operator may still put the secret where it belongs.
    return Outcome(Verdict.FAILED, None, f"The secret {name} is not there.")
