"""The state is a function of the set of canonical evidence. Each test draws what the chains show.

``A`` is the source chain, ``B`` the destination, ``C`` a third one; numbers are blocks.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from fusion_daemon.crosschain import Evidence, Flag, MessageTracker, Networks, Rules, Stage, Standing, State
from fusion_daemon.crosschain.evidence import AxelarGasAdded, CcipRootRemoved, CcipSkipped, CcipState, CcipVersion
from fusion_daemon.crosschain.judgement import Subject, judge
from fusion_daemon.domain.identifiers import ChainId
from fusion_daemon.domain.journal import BlockRef
from tests.unit.crosschain.world import (
    CCIP,
    NOW,
    RULES,
    SELECTORS,
    STRANGER,
    TERMS,
    A,
    B,
    C,
    Message,
    adapter,
    at,
    ccip_adapter,
    digest,
    judged,
    network,
)

M = Message()
SEND = at(A, 10, 5)
"""The router's own event; the call is the log before, the payment the one before that."""
CALL, PAY = at(A, 10, 4), at(A, 10, 3)
SOURCE = (M.paid(PAY), M.called(CALL), M.sent(SEND))
APPROVAL = M.approved(at(B, 20, 1), CALL)
RUN = (M.ran(at(B, 21, 1), CALL), M.received(at(B, 21, 2)))
CCIP_SOURCE = (M.sent(SEND, CCIP), M.ccip(CALL))
COMMIT = M.committed(at(B, 20))
ALL_FINAL = {A: 100, B: 100}

AXELAR_ROAD = [
    (SOURCE, {}, State.OBSERVED, Stage.SOURCE_FINALITY),
    (SOURCE, {A: 10}, State.SOURCE_FINAL, Stage.ACCEPTANCE),
    ((*SOURCE, APPROVAL), {A: 10}, State.APPROVED, Stage.EXECUTION),
    ((*SOURCE, APPROVAL, RUN[0]), {A: 10}, State.EXECUTING, Stage.APPLICATION),
    ((*SOURCE, APPROVAL, *RUN), {A: 10}, State.EXECUTED, Stage.DESTINATION_FINALITY),
    ((*SOURCE, APPROVAL, *RUN), {A: 10, B: 20}, State.EXECUTED, Stage.DESTINATION_FINALITY),
    ((*SOURCE, APPROVAL, *RUN), {B: 21}, State.EXECUTED, Stage.DESTINATION_FINALITY),
    ((*SOURCE, APPROVAL, *RUN), {A: 10, B: 21}, State.EXECUTED_FINAL, None),
]


@pytest.mark.parametrize(("evidence", "final", "state", "stage"), AXELAR_ROAD)
def test_the_road_of_axelar_whatever_the_order(
    evidence: tuple[Evidence, ...], final: dict[ChainId, int], state: State, stage: Stage | None
) -> None:
    for order in itertools.islice(itertools.permutations(evidence), 200):
        standing = judged(order, final=final)
        assert (standing.state, standing.stage) == (state, stage)


@pytest.mark.parametrize("version", [CcipVersion.V1_5, CcipVersion.V1_6])
def test_the_road_of_ccip_goes_by_the_commit_interval(version: CcipVersion) -> None:
    m = replace(M, version=version)
    source = (m.sent(SEND, CCIP), m.ccip(CALL))
    for first, last, state in (
        (1, 6, State.OBSERVED),
        (1, 7, State.COMMITTED),
        (7, 9, State.COMMITTED),
        (8, 9, State.OBSERVED),
    ):
        assert judged((*source, m.committed(at(B, 20), first, last))).state is state
    done = (*source, m.committed(at(B, 20)), m.executed(at(B, 21, 2)), m.received(at(B, 21, 1), CCIP))
    assert judged(done).state is State.EXECUTED


def test_a_commit_of_another_lane_or_version_is_not_ours() -> None:
    other = replace(M, version=CcipVersion.V1_5).committed(at(B, 20))
    assert judged((*CCIP_SOURCE, other)).state is State.OBSERVED


def test_2_0_has_no_commit_and_waits_for_execution_at_once() -> None:
    m = replace(M, version=CcipVersion.V2_0)
    source = (m.sent(SEND, CCIP), m.ccip(CALL))
    waiting = judged(source, final={A: 10})
    assert (waiting.state, waiting.stage, waiting.due) == (State.SOURCE_FINAL, Stage.EXECUTION, NOW + 300 + 200)
    assert judged((*source, m.executed(at(B, 21)), m.received(at(B, 21, 1)))).state is State.EXECUTED


