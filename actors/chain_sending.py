"""The sender's work on one chain: what was decided is stored, and only then done.

INVARIANTS
* Raw bytes are stored before anybody hears of them. Killed between the two, the next life sends the same bytes.
* Every step names the one that it has seen: what an operator or a later life changed meanwhile makes it a
  WriteConflict, and nothing of it is done.
* On a chain that replaced a block which it had called final nothing new is signed; what was signed is followed.
* One look at a chain shows it as of one moment; what is decided on it is decided by that moment alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby

import trio

from fusion_daemon.domain.failure import Failure
from fusion_daemon.domain.identifiers import Address, ChainId, hex_of
from fusion_daemon.runtime import ActorContext
from fusion_daemon.store import Commit, Execute, Fenced, Store, StoreUnavailable, WriteConflict
from fusion_daemon.transactions.commits import commit_of
from fusion_daemon.transactions.decide import (
    Broadcast,
    Decision,
    End,
    Sight,
    Sign,
    Wait,
    decide,
    is_late,
    keep_up,
    prepare,
)
from fusion_daemon.transactions.keystore import SigningKey
from fusion_daemon.transactions.moves import Moved, record, record_answer, record_signed
from fusion_daemon.transactions.node import Nodes, NodeSilent, NotSimulated
from fusion_daemon.transactions.nonces import is_behind, lowest_gap, next_nonce
from fusion_daemon.transactions.proposal import gap_filler, propose_filler
from fusion_daemon.transactions.records import HOLDING, State, Transaction
from fusion_daemon.transactions.repository import Queue, queue_of
from fusion_daemon.transactions.settings import TransactionSettings

READ_DEADLINE = 10.0
MOST_STEPS = 8
"""Of one transaction at one look. Each is a step forward; more would be a circle."""

KeyOf = Callable[[Address], SigningKey]
"""Blocks. Raises a Failure."""


class ChainSending:
    """One chain, within one life of the sender. `troubles` is what an operator should know of the last look."""

    def __init__(
        self, chain: ChainId, settings: TransactionSettings, store: Store, nodes: Nodes, key_of: KeyOf, epoch: int
    ) -> None:
        self.troubles: list[str] = []
        self.ended: Counter[State] = Counter()
        self.signed: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.renonced = 0
        self._chain = chain
        self._settings = settings
        self._store = store
        self._nodes = nodes
        self._key_of = key_of
        self._epoch = epoch
        self._keyless: set[Address] = set()
        """Whose key could not be used in this look."""
        self._gaps: dict[Address, tuple[int, float]] = {}
        """By signer: the nonce that is free, and since when it has been seen so, by the monotonic clock."""

    async def look(self, context: ActorContext) -> bool:
        """Whether something is under way. Raises NodeSilent, WriteConflict, and what the store raises."""
        queue = await self._store.read(queue_of, self._chain, context.clock.now(), timeout=READ_DEADLINE)
        self.troubles = []
        self._keyless = set()
        for signer, mine in _by_signer(queue):
            try:
                await self._serve(context, queue, signer, mine)
            except (NodeSilent, WriteConflict, Fenced, StoreUnavailable):
                raise
            except Failure as failure:  # of this signer's key; the others have theirs
                self.troubles.append(str(failure))
        return bool(queue.transactions)

    async def _serve(
        self, context: ActorContext, queue: Queue, signer: Address, mine: Mapping[str, Transaction]
    ) -> None:
        present = dict(mine)
        hashes = [signed.hash for each in mine.values() for signed in each.signed]
        sight = await self._nodes.look(self._chain, signer, hashes)
        for transaction in mine.values():
            if transaction.state in HOLDING:
                present[transaction.intent.id] = await self._follow(context, transaction, sight)
        floor = queue.floors.get(signer, 0)
        if is_behind(sight.counts, floor):
            self.troubles.append(
                f"a node counts {sight.counts.latest} transactions of {hex_of(signer)}, and {floor} were final: "
                "it lags, or its chain was cut"
            )
            return
        if queue.latched is not None:
            self.troubles.append(f"nothing new is signed: {queue.latched}")
            return
        gap = self._lasting_gap(context, signer, lowest_gap(sight.counts, _held(present), floor))
        await self._sign_new(context, queue, sight, present, gap)
        if gap is not None and gap not in _held(present):
            await self._fill(context, gap, present)

    async def _follow(self, context: ActorContext, transaction: Transaction, sight: Sight) -> Transaction:
        """All steps that this sight allows."""
        for _ in range(MOST_STEPS):
            if transaction.state not in HOLDING:
                break
            decision = decide(transaction, sight, context.clock.now(), self._settings.policy)
            if isinstance(decision, Sign) and not await self._has_key(transaction.intent.signer):
                decision = keep_up(transaction, sight)
            if isinstance(decision, Wait):
                self._note(transaction, decision)
                break
            transaction = await self._act(context, transaction, decision)
            if isinstance(decision, Broadcast):
                break
        return transaction

    async def _act(self, context: ActorContext, transaction: Transaction, decision: Decision) -> Transaction:
        match decision:
            case Sign():
                return await self._sign(context, transaction, decision)
            case Broadcast(signed):
                answer, said = await self._nodes.broadcast(self._chain, signed.raw)
                self.answers[answer.value] += 1
                moved = record_answer(transaction, signed, answer, said)
                return transaction if moved is None else await self._commit(context, moved)
            case Wait():
                return transaction
            case _:
                return await self._commit(context, record(transaction, decision))

    async def _has_key(self, signer: Address) -> bool:
        """Whether it can be used; told where not. Tried once a look, since opening a keystore takes seconds."""
        if signer not in self._keyless:
            try:
                await trio.to_thread.run_sync(self._key_of, signer, abandon_on_cancel=True)
            except Failure as failure:
                self.troubles.append(str(failure))
                self._keyless.add(signer)
        return signer not in self._keyless

    async def _sign(self, context: ActorContext, transaction: Transaction, order: Sign) -> Transaction:
        now = context.clock.now()
        key = await trio.to_thread.run_sync(self._key_of, transaction.intent.signer, abandon_on_cancel=True)
        signed = await trio.to_thread.run_sync(key.sign, transaction.intent, order, now, abandon_on_cancel=True)
        after = await self._commit(context, record_signed(transaction, signed))
        self.signed[order.kind.value] += 1
        return after

    async def _sign_new(
        self, context: ActorContext, queue: Queue, sight: Sight, present: dict[str, Transaction], gap: int | None
    ) -> None:
        """In the order of their proposals; the first takes the gap."""
        policy = self._settings.policy
        waiting = [each for each in present.values() if each.state is State.APPROVED]
        for transaction in waiting:
            signer = transaction.intent.signer
            if is_late(transaction, context.clock.now()):
                late = End(State.EXPIRED, "Its time passed before it was signed.")
                present[transaction.intent.id] = await self._act(context, transaction, late)
                continue
            held, floor = _held(present), queue.floors.get(signer, 0)
            nonce = next_nonce(sight.counts, held, floor) if gap is None or gap in held else gap
            if nonce is None or len(held) >= policy.most_in_flight:
                continue
            try:
                trial = await self._nodes.simulate(transaction.intent)
            except NotSimulated as failure:
                self.troubles.append(str(failure))
                continue
            budget = self._budget(queue, signer, present)
            decision = prepare(transaction, trial, sight.market, nonce, budget, policy)
            if isinstance(decision, Wait):
                self._note(transaction, decision)
                continue
            after = await self._act(context, transaction, decision)
            if isinstance(decision, Sign):  # at once: the next one's simulation is to see it
                after = await self._act(context, after, Broadcast(after.latest))
            present[transaction.intent.id] = after

    def _budget(self, queue: Queue, signer: Address, present: Mapping[str, Transaction]) -> int:
        """Wei of gas that are left of the day."""
        before = {each.intent.id for each in queue.transactions if each.state in HOLDING}
        since = sum(
            each.latest.gas * each.latest.fees.most
            for id_, each in present.items()
            if each.state in HOLDING and id_ not in before
        )
        known = self._settings.signers.get(signer)
        return (0 if known is None else known.gas_budget) - queue.gas.get(signer, 0) - since

    def _lasting_gap(self, context: ActorContext, signer: Address, gap: int | None) -> int | None:
        """The gap, once it has lasted."""
        now = context.clock.monotonic()
        if gap is None:
            self._gaps.pop(signer, None)
            return None
        seen, since = self._gaps.get(signer, (gap, now))
        self._gaps[signer] = (gap, since if seen == gap else now)
        return gap if now - self._gaps[signer][1] >= self._settings.policy.gap_after else None

    async def _fill(self, context: ActorContext, gap: int, present: Mapping[str, Transaction]) -> None:
        if any(each.state is State.APPROVED for each in present.values()):
            return  # it takes the gap as soon as it can be signed
        above = min((each for each in present.values() if (each.nonce or 0) > gap), key=lambda each: each.nonce or 0)
        context.log.warning("nonce_gap", chain=self._chain, transaction=above.intent.id, nonce=gap)
        newest = max(each.number for each in present.values())
        filler, now = gap_filler(above, gap, newest), context.clock.now()
        proof = Execute("SELECT EXISTS (SELECT FROM transactions WHERE id = $1)", (filler.id,))
        await self._store.commit(Commit(tuple(propose_filler(filler, gap, above, now)), proof=proof))

    async def _commit(self, context: ActorContext, moved: Moved) -> Transaction:
        await self._store.commit(commit_of(moved, self._epoch, context.clock.now()))
        after = moved.after
        log = context.log.bind(transaction=after.intent.id, chain=self._chain, state=after.state.value)
        log.info("transaction_step", step=moved.step.kind, nonce=after.nonce, detail=moved.step.detail)
        if moved.step.kind == "renonced":
            self.renonced += 1
            log.error("nonce_used_by_another", reason=after.reason)
        if after.state not in HOLDING and after.state is not State.APPROVED:
            self.ended[after.state] += 1
            (log.info if after.state is State.FINAL else log.error)("transaction_ended", reason=after.reason)
        return after

    def _note(self, transaction: Transaction, wait: Wait) -> None:
        if wait.trouble:
            self.troubles.append(f"{transaction.intent.id}: {wait.why}")


def _held(present: Mapping[str, Transaction]) -> set[int]:
    return {each.nonce for each in present.values() if each.state in HOLDING and each.nonce is not None}


def _by_signer(queue: Queue) -> Iterator[tuple[Address, dict[str, Transaction]]]:
    """The transactions of each by id, in order."""
    ordered = sorted(queue.transactions, key=lambda each: each.intent.signer)
    for signer, mine in groupby(ordered, key=lambda each: each.intent.signer):
        yield signer, {each.intent.id: each for each in mine}
