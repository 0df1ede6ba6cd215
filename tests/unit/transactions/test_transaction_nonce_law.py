"""The law of nonces, whatever chain, pool, operator, clock and kill do: one effect, no shared nonce, no gap left."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fusion_daemon.domain.identifiers import Hash32
from fusion_daemon.domain.transaction import Intent
from fusion_daemon.transactions.commands import Command, command
from fusion_daemon.transactions.decide import Broadcast, Sign, Trial, Wait, decide, prepare
from fusion_daemon.transactions.moves import Moved, record, record_answer, record_signed
from fusion_daemon.transactions.nonces import is_behind, lowest_gap, next_nonce
from fusion_daemon.transactions.proposal import gap_filler
from fusion_daemon.transactions.records import HOLDING, OPEN, Kind, Signed, State, Transaction
from tests.unit.transactions.making import INTENT, POLICY
from tests.unit.transactions.model_chain import ModelChain, Raw


class Killed(Exception):
    pass


class Sender:
    """The actor's loop over the pure core. `stored` is all that outlives a life."""

    def __init__(self, chain: ModelChain) -> None:
        self.chain = chain
        self.stored: dict[str, Transaction] = {}
        self.owners: dict[Hash32, tuple[str, Kind]] = {}
        self.now = 0.0
        self.gap: int | None = None
        self._acts_left = 0

    def look(self, acts: int, *, answers: bool = True) -> None:
        """One look, killed after so many acts towards the store or the node."""
        self._acts_left = acts
        try:
            self._look(answers)
        except Killed:
            self.gap = None

    def _look(self, answers: bool) -> None:
        sight = self.chain.sight([signed.hash for each in self.stored.values() for signed in each.signed])
        for id_ in [each.intent.id for each in self.stored.values() if each.state in HOLDING]:
            for _ in range(8):
                transaction = self.stored[id_]
                if transaction.state not in HOLDING:
                    break
                decision = decide(transaction, sight, self.now, POLICY)
                if isinstance(decision, Wait):
                    break
                if isinstance(decision, Broadcast):
                    self._broadcast(transaction, decision.signed, answers)
                    break
                self._commit(
                    record_signed(transaction, self._signed(transaction.intent, decision))
                    if isinstance(decision, Sign)
                    else record(transaction, decision)
                )
        floor = max((floor_of(each) for each in self.stored.values()), default=0)
        if is_behind(sight.counts, floor):
            return
        gap = lowest_gap(sight.counts, self.held(), floor)
        lasting = gap if gap == self.gap else None
        self.gap = gap
        for transaction in [each for each in self.stored.values() if each.state is State.APPROVED]:
            held = self.held()
            nonce = next_nonce(sight.counts, held, floor) if lasting is None or lasting in held else lasting
            assert nonce is not None
            order = prepare(transaction, Trial(21_000), sight.market, nonce, 10**20, POLICY)
            assert isinstance(order, Sign)
            self._commit(record_signed(transaction, self._signed(transaction.intent, order)))
            after = self.stored[transaction.intent.id]
            self._broadcast(after, after.latest, answers)
        if lasting is not None and lasting not in self.held():
            above = min((each for each in self.stored.values() if (each.nonce or 0) > lasting), key=lambda a: a.number)
            newest = max(each.number for each in self.stored.values() if each.state in OPEN)
            filler = gap_filler(above, lasting, newest)
            self._act()  # one under this id is no second one
            self.stored.setdefault(filler.id, self.made(filler, State.APPROVED))

    def made(self, intent: Intent, state: State) -> Transaction:
        return Transaction(intent, len(self.stored) + 1, state, self.now)

    def held(self) -> set[int]:
        return {each.nonce for each in self.stored.values() if each.state in HOLDING and each.nonce is not None}

    def _signed(self, intent: Intent, order: Sign) -> Signed:
        hash_ = Hash32(hashlib.sha256(repr((intent.id, order)).encode()).digest())
        self.owners[hash_] = (intent.id, order.kind)
        return Signed(order.kind, hash_, hash_, order.nonce, order.gas, order.fees, self.now)

    def _broadcast(self, transaction: Transaction, signed: Signed, answers: bool) -> None:
        self._act()
        answer = self.chain.submit(Raw(signed.hash, signed.nonce, signed.fees))
        if not answers:
            raise Killed
        moved = record_answer(transaction, signed, answer, "")
        if moved is not None:
            self._commit(moved)

    def _commit(self, moved: Moved) -> None:
        self._act()
        assert self.stored[moved.before.intent.id] == moved.before
        self.stored[moved.before.intent.id] = moved.after

    def _act(self) -> None:
        if self._acts_left == 0:
            raise Killed
        self._acts_left -= 1


