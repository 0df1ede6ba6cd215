"""Accounts as other rooms see them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from fusion_daemon.domain.identifiers import AccountId, Address, ChainId

ACCOUNT_STREAM = "accounts"


class Channel(Enum):
    WEBHOOK = "webhook"
    EMAIL = "email"


@dataclass(frozen=True, slots=True)
class Contact:
    """Where an account's people are told. Only verified contacts are used."""

    account: AccountId
    channel: Channel
    target: str
    """A URL or a mail address."""
    secret: str | None
    """Name of the credential that signs what is sent there (webhooks), never the secret itself."""


@dataclass(frozen=True, slots=True)
class AccountRecord:
    account: AccountId
    customer: str
    name: str
    addresses: tuple[tuple[ChainId, Address], ...]
    contacts: tuple[Contact, ...]
    """Verified ones only."""


@dataclass(frozen=True, slots=True)
class AccountChange:
    """An entry of the `accounts` stream: the registry's record of this account is now `record`."""

    seq: int
    record: AccountRecord
