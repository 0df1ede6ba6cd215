"""A sender on a real Postgres, in front of a real anvil whose blocks the test mines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import trio
from eth_account import Account
from eth_utils.address import to_checksum_address

from actors.transaction_sender import TransactionSender
from fusion_daemon.accounts.audit import By
from fusion_daemon.aio import Aio
from fusion_daemon.chain.settings import ChainSettings
from fusion_daemon.chain_transactions import ChainTransactions
from fusion_daemon.demo.anvil import Anvil
from fusion_daemon.demo.node import Node
from fusion_daemon.domain.identifiers import Address, ChainId, Hash32, hex_of
from fusion_daemon.domain.transaction import NATIVE_ASSET, Intent
from fusion_daemon.runtime import ActorContext, Bell, SystemClock
from fusion_daemon.store import Commit, Execute, Store
from fusion_daemon.transactions.commands import Command
from fusion_daemon.transactions.decide import Sight
from fusion_daemon.transactions.proposal import propose
from fusion_daemon.transactions.records import Answer, State
from fusion_daemon.transactions.repository import carry_out, read_transaction
from fusion_daemon.transactions.settings import (
    AllowedCall,
    AmountLimit,
    Limits,
    SendingPolicy,
    SignerSettings,
    TransactionSettings,
)
from fusion_daemon.transactions.views import TransactionDetail

CHAIN = ChainId(31337)
GWEI = 10**9
KEY = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
"""anvil's second account, known to everybody."""
SIGNER = Address(bytes.fromhex("70997970c51812dc3a010c7d01b50e0d17dc79c8"))
PAYEE = Address(b"\x77" * 20)
DEADLINE = 30.0

PAYMENT = Intent(
    id="pay:1",
    chain=CHAIN,
    signer=SIGNER,
    to=PAYEE,
    data=b"",
    value=1_000,
    gas_cap=100_000,
    fee_cap=100 * GWEI,
    purpose="settlement",
    asset=NATIVE_ASSET,
    amount=1_000,
    proposer="settlement_keeper",
)
SETTINGS = TransactionSettings(
    chains=(CHAIN,),
    signers={SIGNER: SignerSettings("hot", SIGNER, frozenset({CHAIN}), "hot-key", None, None, 10**18)},
    limits=Limits(
        (AllowedCall(CHAIN, PAYEE, b"", frozenset({"settlement"})),),
        {("settlement", NATIVE_ASSET): AmountLimit(each=10**6, day=2 * 10**6, four_eyes_above=10_000)},
    ),
    policy=SendingPolicy(replace_after=3600.0, gap_after=0.2),
    poll=0.05,
)


async def looking(holds: Callable[[], Awaitable[bool]]) -> None:
    """Look again and again: nothing of the store or the node rings."""
    with trio.fail_after(DEADLINE):
        while not await holds():  # noqa: ASYNC110
            await trio.sleep(0.02)


class Cut(ChainTransactions):
    """The real client; a test may have a broadcast end as it likes."""

    broken: Callable[[bytes, Callable[[], Awaitable[tuple[Answer, str]]]], Awaitable[tuple[Answer, str]]] | None = None

    looks = 0

    async def look(self, chain: ChainId, signer: Address, hashes: Sequence[Hash32]) -> Sight:
        found = await super().look(chain, signer, hashes)
        self.looks += 1
        return found

    async def broadcast(self, chain: ChainId, raw: bytes) -> tuple[Answer, str]:
        if self.broken is None:
            return await super().broadcast(chain, raw)
        return await self.broken(raw, lambda: ChainTransactions.broadcast(self, chain, raw))


@dataclass
class Sending:
    aio: Aio
    store: Store
    anvil: Anvil
    bell: Bell = field(default_factory=Bell)
    settings: TransactionSettings = SETTINGS
    secret: Callable[[str], str] = {"hot-key": KEY}.__getitem__

    def __post_init__(self) -> None:
        self.node = Node(self.anvil.url)
        self.nodes = Cut(self.aio, [ChainSettings(CHAIN, "anvil", (self.anvil.url,), ())])

    @asynccontextmanager
    async def living(self) -> AsyncIterator[ActorContext]:
        """One life; leaving it is its kill."""
        actor = TransactionSender(self.settings, self.store, lambda: self.nodes, self.secret, self.bell)
        context = ActorContext("transaction_sender", SystemClock())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(actor.run, context)
            yield context
            nursery.cancel_scope.cancel("the test ends this life")

    async def propose(self, *intents: Intent) -> None:
        for intent in intents:
            proof = Execute("SELECT EXISTS (SELECT FROM transactions WHERE id = $1)", (intent.id,))
            await self.store.commit(Commit(tuple(propose(intent, SystemClock().now())), proof=proof))
        self.bell.ring()

    async def say(self, asked: Command, principal: str, id_: str = PAYMENT.id) -> None:
        await self.store.transact(carry_out, id_, asked, By(principal, "request"), SystemClock().now())
        self.bell.ring()

    async def shown(self, id_: str = PAYMENT.id) -> TransactionDetail:
        return await self.store.read(read_transaction, id_)

    async def until(self, state: State, id_: str = PAYMENT.id) -> TransactionDetail:
        return await self.when(lambda found: found.transaction.state == state, id_)

    async def when(self, holds: Callable[[TransactionDetail], bool], id_: str = PAYMENT.id) -> TransactionDetail:
        found: list[TransactionDetail] = []

        async def look() -> bool:
            found.append(await self.shown(id_))
            return holds(found[-1])

        await looking(look)
        return found[-1]

    async def pooled(self, count: int = 1) -> None:
        async def look() -> bool:
            return len(self.pool()) == count

        await looking(look)

    async def looked(self) -> None:
        """The sender has had two more looks at the chain."""
        before = self.nodes.looks

        async def look() -> bool:
            return self.nodes.looks > before + 1

        await looking(look)

    def cut(self, *, after_effect: bool = False) -> None:
        """No broadcast is answered any more."""

        async def silent(_: bytes, go: Callable[[], Awaitable[tuple[Answer, str]]]) -> tuple[Answer, str]:
            if after_effect:
                await go()
            await trio.sleep_forever()

        self.nodes.broken = silent

    def mine(self, blocks: int = 1) -> None:
        self.node.call("anvil_mine", hex(blocks))

    def finalize(self) -> None:
        """What is mined is final: anvil runs with two slots an epoch."""
        self.mine(5)

    def balance(self, account: Address = PAYEE) -> int:
        return int(str(self.node.call("eth_getBalance", hex_of(account), "latest")), 16)

    def pool(self) -> Sequence[Hash32]:
        block = self.node.call("eth_getBlockByNumber", "pending", False)
        assert isinstance(block, dict)
        return [Hash32(bytes.fromhex(each[2:])) for each in block["transactions"]]

    def send_by_hand(self, nonce: int, *, fee: int = 60 * GWEI) -> str:
        """Somebody else uses the key."""
        raw = Account.from_key(KEY).sign_transaction(
            {
                "type": 2,
                "chainId": CHAIN,
                "nonce": nonce,
                "to": to_checksum_address(SIGNER),
                "value": 0,
                "gas": 21_000,
                "maxFeePerGas": fee,
                "maxPriorityFeePerGas": fee,
            }
        )
        return str(self.node.call("eth_sendRawTransaction", hex_of(bytes(raw.raw_transaction))))

    def sooner(self, seconds: float) -> None:
        policy = replace(self.settings.policy, replace_after=seconds)
        self.settings = replace(self.settings, policy=policy)
