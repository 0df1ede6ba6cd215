"""Transaction sender: what was proposed is judged, signed, sent and followed to a final block, once.

INVARIANTS
* It holds nothing that the store does not: killed anywhere, the next life goes on from the record, with the same nonce
  and the same bytes (`chain_sending`).
* One task judges for all chains, one after the other, so that no two together pass a limit. Each chain has a task of
  its own: a node that is silent holds up no other chain.
* What goes wrong with a node, a key or the store is told as this actor's health, and tried again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import trio

from actors.chain_sending import ChainSending
from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.identifiers import Address, ChainId, hex_of
from fusion_daemon.runtime import Actor, ActorContext, Bell
from fusion_daemon.store import Fenced, Store, WriteConflict
from fusion_daemon.transactions.commits import commit_of
from fusion_daemon.transactions.decide import Wait
from fusion_daemon.transactions.keystore import KeyRefused, SigningKey, open_key
from fusion_daemon.transactions.limits import Approve, Spent, judge, moves
from fusion_daemon.transactions.moves import record
from fusion_daemon.transactions.node import Nodes
from fusion_daemon.transactions.records import State, Transaction
from fusion_daemon.transactions.repository import counts, proposed
from fusion_daemon.transactions.settings import TransactionSettings

IDLE = 5.0
"""Seconds: the longest time between two looks when nothing is under way."""
PAUSE = 2.0
"""Seconds between two tries of what failed."""
CONFLICT_PAUSE = 0.1
READ_DEADLINE = 10.0
JUDGE = "judging"


@dataclass(frozen=True, slots=True)
class SenderStatistics:
    open: Mapping[tuple[int, str], int]
    """By chain and state, at the last look."""
    ended: Mapping[State, int]
    signed: Mapping[str, int]
    """By kind: intents, and voids in their place."""
    answers: Mapping[str, int]
    """Of nodes to raw bytes."""
    renonced: int
    """Nonces that somebody else used."""


class TransactionSender(Actor):
    """One life; see the module."""

    name = "transaction_sender"

    def __init__(
        self,
        settings: TransactionSettings,
        store: Store,
        nodes: Callable[[], AbstractAsyncContextManager[Nodes]],
        secret: Callable[[str], str],
        bell: Bell,
    ) -> None:
        self._settings = settings
        self._store = store
        self._open_nodes = nodes
        self._secret = secret
        self._bell = bell
        self._keys: dict[Address, SigningKey] = {}
        self._bells = {chain: Bell() for chain in settings.chains}
        self._chains: dict[ChainId, ChainSending] = {}
        self._troubles: dict[str, str] = {}
        self._looked: dict[str, float] = {}
        self._open: Mapping[tuple[int, str], int] = {}
        self._judged: Counter[State] = Counter()
        self._epoch = 0

    async def run(self, context: ActorContext) -> None:
        """Trio side. Asked to drain, every task ends after the step that it is in."""
        self._epoch = (await self._store.claim(self.name)).epoch
        async with self._open_nodes() as nodes:
            self._chains = {
                chain: ChainSending(chain, self._settings, self._store, nodes, self._key, self._epoch)
                for chain in self._bells
            }
            context.started()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep_at, context, JUDGE, self._judge, self._bell)
                for chain, sending in self._chains.items():
                    part = f"chain {chain}"
                    nursery.start_soon(self._keep_at, context, part, sending.look, self._bells[chain])

    def statistics(self) -> SenderStatistics:
        """Any thread."""
        ended, signed, answers = self._judged.copy(), Counter[str](), Counter[str]()
        for each in self._chains.values():
            ended += each.ended
            signed += each.signed
            answers += each.answers
        renonced = sum(each.renonced for each in self._chains.values())
        return SenderStatistics(self._open, ended, signed, answers, renonced)

    async def _keep_at(
        self, context: ActorContext, part: str, look: Callable[[ActorContext], Awaitable[bool]], bell: Bell
    ) -> None:
        while not context.draining.is_set():
            await context.gate()
            try:
                busy = await look(context)
            except WriteConflict:  # an operator was faster: look again
                await context.rest(CONFLICT_PAUSE)
                continue
            except Fenced:
                raise
            except Failure as failure:
                self._tell(context, part, str(failure))
                await context.rest(PAUSE)
                continue
            self._looked[part] = context.clock.now()
            self._tell(context, part, self._trouble_of(part))
            await context.rest(self._settings.poll if busy else IDLE, bell)

    async def _judge(self, context: ActorContext) -> bool:
        """What is proposed, the oldest first."""
        now = context.clock.now()
        waiting, before = await self._store.read(proposed, now, timeout=READ_DEADLINE)
        spent: Spent = before
        for transaction in waiting:
            spent = await self._pass(context, transaction, spent, now)
        self._open = await self._store.read(counts, timeout=READ_DEADLINE)
        for bell in self._bells.values():  # something may have been approved, or called off
            bell.ring()
        return False

    async def _pass(self, context: ActorContext, transaction: Transaction, spent: Spent, now: float) -> Spent:
        """What is spent after it."""
        intent = transaction.intent
        decision = judge(transaction, self._settings.signers.get(intent.signer), self._settings.limits, spent, now)
        if isinstance(decision, Wait):
            return spent
        moved = record(transaction, decision)
        await self._store.commit(commit_of(moved, self._epoch, now))
        log = context.log.bind(transaction=intent.id, chain=intent.chain, purpose=intent.purpose)
        if not isinstance(decision, Approve):
            self._judged[moved.after.state] += 1
            log.error("transaction_ended", state=moved.after.state.value, reason=moved.after.reason)
            return spent
        log.info("transaction_approved", why=decision.why)
        after = dict(spent)
        for asset, amount in moves(intent).items():
            after[intent.purpose, asset] = after.get((intent.purpose, asset), 0) + amount
        return after

    def _key(self, signer: Address) -> SigningKey:
        """A thread of its own. Raises KeyRefused, and SecretMissing."""
        if signer not in self._keys:
            known = self._settings.signers.get(signer)
            if known is None:
                raise KeyRefused(
                    f"The configuration has no signer {hex_of(signer)}.",
                    "What it is to sign waits.",
                    "Configure it again, or cancel what it is to sign.",
                )
            self._keys[signer] = open_key(known, self._secret)
        return self._keys[signer]

    def _trouble_of(self, part: str) -> str:
        found = next((each for chain, each in self._chains.items() if part == f"chain {chain}"), None)
        return "" if found is None else "; ".join(found.troubles)

    def _tell(self, context: ActorContext, part: str, trouble: str) -> None:
        self._troubles[part] = trouble
        told = [f"{name}: {each}" for name, each in sorted(self._troubles.items()) if each]
        context.degraded(" ".join(told)) if told else context.healthy()
        if len(self._looked) == len(self._chains) + 1:
            context.fresh(min(self._looked.values()))
