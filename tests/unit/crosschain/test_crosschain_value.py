"""A message's value counts once: at its source until the destination's application has it."""

from __future__ import annotations

import pytest

from fusion_daemon.crosschain import Evidence, Kind, Standing, Unit, Way, in_flight
from fusion_daemon.domain.identifiers import ChainId
from tests.unit.crosschain.world import ENVELOPE, NOW, STRANGER, A, B, Message, at, judged

M = Message()
WAY = Way(A, B, Unit.CREDIT, ENVELOPE.asset)
SOURCE = (M.sent(at(A, 10, 5)), M.called(at(A, 10, 4)))
APPROVAL = M.approved(at(B, 20), SOURCE[1].place)
FINAL: dict[ChainId, int] = {A: 100, B: 100}


@pytest.mark.parametrize(
    ("evidence", "counts"),
    [
        (SOURCE, True),
        ((*SOURCE, APPROVAL), True),
        ((*SOURCE, APPROVAL, M.ran(at(B, 21), SOURCE[1].place)), True),
        ((*SOURCE, APPROVAL, M.stored(at(B, 21))), True),
        ((*SOURCE, M.refused(at(B, 21))), True),
        ((*SOURCE, M.received(at(B, 21))), False),
        ((*SOURCE, M.stored(at(B, 21)), M.recovered(at(B, 22))), False),
        ((*SOURCE, M.received(at(B, 21)), M.received(at(B, 22))), False),
        ((M.received(at(B, 21)),), False),
        ((APPROVAL,), False),
        ((M.called(at(A, 10), STRANGER),), False),
    ],
)
def test_value_is_on_its_way_from_the_source_until_it_is_applied(evidence: tuple[Evidence, ...], counts: bool) -> None:
    for final, now in (({}, NOW), (FINAL, NOW), (FINAL, NOW + 10**6)):
        assert in_flight([judged(evidence, now, final)]) == ({WAY: 5_000} if counts else {})


def test_neither_a_lost_source_nor_an_abandoned_word_makes_value_vanish_or_appear() -> None:
    assert in_flight([judged((), lost=at(A, 10))]) == {}
    assert in_flight([judged(SOURCE, abandoned=True)]) == {WAY: 5_000}


def test_amounts_add_up_by_way_and_credit_never_with_tokens() -> None:
    def standing(kind: int, amount: int) -> Standing:
        m = M.but(kind=kind, amount=amount)
        return judged([m.sent(at(A, 10))], message=m)

    messages = [
        standing(kind, amount) for kind, amount in ((Kind.GRANT, 1), (Kind.RELEASE, 2), (Kind.SEIZE, 4), (9, 8))
    ]
    assert in_flight(messages) == {WAY: 7}
    assert in_flight([standing(Kind.CALL, 16)]) == {}, "it asks for credit and carries none"
    units = {Kind.GRANT: Unit.CREDIT, 9: Unit.TOKEN}
    assert in_flight(messages, units) == {WAY: 1, Way(A, B, Unit.TOKEN, ENVELOPE.asset): 8}
