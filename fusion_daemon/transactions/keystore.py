"""Keys: read from secrets, proven to belong to their address, and used. Opening a keystore takes seconds and signing
milliseconds of pure computation, so neither belongs on a loop's thread.

`eth_account` is imported where the first key is opened: it computes tables of curves that we do not use, a quarter of
the time that a daemon without keys takes to start.

INVARIANT: no key, no passphrase and no part of either is in what is raised, shown or told.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from eth_utils.address import to_checksum_address

from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.identifiers import Address, Hash32, hex_of
from fusion_daemon.domain.transaction import Intent
from fusion_daemon.transactions.decide import Sign
from fusion_daemon.transactions.records import Kind, Signed
from fusion_daemon.transactions.settings import SignerSettings

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

_KEY = re.compile(r"(0x)?[0-9a-fA-F]{64}")


class KeyRefused(Failure):
    """A signer's key cannot be used. The text says which secret, and nothing of what is in it."""


class SigningKey:
    """One signer's key. It shows its address alone."""

    __slots__ = ("_account", "address")

    def __init__(self, account: LocalAccount) -> None:
        self._account = account
        self.address = Address(bytes.fromhex(account.address[2:]))

    def __repr__(self) -> str:
        return f"SigningKey({hex_of(self.address)})"

    def sign(self, intent: Intent, order: Sign, at: float) -> Signed:
        """The same order gives the same bytes (RFC 6979). `at` in unix seconds."""
        void = order.kind is Kind.VOID
        signed = self._account.sign_transaction(
            {
                "type": 2,
                "chainId": int(intent.chain),
                "nonce": order.nonce,
                "to": to_checksum_address(self.address if void else intent.to),
                "value": 0 if void else intent.value,
                "data": b"" if void else intent.data,
                "gas": order.gas,
                "maxFeePerGas": order.fees.most,
                "maxPriorityFeePerGas": order.fees.tip,
            }
        )
        raw, hash_ = bytes(signed.raw_transaction), Hash32(bytes(signed.hash))
        return Signed(order.kind, hash_, raw, order.nonce, order.gas, order.fees, at)


def open_key(signer: SignerSettings, secret: Callable[[str], str]) -> SigningKey:
    """Blocks for seconds when it is a keystore. Raises KeyRefused, and whatever `secret` raises for one that is
    missing."""
    if signer.key is not None:
        key = SigningKey(_account_of(signer, secret(signer.key), signer.key))
    else:
        assert signer.keystore is not None  # the configuration has one of the two
        assert signer.passphrase is not None
        octets = _decrypted(signer, secret(signer.keystore), secret(signer.passphrase))
        key = SigningKey(_account_of(signer, octets.hex(), signer.keystore))
    if key.address != signer.address:
        raise KeyRefused(
            f"The key of signer {signer.name} belongs to {hex_of(key.address)}, not to {hex_of(signer.address)}.",
            "Nothing is signed with it.",
            "Correct the address, or name the secret that holds its key.",
        )
    return key


def _account_of(signer: SignerSettings, text: str, name: str) -> LocalAccount:
    from eth_account import Account

    if _KEY.fullmatch(text):
        try:
            account: LocalAccount = Account.from_key(text)
        except ValueError:  # zero, or beyond the curve's order; its text would quote the key
            pass
        else:
            return account
    raise _refused(signer, f"The secret {name} does not hold a private key", "Put 64 hex digits into it.") from None


def _decrypted(signer: SignerSettings, keystore: str, passphrase: str) -> bytes:
    from eth_account import Account

    try:
        return bytes(Account.decrypt(json.loads(keystore), passphrase))
    except (ValueError, TypeError, KeyError, NotImplementedError):  # malformed, of another version, another passphrase
        why = f"The keystore {signer.keystore} does not open with the passphrase {signer.passphrase}"
        raise _refused(signer, why, "Check that it is a keystore of version 3, and its passphrase.") from None


def _refused(signer: SignerSettings, what: str, remedy: str) -> KeyRefused:
    return KeyRefused(f"{what} (signer {signer.name}).", "Nothing is signed for this signer.", remedy)
