"""What the dispatcher is told once, at its start."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from fusion_daemon.domain.account import Channel


@dataclass(frozen=True, slots=True)
class Receiver:
    """Someone who is told: a desk receiver of the configuration, or an account's verified contact."""

    name: str
    channel: Channel
    target: str
    """A URL or a mail address. A webhook's URL may itself be a secret: it is never logged."""
    secret: str | None
    """Name of the credential that signs webhooks, never the secret itself. None: sent unsigned."""


class SmtpSecurity(Enum):
    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    host: str
    port: int
    security: SmtpSecurity
    sender: str
    """The From address; its domain also names our message ids."""
    username: str | None = None
    password: str | None = None
    """Name of the credential that holds the password."""


@dataclass(frozen=True, slots=True)
class AlertingSettings:
    receivers: tuple[Receiver, ...]
    """Desk receivers: told of every account's alerts."""
    smtp: SmtpSettings | None = None
    timeout: float = 15.0
    """Seconds that one attempt may take. A receiver that hangs longer has failed."""
    concurrency: int = 128
    """Attempts in flight at once."""
    per_destination: int = 16
    """Attempts in flight at once to one destination and severity, so that one that hangs holds up no
    other."""
