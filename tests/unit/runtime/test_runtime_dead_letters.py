"""The office of dead letters: every one counted, the last of each reason described, and nothing of what they hold."""

from __future__ import annotations

from dataclasses import dataclass

from fusion_daemon.runtime import DeadLetter, DeadLetters, ManualClock, Reason
from fusion_daemon.runtime.dead_letters import KEPT, LONGEST_TRACEBACK
from tests.unit.runtime.post import Boom, Isolation


@dataclass(frozen=True, slots=True)
class Payment:
    """A message with a secret."""

    password: str = "open sesame"


def test_a_dead_letter_tells_its_type_and_not_its_content() -> None:
    clock = ManualClock(1_000.0)
    office = DeadLetters(clock)
    office.record("margin", Payment(), Reason.FULL)
    clock.advance(5.0)
    office.record("other", Payment(), Reason.EXPIRED)
    seen = office.statistics()
    assert seen.latest == (
        DeadLetter(1, "margin", "Payment", Reason.FULL, 1_000.0),
        DeadLetter(2, "other", "Payment", Reason.EXPIRED, 1_005.0),
    )
    assert seen.counts == {("margin", Reason.FULL): 1, ("other", Reason.EXPIRED): 1}
    assert "sesame" not in str(seen)


def test_a_flood_of_one_reason_leaves_the_others_in_sight() -> None:
    office = DeadLetters(ManualClock())
    office.record("margin", 0, Reason.LATE_REPLY)
    for _ in range(10 * KEPT):
        office.record("prices", 0, Reason.SUPERSEDED)
    seen = office.statistics()
    assert len(seen.latest) == KEPT + 1
    assert seen.latest[0].reason is Reason.LATE_REPLY
    assert seen.counts["prices", Reason.SUPERSEDED] == 10 * KEPT


def test_poison_is_counted_without_a_quarantine_and_kept_by_one() -> None:
    isolation = Isolation()
    for office in (DeadLetters(ManualClock()), DeadLetters(ManualClock(), isolation)):
        office.set_aside("margin", Payment(), b"encoded", Boom("x" * 2 * LONGEST_TRACEBACK))
        assert office.statistics().counts == {("margin", Reason.QUARANTINED): 1}
    (poison,) = isolation.kept
    assert (poison.mailbox, poison.message, poison.payload) == ("margin", "Payment", b"encoded")
    assert len(poison.traceback) == LONGEST_TRACEBACK
