"""Who is told of an alert."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from fusion_daemon.alerting.settings import Receiver
from fusion_daemon.domain.account import AccountRecord, Channel

MAIL_RELAY = "smtp"
"""The destination of every mail: what hangs or throttles is our relay, not the addressee."""


def receivers_of(desk: Sequence[Receiver], record: AccountRecord | None) -> tuple[Receiver, ...]:
    """The desk's receivers, then the account's verified contacts.

    One who is both is told once, under the desk's name. An address that nobody registered has no record:
    the desk alone hears of it.
    """
    contacts = () if record is None else record.contacts
    everyone = [
        *desk,
        *(Receiver(f"account:{each.account}", each.channel, each.target, each.secret) for each in contacts),
    ]
    once: dict[tuple[Channel, str], Receiver] = {}
    for receiver in everyone:
        once.setdefault((receiver.channel, receiver.target), receiver)
    return tuple(once.values())


def delivery_id(alert: str, receiver: Receiver) -> str:
    """The webhook-id of everything sent to this receiver about this alert: the same over retries and
    restarts.

    It follows from the alert and the target alone, so that accepting an alert twice makes no second delivery.
    """
    seed = f"{alert}\0{receiver.channel.value}\0{receiver.target}"
    return "msg_" + hashlib.sha256(seed.encode()).hexdigest()[:32]


def destination(receiver: Receiver) -> str:
    """What is throttled, and what can hang, as one: a digest, because a webhook's URL may be a secret."""
    if receiver.channel is Channel.EMAIL:
        return MAIL_RELAY
    return hashlib.sha256(receiver.target.encode()).hexdigest()[:32]
