"""The sections of config.toml about transactions that the daemon sends: who signs, what may be sent, how much."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from fusion_daemon.config_section import Section
from fusion_daemon.config_values import AddressText, Name, Purpose, Seconds, Selector, Wholes


class Signer(Section):
    """A key of our own. It stands in a secret, never here: raw, or as a keystore with its passphrase."""

    name: Name
    address: AddressText
    """Whose key it has to be: another one is refused."""
    chains: tuple[int, ...] = Field(min_length=1)
    key: Name | None = None
    """The name of the secret that holds the private key: 64 hex digits."""
    keystore: Name | None = None
    """The name of the secret that holds a keystore file, version 3."""
    passphrase: Name | None = None
    """The name of the secret that opens the keystore."""
    gas_wei_a_day: Wholes
    """The most that it may commit to gas on one chain within 24 hours."""

    @model_validator(mode="after")
    def _has_one_key(self) -> Signer:
        if (self.key is None) == (self.keystore is None):
            raise ValueError(f"{self.name} needs a key or a keystore, and not both")
        if (self.keystore is None) != (self.passphrase is None):
            raise ValueError("a keystore needs a passphrase, and nothing else does")
        return self


class AllowedCall(Section):
    chain: int
    to: AddressText
    selector: Selector | None = None
    """Absent: a plain payment."""
    purposes: tuple[Purpose, ...] = Field(min_length=1)
    approval: bool = False
    """Each waits for an operator who did not propose it, whatever it moves."""


class TransactionLimit(Section):
    """For one purpose and asset, in the asset's smallest unit."""

    purpose: Purpose
    asset: Annotated[str, Field(min_length=1, max_length=20)]
    """`native` for the chain's own currency."""
    each: Wholes
    day: Wholes
    four_eyes_above: Wholes


class Transactions(Section):
    poll_seconds: Seconds = 2.0
    replace_after_seconds: Seconds = 60.0
    gap_after_seconds: Seconds = 60.0
    max_in_flight: int = Field(default=16, ge=1, le=64)
    calls: tuple[AllowedCall, ...] = ()
    limits: tuple[TransactionLimit, ...] = ()

    @model_validator(mode="after")
    def _one_limit_each(self) -> Transactions:
        named = [(each.purpose, each.asset) for each in self.limits]
        if len(set(named)) != len(named):
            raise ValueError("two [[transactions.limits]] have the same purpose and asset")
        return self


def check_chains(signers: tuple[Signer, ...], transactions: Transactions, chains: set[int]) -> None:
    """Raises ValueError for two signers of one name or address, and for a chain that is not listed."""
    if len({each.name for each in signers}) != len(signers):
        raise ValueError("two [[signers]] have the same name")
    if len({each.address.lower() for each in signers}) != len(signers):
        raise ValueError("two [[signers]] have the same address")
    for signer in signers:
        for chain in signer.chains:
            if chain not in chains:
                raise ValueError(f"signer {signer.name}: chain {chain} is not listed")
    for call in transactions.calls:
        if call.chain not in chains:
            raise ValueError(f"an allowed call lies on chain {call.chain}, which is not listed")