def test_a_withdrawn_root_is_no_commit_until_it_is_committed_again() -> None:
    removed = CcipRootRemoved(at(B, 21), COMMIT.root)
    assert judged((*CCIP_SOURCE, COMMIT, removed)).state is State.OBSERVED
    assert judged((*CCIP_SOURCE, COMMIT, removed, M.committed(at(B, 22)))).state is State.COMMITTED
    assert judged((*CCIP_SOURCE, COMMIT, CcipRootRemoved(at(B, 21), digest("another")))).state is State.COMMITTED


def test_a_failure_is_retryable_and_the_last_outcome_counts() -> None:
    failed = (*CCIP_SOURCE, COMMIT, M.executed(at(B, 21), CcipState.FAILURE))
    assert (judged(failed).state, judged(failed).stage) == (State.FAILED, Stage.RETRY)
    retried = (*failed, M.executed(at(B, 25), CcipState.SUCCESS))
    assert judged(retried).state is State.EXECUTING
    assert judged((*retried, M.received(at(B, 25, 1)))).state is State.EXECUTED
    assert judged((*retried, M.reverted(at(B, 26, -1)))).state is State.FAILED
    assert judged((*CCIP_SOURCE, COMMIT, M.executed(at(B, 21), CcipState.IN_PROGRESS))).state is State.EXECUTING


def test_a_reverted_execution_leaves_no_event_and_fails_all_the_same() -> None:
    failed = (*SOURCE, APPROVAL, M.reverted(at(B, 21, -1)))
    assert judged(failed).state is State.FAILED
    assert judged((*failed, M.ran(at(B, 22, 1), CALL), M.received(at(B, 22, 2)))).state is State.EXECUTED


def test_stored_by_our_router_then_recovered_then_final() -> None:
    stored = (*SOURCE, APPROVAL, RUN[0], M.stored(at(B, 21, 2)))
    assert (judged(stored).state, judged(stored).stage) == (State.APP_FAILED, Stage.RECOVERY)
    assert Flag.SUCCESS_WITHOUT_APPLICATION not in judged(stored).flags
    recovered = (*stored, M.recovered(at(B, 30)))
    assert judged(recovered).state is State.RECOVERED
    assert judged(recovered, final=ALL_FINAL).state is State.EXECUTED_FINAL


@pytest.mark.parametrize(
    "evidence",
    [
        (*SOURCE, APPROVAL, RUN[0]),
        (*CCIP_SOURCE, COMMIT, M.executed(at(B, 21))),
        (*CCIP_SOURCE, COMMIT, M.executed(at(B, 21)), M.received(at(B, 21, 1, tx="another"))),
    ],
)
def test_a_success_without_the_applications_event_in_its_transaction_is_flagged(evidence: tuple[Evidence, ...]) -> None:
    standing = judged(evidence, final=ALL_FINAL)
    assert Flag.SUCCESS_WITHOUT_APPLICATION in standing.flags
    assert Flag.SUCCESS_WITHOUT_APPLICATION not in judged((*SOURCE, APPROVAL, *RUN)).flags


# Source and destination


def test_destination_first_counts_for_a_grace_time_then_it_is_an_orphan() -> None:
    ahead = (APPROVAL, *RUN)
    standing = judged(ahead, NOW + 59)
    assert (standing.state, standing.flags, standing.due) == (State.EXECUTED, (Flag.SOURCE_UNSEEN,), NOW + 60)
    assert judged(ahead, NOW + 60).state is State.ORPHAN
    assert judged(ahead, NOW, ALL_FINAL).state is State.EXECUTED, "not final without a final source"
    assert judged((*ahead, *SOURCE), NOW + 60).state is State.EXECUTED


def test_a_source_that_vanished_is_reorged_out_and_revives_under_its_new_hash() -> None:
    gone = judged((), lost=SEND)
    assert (gone.state, gone.because, gone.progress) == (State.REORGED_OUT, (SEND,), None)
    assert judged((APPROVAL, *RUN), lost=SEND).state is State.REORGED_OUT, "executed, though its source is gone"
    anew = (M.paid(at(A, 11, 3, "b")), M.called(at(A, 11, 4, "b")), M.sent(at(A, 11, 5, "b")))
    assert judged(anew, lost=SEND).state is State.OBSERVED
    assert judged((), lost=SEND, successor=digest("next")).successor == digest("next")


