"""An account's record as the JSON of a stream entry, and back. Pure."""

from __future__ import annotations

import msgspec

from fusion_daemon.domain.account import AccountRecord, Channel, Contact
from fusion_daemon.domain.identifiers import AccountId, ChainId, hex_of, parse_address


class _Contact(msgspec.Struct, frozen=True):
    channel: Channel
    target: str
    secret: str | None


class _Record(msgspec.Struct, frozen=True):
    account: str
    customer: str
    name: str
    addresses: tuple[tuple[int, str], ...]
    contacts: tuple[_Contact, ...]


def record_json(record: AccountRecord) -> str:
    return msgspec.json.encode(
        _Record(
            record.account,
            record.customer,
            record.name,
            tuple((chain, hex_of(address)) for chain, address in record.addresses),
            tuple(_Contact(each.channel, each.target, each.secret) for each in record.contacts),
        )
    ).decode()


def record_from_json(text: bytes) -> AccountRecord:
    """Raises msgspec.ValidationError for what `record_json` did not write."""
    parsed = msgspec.json.decode(text, type=_Record)
    account = AccountId(parsed.account)
    return AccountRecord(
        account,
        parsed.customer,
        parsed.name,
        tuple((ChainId(chain), parse_address(address)) for chain, address in parsed.addresses),
        tuple(Contact(account, each.channel, each.target, each.secret) for each in parsed.contacts),
    )