def floor_of(transaction: Transaction) -> int:
    return 0 if transaction.state in OPEN or transaction.nonce is None else transaction.nonce + 1


class NonceLaw(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.chain = ModelChain()
        self.sender = Sender(self.chain)

    @rule(patience=st.none() | st.sampled_from([5.0, 200.0]))
    def propose(self, patience: float | None) -> None:
        deadline = None if patience is None else self.sender.now + patience
        intent = replace(INTENT, id=f"pay:{len(self.sender.stored)}", deadline=deadline)
        self.sender.stored[intent.id] = self.sender.made(intent, State.APPROVED)

    @rule(acts=st.integers(0, 8), answers=st.booleans())
    def look_and_die(self, acts: int, answers: bool) -> None:
        self.sender.look(acts, answers=answers)

    @rule()
    def look(self) -> None:
        self.sender.look(1_000)

    @rule(blocks=st.integers(1, 4))
    def mine(self, blocks: int) -> None:
        for _ in range(blocks):
            self.chain.mine()

    @rule(depth=st.integers(1, 3))
    def reorg(self, depth: int) -> None:
        self.chain.reorg(depth)

    @rule()
    def somebody_else_is_mined(self) -> None:
        nonce = self.chain.count(self.chain.head)
        self.chain.pool.pop(nonce, None)
        self.chain.blocks.append([self.chain.somebody_else(nonce)])

    @rule()
    def somebody_else_waits(self) -> None:
        self.chain.submit(self.chain.somebody_else(self.chain.pending))

    @rule()
    def somebody_elses_block_does_not_stay(self) -> None:
        self.somebody_else_is_mined()
        self.propose(None)
        self.look()
        self.chain.reorg(1)

    @rule(which=st.integers(0, 50))
    def an_old_broadcast_comes_back(self, which: int) -> None:
        """Nodes forget nothing for certain: whatever was once out may be mined while its nonce is free."""
        if self.chain.heard:
            self.chain.submit(self.chain.heard[which % len(self.chain.heard)])

    @rule()
    def the_pool_is_lost(self) -> None:
        self.chain.pool.clear()

    @rule()
    def time_passes(self) -> None:
        self.sender.now += 70.0

    @precondition(lambda self: any(each.state in (State.SIGNED, State.SENT) for each in self.sender.stored.values()))
    @rule(which=st.integers(0, 10))
    def an_operator_calls_one_off(self, which: int) -> None:
        signed = [each for each in self.sender.stored.values() if each.state in (State.SIGNED, State.SENT)]
        chosen = signed[which % len(signed)]
        if chosen.ending is None:
            moved = command(chosen, chosen.intent.id, Command.CANCEL, "ada")
            self.sender.stored[chosen.intent.id] = moved.after

    @invariant()
    def no_two_live_ones_share_a_nonce(self) -> None:
        live = [each.nonce for each in self.sender.stored.values() if each.state in HOLDING]
        assert len(set(live)) == len(live)

    @invariant()
    def an_intent_has_one_effect_at_most_and_its_state_says_which(self) -> None:
        heights = self.chain.mined()
        effects: dict[str, list[int]] = {}
        for hash_, (id_, kind) in self.sender.owners.items():
            if kind is Kind.INTENT and hash_ in heights:
                effects.setdefault(id_, []).append(heights[hash_])
        for transaction in self.sender.stored.values():
            found = effects.get(transaction.intent.id, [])
            assert len(found) <= 1
            if transaction.state is State.FINAL:
                assert found[0] <= self.chain.final
            elif transaction.state not in OPEN:
                assert not found

    def teardown(self) -> None:
        """Left alone, everything comes to its end: nothing waits for ever behind a gap."""
        for _ in range(60):
            self.sender.look(1_000)
            self.chain.mine()
        self.an_intent_has_one_effect_at_most_and_its_state_says_which()
        assert [each for each in self.sender.stored.values() if each.state in OPEN] == []


TestNonceLaw = NonceLaw.TestCase
TestNonceLaw.settings = settings(max_examples=150, stateful_step_count=40)
