"""What the sender is told. Plain values: the configuration is parsed elsewhere, and no key is among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fusion_daemon.domain.identifiers import Address, AssetId, ChainId

SECONDS_A_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class SignerSettings:
    name: str
    address: Address
    """Its key has to belong to it."""
    chains: frozenset[ChainId]
    """Where it may sign."""
    key: str | None
    """The secret that holds its private key in hex; None: it has a keystore."""
    keystore: str | None
    """The secret that holds its keystore, version 3, as JSON."""
    passphrase: str | None
    """The secret that opens the keystore."""
    gas_budget: int
    """Wei: the most that it may commit to gas on one chain within a day."""


@dataclass(frozen=True, slots=True)
class AllowedCall:
    chain: ChainId
    to: Address
    selector: bytes
    """Four bytes; none for a plain payment."""
    purposes: frozenset[str]
    approval: bool = False
    """Each waits for a principal who did not propose it, whatever it moves."""


@dataclass(frozen=True, slots=True)
class AmountLimit:
    """In the asset's smallest unit."""

    each: int
    """The most that one transaction may move."""
    day: int
    """The most that all of the last 24 hours may move."""
    four_eyes_above: int
    """A transaction that moves more waits for two principals."""


@dataclass(frozen=True, slots=True)
class Limits:
    calls: tuple[AllowedCall, ...] = ()
    amounts: Mapping[tuple[str, AssetId], AmountLimit] | None = None
    """By purpose and asset: what is not here may not be moved."""


@dataclass(frozen=True, slots=True)
class SendingPolicy:
    replace_after: float = 60.0
    """Seconds that a transaction waits in a pool before more is offered for it."""
    most_replacements: int = 12
    most_renonced: int = 3
    gas_margin_percent: int = 20
    """Above the estimate: the state may move before it is mined."""
    gap_after: float = 60.0
    """Seconds that a nonce may be free below one of ours before we use it up."""
    most_in_flight: int = 16
    """Of a signer on a chain: nodes keep no more than some dozens of one account."""


@dataclass(frozen=True, slots=True)
class TransactionSettings:
    chains: tuple[ChainId, ...]
    """All that are configured: what was signed is followed also where nobody signs any more."""
    signers: Mapping[Address, SignerSettings]
    limits: Limits
    policy: SendingPolicy
    poll: float
    """Seconds between two looks at a chain on which something is under way."""
