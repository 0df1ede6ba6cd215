"""Keys are used, and never shown."""

from __future__ import annotations

import json
import traceback
from dataclasses import replace

import pytest
from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from hexbytes import HexBytes

from fusion_daemon.domain.identifiers import Address, hex_of
from fusion_daemon.transactions.decide import Sign
from fusion_daemon.transactions.fees import Fees
from fusion_daemon.transactions.keystore import KeyRefused, open_key
from fusion_daemon.transactions.records import Kind
from fusion_daemon.transactions.settings import SignerSettings
from tests.unit.transactions.making import INTENT, SIGNERS

KEY = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
OWNER = Address(bytes.fromhex("70997970c51812dc3a010c7d01b50e0d17dc79c8"))
RAW = replace(SIGNERS, address=OWNER)
STORED = replace(RAW, key=None, keystore="hot-keystore", passphrase="hot-passphrase")
ORDER = Sign(Kind.INTENT, 7, 60_000, Fees(21, 1))


def keystore() -> str:
    return json.dumps(Account.encrypt(bytes.fromhex(KEY), "open sesame", kdf="pbkdf2", iterations=2))


def test_a_raw_key_and_a_keystore_sign_alike_and_always_the_same() -> None:
    secrets = {"hot-key": "0x" + KEY, "hot-keystore": keystore(), "hot-passphrase": "open sesame"}
    raw, stored = open_key(RAW, secrets.__getitem__), open_key(STORED, secrets.__getitem__)
    assert raw.address == stored.address == OWNER
    assert raw.sign(INTENT, ORDER, 1.0) == stored.sign(INTENT, ORDER, 1.0)


def test_what_is_signed_is_the_intent_and_a_void_is_nothing_to_oneself() -> None:
    key = open_key(RAW, {"hot-key": KEY}.__getitem__)
    sent, void = (key.sign(INTENT, replace(ORDER, kind=kind), 1.0) for kind in Kind)
    for signed, to, data in ((sent, INTENT.to, INTENT.data), (void, OWNER, b"")):
        told = TypedTransaction.from_bytes(HexBytes(signed.raw)).as_dict()
        assert (bytes(told["to"]), bytes(told["data"]), told["nonce"]) == (to, data, 7)
        assert (told["chainId"], told["maxFeePerGas"], told["maxPriorityFeePerGas"]) == (INTENT.chain, 21, 1)
        assert Account.recover_transaction(signed.raw).lower() == hex_of(OWNER)


@pytest.mark.parametrize(
    ("signer", "secrets"),
    [
        (SIGNERS, {"hot-key": KEY}),
        (RAW, {"hot-key": KEY[:-1] + "g"}),
        (RAW, {"hot-key": "f" * 64}),
        (RAW, {"hot-key": "0" * 64}),
        (STORED, {"hot-keystore": keystore(), "hot-passphrase": "close sesame"}),
        (STORED, {"hot-keystore": "{}", "hot-passphrase": "open sesame"}),
        (STORED, {"hot-keystore": "[" + KEY, "hot-passphrase": "open sesame"}),
        (STORED, {"hot-keystore": '{"version": 1}', "hot-passphrase": "open sesame"}),
    ],
)
def test_a_key_that_cannot_be_used_is_refused_without_a_word_of_it(
    signer: SignerSettings, secrets: dict[str, str]
) -> None:
    with pytest.raises(KeyRefused) as caught:
        open_key(signer, secrets.__getitem__)
    told = "".join(traceback.format_exception(caught.value))
    assert not [text for text in secrets.values() if len(text) > 2 and text in told]
    assert KEY[:16] not in told


def test_a_key_shows_its_address_alone() -> None:
    key = open_key(RAW, {"hot-key": KEY}.__getitem__)
    assert repr(key) == f"SigningKey({hex_of(OWNER)})"
