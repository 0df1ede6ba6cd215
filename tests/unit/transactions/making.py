"""Intents, transactions and markets of the tests."""

from __future__ import annotations

from dataclasses import replace

from fusion_daemon.domain.identifiers import Address, AssetId, ChainId, Hash32
from fusion_daemon.domain.transaction import NATIVE_ASSET, Intent
from fusion_daemon.transactions.decide import Sight
from fusion_daemon.transactions.fees import Fees, Market
from fusion_daemon.transactions.nonces import Counts
from fusion_daemon.transactions.records import Answer, Kind, Receipt, Signed, State, Transaction
from fusion_daemon.transactions.settings import SendingPolicy, SignerSettings

CHAIN = ChainId(31337)
SIGNER = Address(b"\x51" * 20)
VAULT = Address(b"\x7a" * 20)
GWEI = 10**9
MARKET = Market(base_fee=10 * GWEI, tip=GWEI)
POLICY = SendingPolicy()
USDC = AssetId("USDC")

INTENT = Intent(
    id="settle:1",
    chain=CHAIN,
    signer=SIGNER,
    to=VAULT,
    data=bytes.fromhex("a9059cbb") + bytes(64),
    value=0,
    gas_cap=200_000,
    fee_cap=100 * GWEI,
    purpose="settlement",
    asset=NATIVE_ASSET,
    amount=0,
    proposer="settlement_keeper",
)
SIGNERS = SignerSettings("hot", SIGNER, frozenset({CHAIN}), "hot-key", None, None, 10**18)


def hash_of(number: int) -> Hash32:
    return Hash32(number.to_bytes(32, "big"))


def signed(
    number: int, kind: Kind = Kind.INTENT, *, nonce: int = 7, fees: Fees | None = None, answer: Answer | None = None
) -> Signed:
    offered = Fees(21 * GWEI, GWEI) if fees is None else fees
    return Signed(kind, hash_of(number), bytes([number]), nonce, 60_000, offered, 0.0, answer)


def holding(state: State, *raws: Signed) -> Transaction:
    return Transaction(INTENT, 1, state, 0.0, steps=3, nonce=raws[-1].nonce, signed=raws)


def sight(
    *,
    nonces: tuple[int, int, int] = (7, 7, 8),
    receipts: tuple[Receipt, ...] = (),
    known: tuple[int, ...] = (),
    final: int = 90,
    market: Market = MARKET,
) -> Sight:
    found = {each.hash: each for each in receipts}
    return Sight(100, final, Counts(*nonces), market, found, frozenset({*map(hash_of, known), *found}))


def receipt(number: int, block: int, *, succeeded: bool = True) -> Receipt:
    return Receipt(hash_of(number), block, hash_of(1_000 + block), succeeded, 50_000, 11 * GWEI)


def late(transaction: Transaction, deadline: float) -> Transaction:
    return replace(transaction, intent=replace(transaction.intent, deadline=deadline))
