"""From a raw log to its event, and from a vault's event to what it changed.

A log's decoding depends on the log and on our contracts' ABIs alone, never on the configuration: what is read
back from the store later decodes to the same changes that were published.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import msgspec

from fusion_daemon.chain.abi import EventDecoder, Signature, Undecodable, Value, event_decoders
from fusion_daemon.chain.artifacts import AbiEntry, load_artifact
from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.identifiers import Address
from fusion_daemon.domain.journal import (
    AssetParameters,
    BalanceChange,
    Change,
    CreditChange,
    IndexUpdate,
    Side,
)

CONTRACTS = ("CrossChainVault", "EscrowFactory", "Escrow", "RemoteCredit", "BridgeRouter")
"""The contracts whose events are decoded."""

Translate = Callable[[Address, int, tuple[Value, ...]], tuple[Change, ...]]
"""(vault, log index, arguments in declaration order) to changes."""


class EventTableMismatch(Failure):
    """A contract's ABI does not declare an event as this code understands it."""


class Event(msgspec.Struct, frozen=True, gc=False):
    """A log, understood as far as it goes."""

    name: str | None
    """None: no ABI of ours has its topic."""
    args: str | None
    """JSON object; None: undecodable."""
    changes: tuple[Change, ...]


UNKNOWN = Event(None, None, ())


@dataclass(frozen=True, slots=True)
class EventTable:
    decoders: Mapping[Signature, EventDecoder]
    translations: Mapping[Signature, Translate]
    """The events that change a vault's state. One that a release adds has to come with a migration that counts the logs
    of it which are stored: until then they were decoded, and changed nothing."""

    def event(self, address: Address, log_index: int, topics: tuple[bytes, ...], data: bytes) -> Event:
        """Never raises on what a contract emitted: an undecodable log has no arguments and no changes."""
        signature = (topics[0], len(topics)) if topics else (b"", 0)
        decoder = self.decoders.get(signature)
        if decoder is None:
            return UNKNOWN
        try:
            values = decoder.decode(topics, data)
        except Undecodable:
            return Event(decoder.name, None, ())  # stored raw with its name; the caller counts it
        translate = self.translations.get(signature)
        changes = () if translate is None else translate(address, log_index, values)
        return Event(decoder.name, decoder.json(values), changes)

    @property
    def changing(self) -> tuple[bytes, ...]:
        """Topics of the events that change state."""
        return tuple(topic for topic, _ in self.translations)


def load_event_table() -> EventTable:
    """The table of our own contracts, from their artifacts."""
    return event_table([entry for name in CONTRACTS for entry in load_artifact(name).abi])


def event_table(abi: Iterable[AbiEntry]) -> EventTable:
    """Raises EventTableMismatch when an event that changes state is missing or declared otherwise."""
    decoders = event_decoders(abi)
    translations: dict[Signature, Translate] = {}
    for name, (fields, translate) in {**_VAULT_EVENTS, **_LOCK_EVENTS}.items():
        found = [key for key, decoder in decoders.items() if (decoder.name, decoder.fields) == (name, fields)]
        if len(found) != 1:
            raise EventTableMismatch(
                f"The contracts declare no event {name}({', '.join(fields)}).",
                "Balances would silently miss what that event says.",
                "Ship the contract artifacts that belong to this version.",
            )
        translations[found[0]] = translate
    return EventTable(decoders, translations)


def _octets(value: Value) -> Address:
    assert isinstance(value, bytes)
    return Address(value)


def _integer(value: Value) -> int:
    assert isinstance(value, int)
    return value


def _deposited(vault: Address, _index: int, args: tuple[Value, ...]) -> tuple[Change, ...]:
    owner, token, amount, _balance, _seq = args
    return (BalanceChange(vault, _octets(owner), _octets(token), Side.COLLATERAL, _integer(amount)),)


def _withdrawn(vault: Address, _index: int, args: tuple[Value, ...]) -> tuple[Change, ...]:
    owner, token, _to, amount, _balance, _seq = args
    return (BalanceChange(vault, _octets(owner), _octets(token), Side.COLLATERAL, -_integer(amount)),)


def _transferred(vault: Address, _index: int, args: tuple[Value, ...]) -> tuple[Change, ...]:
    giver, receiver, token, amount, _left, _reached, _seq = args
    return (
        BalanceChange(vault, _octets(giver), _octets(token), Side.COLLATERAL, -_integer(amount)),
        BalanceChange(vault, _octets(receiver), _octets(token), Side.COLLATERAL, _integer(amount)),
    )


def _borrowed(vault: Address, _index: int, args: tuple[Value, ...]) -> tuple[Change, ...]:
    owner, token, _to, _amount, scaled, _balance, _seq = args
    return (BalanceChange(vault, _octets(owner), _octets(token), Side.DEBT, _integer(scaled)),)


def _repaid(vault: Address, _index: int, args: tuple[Value, ...]) -> tuple[Change, ...]:
    owner, token, _payer, _amount, scaled, _balance, _seq = args
    return (BalanceChange(vault, _octets(owner), _octets(token), Side.DEBT, -_integer(scaled)),)