def test_an_approval_of_the_dropped_hash_is_a_stray_one() -> None:
    anew = (M.paid(at(A, 11, 3, "b")), M.called(at(A, 11, 4, "b")), M.sent(at(A, 11, 5, "b")))
    standing = judged((*anew, APPROVAL))
    assert (standing.state, standing.flags) == (State.OBSERVED, (Flag.STRAY_APPROVAL,))
    assert judged((*anew, APPROVAL, *RUN)).state is State.EXECUTED, "what ran has run"


@pytest.mark.parametrize("wrong", ["tx", "index"])
def test_transaction_and_position_in_the_receipt_are_the_key(wrong: str) -> None:
    other = at(A, 10, 4, tx="another") if wrong == "tx" else at(A, 10, 5)
    assert judged((*SOURCE, M.approved(at(B, 20), other))).state is State.OBSERVED
    block_level = f"0x{CALL.tx_hash.hex()}-{CALL.log_index}"
    assert CALL.log_index != CALL.receipt_index
    fields = {each: getattr(APPROVAL, each) for each in APPROVAL.__struct_fields__}
    by_block = type(APPROVAL)(**(fields | {"source_message": block_level}))
    assert judged((*SOURCE, by_block)).state is State.OBSERVED


@pytest.mark.parametrize(
    "forged",
    [
        M.called(at(A, 12), sender=STRANGER),
        M.called(at(C, 12), sender=adapter(C)),
        M.ccip(at(A, 12), sender=STRANGER),
        M.ccip(at(C, 12), sender=ccip_adapter(C)),
        M.approved(at(B, 19), CALL, sender=STRANGER),
        M.approved(at(B, 19), CALL, source="gamma"),
        M.approved(at(C, 19), CALL),
        M.sent(at(C, 12)),
        M.received(at(C, 19)),
        M.refused(at(C, 19)),
    ],
    ids=lambda each: type(each).__name__,
)
def test_the_right_payload_from_the_wrong_place_is_an_alarm_and_no_match(forged: Evidence) -> None:
    alone = judged([forged])
    assert (alone.state, alone.progress, alone.flags) == (State.ORPHAN, None, (Flag.FORGED,))
    beside = judged([*SOURCE, forged])
    assert (beside.state, beside.flags) == (State.OBSERVED, (Flag.FORGED,))


def test_a_forged_approval_does_not_lend_its_command_to_an_execution() -> None:
    standing = judged((*SOURCE, M.approved(at(B, 19), CALL, sender=STRANGER), RUN[0]))
    assert standing.progress is State.OBSERVED


def test_applied_twice_is_a_duplicate_and_a_refused_replay_is_not() -> None:
    done = (*SOURCE, APPROVAL, *RUN)
    assert judged((*done, M.received(at(B, 30)))).state is State.DUPLICATE
    assert judged((*done, M.recovered(at(B, 30)))).state is State.DUPLICATE
    again = judged((*done, M.refused(at(B, 30))))
    assert (again.state, again.flags) == (State.EXECUTED, (Flag.REPLAY_REFUSED,))
    skipped = CcipSkipped(at(B, 30), (CcipVersion.V1_6, SELECTORS[A], SELECTORS[B], b""), M.seq)
    assert Flag.REPLAY_REFUSED in judged((*CCIP_SOURCE, skipped)).flags


def test_refused_for_good_fails_and_says_so() -> None:
    standing = judged((*SOURCE, APPROVAL, M.refused(at(B, 21))))
    assert (standing.state, standing.flags) == (State.FAILED, (Flag.REFUSED,))


def test_over_both_bridges_the_first_that_applies_wins() -> None:
    both = (*SOURCE, M.ccip(at(A, 10, 9)), COMMIT, APPROVAL, *RUN, M.executed(at(B, 25)), M.refused(at(B, 25, 1)))
    standing = judged(both, final=ALL_FINAL)
    assert (standing.state, standing.flags) == (State.EXECUTED_FINAL, (Flag.REPLAY_REFUSED,))


# Gas


def test_gas_flags_are_beside_the_state_and_end_with_the_application() -> None:
    unpaid = SOURCE[1:]
    assert judged(unpaid).flags == (Flag.GAS_UNPAID,)
    assert judged((M.paid(PAY, 999), *unpaid)).flags == (Flag.GAS_LOW,)
    assert judged((M.paid(PAY, 1_000), *unpaid)).flags == ()
    assert judged((*unpaid, APPROVAL, *RUN)).flags == ()


