"""The fold tells what the judgement of the canonical set says, by whatever path the set came about."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion_daemon.crosschain import (
    Envelope,
    Evidence,
    MessageId,
    MessageTracker,
    Place,
    Sent,
    Standing,
    State,
    TrackerState,
    decode_evidence,
    encode_evidence,
    read_envelope,
)
from fusion_daemon.crosschain.evidence import (
    AxelarApproved,
    AxelarCalled,
    AxelarExecuted,
    AxelarGasAdded,
    CcipCommitted,
    CcipExecuted,
    CcipRootRemoved,
    CcipSent,
    CcipSkipped,
    CcipState,
    CcipVersion,
    Received,
)
from fusion_daemon.crosschain.judgement import Subject, judge
from fusion_daemon.domain.identifiers import ChainId
from fusion_daemon.domain.journal import BlockRef
from tests.effort import effort
from tests.unit.crosschain.world import CCIP, NOW, RULES, SELECTORS, STRANGER, A, B, Message, at

Blocks = dict[tuple[ChainId, bytes], list[Evidence]]

# The reference: which evidence has to do with a message, told by comparing each with each


def related(message: MessageId, every: Iterable[Evidence]) -> list[Evidence]:
    every = list(every)
    own = [each for each in every if getattr(each, "id", None) == message]
    return own + [each for each in every if any(_claims(mine, each) for mine in own) or _removal(each, own, every)]


def _claims(mine: Evidence, each: Evidence) -> bool:
    match mine, each:
        case AxelarApproved(), AxelarExecuted():
            return (mine.place.chain, mine.command) == (each.place.chain, each.command)
        case AxelarCalled(), AxelarGasAdded():
            return (mine.place.chain, mine.place.tx_hash) == (each.place.chain, each.source_tx)
        case CcipSent(), CcipExecuted():
            return mine.message == each.message
        case CcipSent(), CcipCommitted():
            return mine.lane is not None and mine.lane == each.lane and each.first <= mine.seq <= each.last
        case CcipSent(), CcipSkipped():
            return (
                mine.lane is not None
                and each.lane is not None
                and mine.lane[:3] == each.lane[:3]
                and mine.seq == each.seq
            )
    return False


def _removal(each: Evidence, own: list[Evidence], every: list[Evidence]) -> bool:
    return isinstance(each, CcipRootRemoved) and any(
        isinstance(commit, CcipCommitted)
        and (commit.place.chain, commit.root) == (each.place.chain, each.root)
        and any(_claims(mine, commit) for mine in own)
        for commit in every
    )


def reference(
    canonical: Iterable[Evidence], final: dict[ChainId, int], now: int, lost: dict[MessageId, Sent]
) -> dict[MessageId, Standing]:
    every = list(canonical)
    there = {each.id for each in every if isinstance(each, Sent)}
    found = {}
    for message in {each.id for each in every if hasattr(each, "id")} | set(lost):
        envelope = envelope_of(message, (*every, *lost.values()))
        took = successor_of(message, envelope, there) if message in lost else None
        gone = lost[message].place if message in lost else None
        subject = Subject(message, envelope, related(message, every), gone, took)
        standing = judge(subject, RULES, final, now)
        if standing is not None:
            found[message] = standing
    return found


def envelope_of(message: MessageId, every: Iterable[Evidence]) -> Envelope | None:
    payloads = (each.payload for each in every if getattr(each, "id", None) == message and hasattr(each, "payload"))
    return next(map(read_envelope, payloads), None)


def successor_of(message: MessageId, envelope: Envelope | None, there: set[MessageId]) -> MessageId | None:
    assert envelope is not None
    kin = sorted(
        ((other.envelope.source, other.envelope.nonce) != (envelope.source, envelope.nonce), other.id)
        for other in MESSAGES
        if other.id in there - {message}
        and (other.envelope.nonce == envelope.nonce or other.envelope.content == envelope.content)
    )
    return kin[0][1] if kin else None


# The truth: a random history of two chains with every fault, and what each of its blocks shows

MESSAGES = [
    Message(),
    Message(version=CcipVersion.V1_5).but(nonce=2),
    replace(Message(version=CcipVersion.V2_0), seq=8).but(nonce=2, amount=1),
    replace(Message(), seq=8).but(nonce=3, amount=77, deadline=NOW + 150),
]


def shown(message: Message, chance: random.Random) -> list[Evidence]:
    """What one message may leave on the chains: steps are dropped, doubled, delayed, forged, and fail."""

    def place(chain: ChainId, log: int) -> Place:
        block = chance.randrange(1, 6)
        return at(chain, block, log, chance.choice(("", "", "", "fork")), chance.randrange(2), NOW + block)

    logs = iter(range(MESSAGES.index(message) * 100 + 1, 10_000))
    call, send = place(A, next(logs)), place(A, next(logs))
    steps: list[Evidence] = [
        message.sent(send),
        message.sent(place(A, next(logs))),
        message.called(call),
        message.called(place(A, next(logs))),
        message.called(place(A, next(logs)), STRANGER),
        message.paid(msgspec.structs.replace(call, log_index=next(logs)), chance.choice((10, 5_000))),
        AxelarGasAdded(place(A, next(logs)), call.tx_hash, call.log_index, None, 900),
        message.approved(place(B, next(logs)), call),
        message.approved(place(B, next(logs)), send),
        message.approved(place(B, next(logs)), call, STRANGER),
        message.ran(place(B, next(logs)), call),
        message.ccip(place(A, next(logs))),
        message.executed(place(B, next(logs)), chance.choice(list(CcipState))),
        message.executed(place(B, next(logs)), CcipState.SUCCESS),
        message.received(place(B, next(logs))),
        message.received(place(B, next(logs)), CCIP),
        message.stored(place(B, next(logs))),
        message.recovered(place(B, next(logs))),
        message.refused(place(B, next(logs))),
        message.reverted(place(B, -next(logs))),
        CcipSkipped(place(B, next(logs)), (message.version, SELECTORS[A], SELECTORS[B], b""), message.seq),
    ]
    if message.version is not CcipVersion.V2_0:
        commit = message.committed(place(B, next(logs)), chance.randrange(5, 9), chance.randrange(5, 10))
        steps += [commit, CcipRootRemoved(place(B, next(logs)), commit.root)]
    density = chance.random()
    return [each for each in steps if chance.random() < density]


class World:
    def __init__(self, seed: int, messages: int) -> None:
        self.named = f"World({seed}, {messages})"
        self.chance = random.Random(seed)
        self.blocks: Blocks = defaultdict(list)
        for message in MESSAGES[:messages]:
            for each in shown(message, self.chance):
                self.blocks[each.place.chain, each.place.block_hash].append(each)

    def __repr__(self) -> str:
        return self.named

    def ref(self, key: tuple[ChainId, bytes]) -> BlockRef:
        place = self.blocks[key][0].place
        return BlockRef(place.block_number, place.block_hash, place.timestamp)

    def subset(self) -> list[tuple[ChainId, bytes]]:
        return [key for key in self.blocks if self.chance.random() < 0.6]


worlds = st.builds(World, st.integers(0, 2**32), st.integers(1, len(MESSAGES)))


def told(tracker: MessageTracker) -> dict[MessageId, Standing]:
    return {standing.id: standing for standing in tracker.standings()}


def walk(world: World, tracker: MessageTracker, goal: set[tuple[ChainId, bytes]]) -> set[Sent]:
    """Any path of applies, retracts, replays, parts and settlements that ends at `goal`; the sources seen on it."""
    chance = world.chance
    seen: set[Sent] = set()
    standing: set[tuple[ChainId, bytes]] = set()

    def apply(key: tuple[ChainId, bytes]) -> None:
        evidence = world.blocks[key]
        parts = [evidence] if chance.random() < 0.7 else [evidence[: len(evidence) // 2], evidence]
        for part in parts:
            chance.shuffle(shuffled := list(part))
            tracker.apply(key[0], world.ref(key), shuffled)
        seen.update(each for each in evidence if isinstance(each, Sent))
        standing.add(key)

    for key in chance.choices(list(world.blocks), k=12) if world.blocks else []:
        if key in standing and chance.random() < 0.6:
            tracker.retract(key[0], world.ref(key))
            standing.discard(key)
        else:
            apply(key)
        if chance.random() < 0.3:
            tracker.settle(NOW)
    rest = [*(standing - goal), *(goal - standing)]
    chance.shuffle(rest)
    for key in rest:
        if key in standing:
            tracker.retract(key[0], world.ref(key))
        else:
            apply(key)
    return seen


@settings(max_examples=200)
@given(worlds, st.integers(0, 700), st.integers(-1, 6), st.integers(-1, 6))
def test_any_path_to_the_same_set_gives_the_judgement_of_the_set(
    world: World, later: int, final_a: int, final_b: int
) -> None:
    tracker, goal = MessageTracker(RULES), set(world.subset())
    final = {A: final_a, B: final_b}
    early = world.chance.random() < 0.5
    if early:
        for chain, number in final.items():
            tracker.finality(chain, number)
    seen = walk(world, tracker, goal)
    tracker.settle(NOW)
    canonical = [each for key in goal for each in world.blocks[key]]
    lost = tracker.state().lost
    assert told(tracker) == reference(canonical, final if early else {}, NOW, lost)
    for chain, number in final.items():
        tracker.finality(chain, number)
    tracker.settle(NOW + later)
    assert lost.keys() == {each.id for each in seen} - {each.id for each in canonical if isinstance(each, Sent)}
    expected = reference(canonical, final, NOW + later, lost)
    assert told(tracker) == expected
    again = MessageTracker.restored(
        RULES, msgspec.msgpack.decode(msgspec.msgpack.encode(tracker.state()), type=TrackerState, strict=False)
    )
    assert again.settle(NOW + later) == [], "what was told is not told again after a restart"
    assert told(again) == expected


@settings(max_examples=150)
@given(worlds)
def test_apply_then_retract_leaves_all_as_it_was_but_what_was_seen(world: World) -> None:
    tracker, keep = MessageTracker(RULES), world.subset()
    for key in keep:
        tracker.apply(key[0], world.ref(key), world.blocks[key])
    tracker.settle(NOW)
    before, evidence = told(tracker), set(tracker.state().evidence)
    others = [key for key in world.blocks if key not in keep]
    for key in others:
        tracker.apply(key[0], world.ref(key), world.blocks[key])
    if world.chance.random() < 0.5:
        tracker.settle(NOW)
    for key in reversed(others):
        tracker.retract(key[0], world.ref(key))
    tracker.settle(NOW)
    assert set(tracker.state().evidence) == evidence
    lost = tracker.state().lost
    after = told(tracker)
    assert {name: after[name] for name in after.keys() - lost.keys()} == {
        name: before[name] for name in before.keys() - lost.keys()
    }
    assert not (lost.keys() & {each.id for each in evidence if isinstance(each, Sent)})
    if not keep:
        assert {each.state for each in tracker.standings()} <= {State.REORGED_OUT}


@settings(max_examples=100)
@given(worlds, st.lists(st.integers(0, 700), max_size=4))
def test_the_transitions_folded_from_nothing_are_the_standings(world: World, steps: list[int]) -> None:
    tracker, now = MessageTracker(RULES), NOW
    folded: dict[MessageId, Standing | None] = {}
    for key in world.blocks:
        tracker.apply(key[0], world.ref(key), world.blocks[key])
        if world.chance.random() < 0.4:
            tracker.retract(key[0], world.ref(key))
        for transition in tracker.settle(now):
            known = folded.get(transition.id)
            assert known is None or known.same(transition.before)
            assert (known is None) == (transition.before is None)
            folded[transition.id] = transition.after
    for step in sorted(steps):
        assert tracker.settle(now) == []
        now = NOW + step
        for transition in tracker.settle(now):
            folded[transition.id] = transition.after
    standing = told(tracker)
    assert all(standing[name].same(each) for name, each in folded.items() if each is not None)
    assert {name for name, each in folded.items() if each is not None} == set(standing)


@settings(max_examples=50)
@given(worlds)
def test_evidence_comes_back_from_its_row(world: World) -> None:
    for evidence in world.blocks.values():
        for each in evidence:
            assert decode_evidence(encode_evidence(each)) == each


# Scenarios

M = Message()


def ref(place: Place) -> BlockRef:
    return BlockRef(place.block_number, place.block_hash, place.timestamp)


def folded(tracker: MessageTracker, *evidence: Evidence) -> None:
    for each in evidence:
        tracker.apply(each.place.chain, ref(each.place), [each])


def test_a_reorg_is_undone_exactly_and_names_what_it_took() -> None:
    """A: 10 <- 11 (the source)   B: 20 <- 21 (applied), then 21 is retracted, then 10 on another fork sends anew."""
    tracker = MessageTracker(RULES)
    source, applied = M.sent(at(A, 11)), M.received(at(B, 21))
    folded(tracker, source, applied)
    assert [each.after.state for each in tracker.settle(NOW) if each.after] == [State.EXECUTED]
    tracker.retract(B, ref(applied.place))
    (undone,) = tracker.settle(NOW)
    assert undone.after is not None
    assert (undone.after.state, undone.undone) == (State.OBSERVED, (applied.place,))
    tracker.retract(A, ref(source.place))
    (gone,) = tracker.settle(NOW)
    assert gone.after is not None
    assert (gone.after.state, gone.after.because, gone.undone) == (State.REORGED_OUT, (source.place,), (source.place,))
    folded(tracker, M.sent(at(A, 10, fork="b")))
    (revived,) = tracker.settle(NOW)
    assert revived.after is not None
    assert revived.after.state is State.OBSERVED


def test_a_dropped_source_names_who_took_its_nonce_or_says_the_same() -> None:
    for other in (M.but(amount=1), M.but(nonce=9)):
        tracker = MessageTracker(RULES)
        lost, next_ = M.sent(at(A, 10)), other.sent(at(A, 10, fork="b"))
        folded(tracker, lost)
        tracker.retract(A, ref(lost.place))
        tracker.settle(NOW)
        folded(tracker, next_)
        tracker.settle(NOW)
        standing = tracker.standing(M.id)
        assert standing is not None
        assert (standing.state, standing.successor) == (State.REORGED_OUT, other.id)
        tracker.retract(A, ref(next_.place))
        tracker.settle(NOW)
        standing = tracker.standing(M.id)
        assert standing is not None
        assert standing.successor is None


def test_time_alone_moves_a_message_at_the_second_it_named() -> None:
    tracker = MessageTracker(RULES)
    folded(tracker, M.sent(at(A, 10)))
    tracker.settle(NOW)
    assert tracker.next_due == NOW + 100
    assert tracker.settle(NOW + 99) == []
    (stuck,) = tracker.settle(NOW + 100)
    assert stuck.after is not None
    assert stuck.after.state is State.STUCK
    tracker.finality(A, 10)
    (final,) = tracker.settle(NOW + 100)
    assert final.after is not None
    assert (final.after.state, tracker.next_due) == (State.SOURCE_FINAL, NOW + 200)


def test_finality_never_goes_back_and_the_operators_word_can() -> None:
    tracker = MessageTracker(RULES)
    folded(tracker, M.sent(at(A, 10)))
    tracker.finality(A, 10)
    tracker.finality(A, 9)
    tracker.settle(NOW)
    tracker.abandon(M.id)
    assert [each.after.state for each in tracker.settle(NOW) if each.after] == [State.ABANDONED]
    tracker.resume(M.id)
    assert [each.after.state for each in tracker.settle(NOW) if each.after] == [State.SOURCE_FINAL]


def test_a_forgotten_block_takes_a_message_without_source_away_altogether() -> None:
    tracker = MessageTracker(RULES)
    applied = M.received(at(B, 21))
    folded(tracker, applied)
    tracker.settle(NOW)
    tracker.retract(B, ref(applied.place))
    (gone,) = tracker.settle(NOW)
    assert (gone.after, gone.undone, list(tracker.standings())) == (None, (applied.place,), [])
    assert isinstance(applied, Received)


def test_a_commit_comes_goes_is_withdrawn_and_returns() -> None:
    """B: 20 commits, 21 withdraws. Retracting either is told at once, though no evidence names the message."""
    tracker = MessageTracker(RULES)
    commit = M.committed(at(B, 20))
    removed = CcipRootRemoved(at(B, 21), commit.root)
    folded(tracker, M.sent(at(A, 10, 5)), M.ccip(at(A, 10, 4)), commit)

    def state() -> State:
        tracker.settle(NOW)
        standing = tracker.standing(M.id)
        assert standing is not None
        return standing.state

    assert state() is State.COMMITTED
    folded(tracker, removed)
    assert state() is State.OBSERVED
    tracker.retract(B, ref(removed.place))
    assert state() is State.COMMITTED
    tracker.retract(B, ref(commit.place))
    assert state() is State.OBSERVED
    folded(tracker, commit)
    assert state() is State.COMMITTED


def test_saying_the_same_thousands_of_times_costs_what_saying_different_things_does() -> None:
    say_again = [M.but(nonce=nonce) for nonce in range(2, 1_002)]
    say_other = [M.but(nonce=nonce, amount=nonce) for nonce in range(2, 1_002)]
    assert cost_of(say_again) < 1.1 * cost_of(say_other)


def cost_of(messages: Sequence[Message]) -> int:
    sources = [message.sent(at(A, message.envelope.nonce)) for message in messages]
    tracker = MessageTracker(RULES)
    folded(tracker, M.sent(at(A, 1)))
    tracker.retract(A, ref(at(A, 1)))
    with effort() as folding:
        folded(tracker, *sources)
    return folding.calls
