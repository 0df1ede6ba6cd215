"""Entries that kill their consumer: counted over its lives, condemned at the second death, never swallowed."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from fusion_daemon.runtime import Condemned, ManualClock, Strikes, Suspect
from tests.unit.runtime.post import Boom


class Away(Exception):
    """The store's fault."""


class Court:
    def __init__(self) -> None:
        self.condemned: list[Condemned] = []
        self.strikes = Strikes(ManualClock(1_000.0), self.condemned.append)

    def death(self, seq: int, stream: str = "prices", error: BaseException | None = None) -> int:
        """One life ends over an entry; how many are condemned then."""
        suspect = Suspect("risk", stream, seq, seq - 1, "fold", "Price")
        died = Boom(f"over {seq}") if error is None else error
        with pytest.raises(type(died)):
            with self.strikes.blame(suspect, (Away,)):
                raise died
        return len(self.condemned)


def test_an_entry_is_condemned_at_its_second_death_and_then_begins_anew() -> None:
    court = Court()
    assert [court.death(7) for _ in range(5)] == [0, 1, 1, 2, 2]
    first = court.condemned[0]
    assert first.suspect == Suspect("risk", "prices", 7, 6, "fold", "Price")
    assert "Boom: over 7" in first.traceback
    assert first.at == 1_000.0


def test_a_survived_entry_counts_no_more_once_a_later_one_kills() -> None:
    court = Court()
    assert [court.death(seq) for seq in (7, 8, 7, 8)] == [0, 0, 0, 0]
    assert court.death(8) == 1


def test_streams_and_consumers_are_counted_apart() -> None:
    court = Court()
    assert [court.death(7, stream) for stream in ("prices", "journal:1", "prices", "journal:1")] == [0, 0, 1, 2]


def test_what_the_entry_did_not_do_is_not_its_fault() -> None:
    court = Court()
    for innocent in (Away(), KeyboardInterrupt(), BaseExceptionGroup("", [KeyboardInterrupt()])):
        assert [court.death(7, error=innocent) for _ in range(3)] == [0, 0, 0]
    assert court.death(7, error=ExceptionGroup("", [Boom()])) == 0
    assert court.death(7) == 1


async def test_an_order_to_stop_passes(autojump_clock: trio.testing.MockClock) -> None:
    court = Court()
    for _ in range(3):
        with trio.move_on_after(1.0) as scope:
            with court.strikes.blame(Suspect("risk", "prices", 1, 0, "fold", "Price")):
                await trio.sleep_forever()
        assert scope.cancelled_caught
    assert court.condemned == []


def test_what_survives_is_not_noted() -> None:
    court = Court()
    with court.strikes.blame(Suspect("risk", "prices", 7, 6, "fold", "Price")):
        pass
    assert court.death(7) == 0