@pytest.mark.parametrize("index", [CALL.receipt_index, CALL.log_index])
def test_gas_added_later_names_the_call_by_either_index(index: int) -> None:
    added = AxelarGasAdded(at(A, 15), CALL.tx_hash, index, None, 600)
    assert judged((*SOURCE[1:], M.paid(PAY, 500), added)).flags == ()
    assert judged((*SOURCE[1:], added)).flags == (Flag.GAS_LOW,)


# Time and the operator


@pytest.mark.parametrize(
    ("evidence", "final", "stage", "seconds"),
    [
        (SOURCE, {}, Stage.SOURCE_FINALITY, 100),
        (SOURCE, {A: 10}, Stage.ACCEPTANCE, 200),
        ((*SOURCE, APPROVAL), {}, Stage.EXECUTION, 300),
        ((*SOURCE, APPROVAL, RUN[0]), {}, Stage.APPLICATION, 50),
        ((*SOURCE, APPROVAL, M.reverted(at(B, 21, -1))), {}, Stage.RETRY, 400),
        ((*SOURCE, APPROVAL, M.stored(at(B, 21))), {}, Stage.RECOVERY, 500),
        ((*SOURCE, APPROVAL, *RUN), {}, Stage.DESTINATION_FINALITY, 600),
    ],
)
def test_each_stage_has_its_time_then_it_is_stuck_and_named(
    evidence: tuple[Evidence, ...], final: dict[ChainId, int], stage: Stage, seconds: int
) -> None:
    before, after = judged(evidence, NOW + seconds - 1, final), judged(evidence, NOW + seconds, final)
    assert before.state is before.progress
    assert before.due == NOW + seconds
    assert (after.state, after.stage, after.progress, after.due) == (State.STUCK, stage, before.progress, None)


def test_a_deadline_expires_what_is_not_applied_and_nothing_else() -> None:
    m = M.but(deadline=NOW + 10)
    source = (m.paid(PAY), m.called(CALL), m.sent(SEND))
    assert judged(source, NOW + 10, message=m).state is State.OBSERVED
    assert judged(source, NOW + 10, message=m).due == NOW + 11
    assert judged(source, NOW + 11, message=m).state is State.EXPIRED
    assert judged((*source, m.received(at(B, 21))), NOW + 11, message=m).state is State.EXECUTED


def test_the_operators_word_ends_what_is_not_applied() -> None:
    assert judged(SOURCE, NOW + 9_999, abandoned=True).state is State.ABANDONED
    assert judged((*SOURCE, APPROVAL, *RUN), abandoned=True).state is State.EXECUTED


def test_a_state_names_its_evidence() -> None:
    assert judged(SOURCE).because == (CALL,)
    assert judged((*SOURCE, APPROVAL)).because == (APPROVAL.place,)
    assert judged((*SOURCE, APPROVAL, *RUN), final=ALL_FINAL).because[-1] == RUN[1].place


# Sent again

AGAIN = at(A, 30, 6, timestamp=NOW + 1_000)
RESEND = (M.resent(AGAIN), M.ccip(at(A, 30, 5, timestamp=NOW + 1_000)))


def test_a_resend_gives_the_bridges_their_time_again() -> None:
    """source ── acceptance 200 ──▶ STUCK ── resend ── 200 ──▶ STUCK"""
    assert judged(SOURCE, NOW + 199, {A: 10}).state is State.SOURCE_FINAL
    assert judged(SOURCE, NOW + 200, {A: 10}).state is State.STUCK
    resent = judged((*SOURCE, *RESEND), NOW + 1_199, {A: 10})
    assert (resent.state, resent.flags, resent.due) == (State.SOURCE_FINAL, (Flag.RESENT,), NOW + 1_200)
    assert judged((*SOURCE, *RESEND), NOW + 1_200, {A: 10}).state is State.STUCK


def test_a_resend_after_an_approval_that_nobody_takes_starts_its_time_again_too() -> None:
    assert judged((*SOURCE, APPROVAL), NOW + 300, {A: 10}).state is State.STUCK
    assert judged((*SOURCE, APPROVAL, *RESEND), NOW + 1_299, {A: 10}).state is State.APPROVED
    assert judged((*SOURCE, APPROVAL, *RESEND), NOW + 1_300, {A: 10}).state is State.STUCK


def test_a_resend_changes_nothing_where_no_bridge_has_to_act() -> None:
    stored = (*SOURCE, APPROVAL, M.stored(at(B, 21)), *RESEND)
    assert judged(stored, NOW + 500, {A: 10}).state is State.STUCK