def _liquidated(vault: Address, _index: int, args: tuple[Value, ...]) -> tuple[Change, ...]:
    owner, debt, collateral, _liquidator, _repaid_amount, scaled, seized, *_resulting = args
    return (
        BalanceChange(vault, _octets(owner), _octets(debt), Side.DEBT, -_integer(scaled)),
        BalanceChange(vault, _octets(owner), _octets(collateral), Side.COLLATERAL, -_integer(seized)),
    )


def _written_off(vault: Address, _index: int, args: tuple[Value, ...]) -> tuple[Change, ...]:
    owner, token, _amount, scaled, _balance, _seq = args
    return (BalanceChange(vault, _octets(owner), _octets(token), Side.DEBT, -_integer(scaled)),)


def _indexed(vault: Address, index: int, args: tuple[Value, ...]) -> tuple[Change, ...]:
    token, _supply, borrow, rate, timestamp, _seq = args
    return (IndexUpdate(vault, _octets(token), _integer(borrow), _integer(rate), _integer(timestamp), index),)


def _configured(vault: Address, index: int, args: tuple[Value, ...]) -> tuple[Change, ...]:
    token, decimals, _feed_decimals, ltv, threshold, _bonus, _feed, _seq = args
    return (AssetParameters(vault, _octets(token), _integer(decimals), _integer(ltv), _integer(threshold), index),)


def _credited(vault: Address, index: int, args: tuple[Value, ...]) -> tuple[Change, ...]:
    owner, _old, limit, _seq = args
    return (CreditChange(vault, _octets(owner), _integer(limit), index),)


def _locked(locks: Address, _index: int, args: tuple[Value, ...]) -> tuple[Change, ...]:
    owner, _ref, _message, token, collateral, *_rest = args
    return (BalanceChange(locks, _octets(owner), _octets(token), Side.COLLATERAL, _integer(collateral)),)


def _unlocked(locks: Address, _index: int, args: tuple[Value, ...]) -> tuple[Change, ...]:
    owner, _ref, _message, token, _credit, collateral, *_rest = args
    return (BalanceChange(locks, _octets(owner), _octets(token), Side.COLLATERAL, -_integer(collateral)),)


def _seized(locks: Address, _index: int, args: tuple[Value, ...]) -> tuple[Change, ...]:
    owner, _ref, _message, token, _treasury, _credit, collateral, *_rest = args
    return (BalanceChange(locks, _octets(owner), _octets(token), Side.COLLATERAL, -_integer(collateral)),)


_VAULT_EVENTS: Mapping[str, tuple[tuple[str, ...], Translate]] = {
    "CollateralDeposited": (("account", "token", "amount", "balance", "seq"), _deposited),
    "CollateralWithdrawn": (("account", "token", "to", "amount", "balance", "seq"), _withdrawn),
    "CollateralTransferred": (
        ("from", "to", "token", "amount", "fromBalance", "toBalance", "seq"),
        _transferred,
    ),
    "Borrowed": (("account", "token", "to", "amount", "scaledAmount", "scaledBalance", "seq"), _borrowed),
    "Repaid": (("account", "token", "payer", "amount", "scaledAmount", "scaledBalance", "seq"), _repaid),
    "Liquidated": (
        (
            *("account", "debtToken", "collateralToken", "liquidator", "repaid", "scaledRepaid", "seized"),
            *("scaledDebtBalance", "collateralBalance", "seq"),
        ),
        _liquidated,
    ),
    "BadDebtWrittenOff": (("account", "token", "amount", "scaledAmount", "scaledBalance", "seq"), _written_off),
    "IndexUpdated": (
        ("token", "supplyIndex", "borrowIndex", "borrowRatePerSecond", "timestamp", "seq"),
        _indexed,
    ),
    "AssetConfigured": (
        (
            *("token", "decimals", "feedDecimals", "ltvBps", "liquidationThresholdBps", "liquidationBonusBps"),
            *("feed", "seq"),
        ),
        _configured,
    ),
    "CreditLineSet": (("account", "oldLimit", "newLimit", "seq"), _credited),
}

_LOCK_EVENTS: Mapping[str, tuple[tuple[str, ...], Translate]] = {
    "CollateralLocked": (
        ("account", "ref", "messageId", "token", "collateral", "credit", "dstChainId", "deadline", "seq"),
        _locked,
    ),
    "CollateralReleased": (
        ("account", "ref", "messageId", "token", "credit", "collateral", "creditLeft", "collateralLeft", "seq"),
        _unlocked,
    ),
    "CollateralSeized": (
        (
            *("account", "ref", "messageId", "token", "treasury", "credit", "collateral"),
            *("creditLeft", "collateralLeft", "seq"),
        ),
        _seized,
    ),
}
"""What RemoteCredit holds for an account is a balance of that account's at RemoteCredit. In the vault the same
collateral is RemoteCredit's, since it was transferred there."""