def test_whichever_bridge_accepts_first_says_how_it_is_accepted() -> None:
    assert judged((*SOURCE, *RESEND, COMMIT), NOW + 1_000, {A: 40}).state is State.COMMITTED
    assert judged((*SOURCE, *RESEND, APPROVAL), NOW + 1_000, {A: 40}).state is State.APPROVED


def test_both_attempts_are_one_message_that_is_executed_once_and_its_replay_no_duplicate() -> None:
    replay = (COMMIT, M.executed(at(B, 23, 2)), M.refused(at(B, 23, 1)))
    evidence: tuple[Evidence, ...] = (*SOURCE, *RESEND, APPROVAL, *RUN, *replay)
    for order in itertools.islice(itertools.permutations(evidence), 200):
        standing = judged(order, final=ALL_FINAL)
        assert (standing.state, standing.flags) == (State.EXECUTED_FINAL, (Flag.REPLAY_REFUSED, Flag.RESENT))


def test_a_resend_on_another_chain_than_the_source_is_forged() -> None:
    assert judged((*SOURCE, M.resent(at(C, 30)))).flags == (Flag.FORGED,)


@pytest.mark.parametrize("left", [A, B])
@pytest.mark.parametrize("version", CcipVersion)
def test_a_chain_that_is_taken_out_makes_no_forgery_of_what_it_took_part_in(
    left: ChainId, version: CcipVersion
) -> None:
    """Over both bridges, and done; a stranger's call on a chain that is read is one still."""
    message, call = Message(version=version), at(A, 1, 2)
    ours: list[Evidence] = [message.sent(at(A, 1)), message.called(call), message.approved(at(B, 1), call)]
    ours += [message.ran(at(B, 2), call), message.received(at(B, 2, 2))]
    ours += [message.resent(at(A, 2)), message.ccip(at(A, 2, 1))]
    rules = Rules(Networks([network(chain) for chain in (left, C)]), TERMS)

    def judged_now(*more: Evidence) -> Standing:
        found = judge(Subject(message.id, message.envelope, [*ours, *more]), rules, {A: 9, B: 9}, NOW)
        assert found is not None
        return found

    assert (judged_now().state, judged_now().flags) == (State.EXECUTED_FINAL, (Flag.RESENT,))
    assert Flag.FORGED in judged_now(message.called(at(left, 3), STRANGER)).flags


def test_of_several_forgeries_it_does_not_matter_which_came_first() -> None:
    forged = [M.called(at(A, block), STRANGER) for block in (3, 1, 2)]
    for abandoned in (False, True):
        found = {judged(each, abandoned=abandoned).because for each in itertools.permutations(forged)}
        assert len(found) == 1


def test_numbers_of_2_0_are_no_key() -> None:
    """Two messages under one number, as faster-than-finality lanes give them: each is executed by its own id."""
    first, second = (Message(version=CcipVersion.V2_0, seq=7).but(nonce=nonce) for nonce in (1, 2))
    ran = second.executed(at(B, 20))
    evidence: list[Evidence] = [second.sent(at(A, 10), CCIP), second.ccip(at(A, 10, 1)), ran]
    evidence += [first.sent(at(A, 9), CCIP), first.ccip(at(A, 9, 1)), second.received(at(B, 20, 1), CCIP)]
    tracker = MessageTracker(RULES)
    for each in evidence:
        place = each.place
        tracker.apply(place.chain, BlockRef(place.block_number, place.block_hash, place.timestamp), [each])
    tracker.settle(NOW)
    found = {each.id: each.state for each in tracker.standings()}
    assert found == {first.id: State.OBSERVED, second.id: State.EXECUTED}


def test_a_late_first_delivery_after_a_resend_counts_once_in_either_order() -> None:
    """Sent, resent over the other bridge; the second attempt is applied, the first comes late and is refused."""
    base: list[Evidence] = [*SOURCE, M.resent(at(A, 30)), M.ccip(at(A, 30, 1)), M.received(at(B, 40), CCIP)]
    late: list[Evidence] = [APPROVAL, M.ran(at(B, 50), CALL), M.refused(at(B, 50, 1))]
    for evidence in ([*base, *late], [*late, *reversed(base)]):
        standing = judged(evidence, final=ALL_FINAL)
        assert (standing.state, standing.flags) == (State.EXECUTED_FINAL, (Flag.REPLAY_REFUSED, Flag.RESENT))
    undone = [each for each in [*base, *late] if each.place.block_number != 30]
    assert judged(undone, final=ALL_FINAL).state is State.EXECUTED_FINAL, "a reorg of the resend alone"
