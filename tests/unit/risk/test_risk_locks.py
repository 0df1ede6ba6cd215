"""Locked collateral counts once, for whom it backs: from the lock over release to seizure, however it is folded."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from fusion_daemon.domain.identifiers import Address
from fusion_daemon.domain.journal import BalanceChange, Change, JournalEntry, Side
from fusion_daemon.risk.portfolio import Portfolio
from tests.unit.risk.margin_scene import ONE, TOKENS, VAULT, WETH, JournalWriter, deposit, name, owner

LOCKS = Address(b"\x10" * 20)
OWNER, TREASURY = 1, 2
START = 100


@dataclass(frozen=True)
class Move:
    """What one transaction does to locked collateral, as the two contracts log it."""

    kind: str
    amount: int

    @property
    def changes(self) -> tuple[Change, ...]:
        if self.kind == "lock":
            return (*moved(owner(OWNER), LOCKS, self.amount), locked(self.amount))
        receiver = OWNER if self.kind == "release" else TREASURY
        return (*moved(LOCKS, owner(receiver), self.amount), locked(-self.amount))


def moved(giver: Address, receiver: Address, amount: int) -> tuple[Change, ...]:
    """The vault's CollateralTransferred."""
    return (
        BalanceChange(VAULT, giver, WETH, Side.COLLATERAL, -amount),
        BalanceChange(VAULT, receiver, WETH, Side.COLLATERAL, amount),
    )


def locked(amount: int) -> Change:
    """The lock contract's own word: of whom it holds how much."""
    return BalanceChange(LOCKS, owner(OWNER), WETH, Side.COLLATERAL, amount)


@st.composite
def lives(draw: st.DrawFn) -> list[Move]:
    """Locks, releases and seizures that the contracts allow: nobody locks or frees more than there is."""
    free, held, moves = START, 0, []
    for _ in range(draw(st.integers(1, 8))):
        kind = draw(st.sampled_from(["lock"] if not held else ["lock", "release", "seize"] if free else ["seize"]))
        amount = draw(st.integers(0, free if kind == "lock" else held))
        free += {"lock": -amount, "release": amount, "seize": 0}[kind]
        held += amount if kind == "lock" else -amount
        moves.append(Move(kind, amount))
    return moves


def pictured(portfolio: Portfolio) -> tuple[int, int]:
    """Collateral of the owner and of the treasury; nobody else has any, and all of it is of one market."""
    assert {market.vault for market in portfolio.markets} <= {VAULT}
    sums = {account: sum(leg.amount for leg in portfolio.legs(account)) for account in portfolio.accounts()}
    found = tuple(sums.pop(name(each), 0) for each in (OWNER, TREASURY))
    assert not any(sums.values())
    return (found[0], found[1])


def expected(moves: list[Move]) -> tuple[int, int]:
    seized = sum(move.amount for move in moves if move.kind == "seize")
    return (START - seized, seized)


def portfolio() -> Portfolio:
    return Portfolio(TOKENS, (ONE,), {(ONE, LOCKS): VAULT})


def journal(moves: list[Move]) -> list[JournalEntry]:
    writer = JournalWriter()
    writer.apply(1, deposit(OWNER, START))
    for number, move in enumerate(moves, 2):
        writer.apply(number, *move.changes)
    return writer.entries


@given(lives())
def test_a_lock_and_a_release_change_nothing_and_a_seizure_changes_hands(moves: list[Move]) -> None:
    picture = portfolio()
    for count, entry in enumerate(journal(moves)):
        picture.fold(entry)
        assert pictured(picture) == expected(moves[:count])
        assert sum(pictured(picture)) == START


@given(lives(), st.randoms(use_true_random=False))
def test_the_logs_of_a_block_count_the_same_in_any_order(moves: list[Move], random: Random) -> None:
    changes = [change for move in moves for change in move.changes]
    random.shuffle(changes)
    writer = JournalWriter()
    picture = portfolio()
    picture.fold(writer.apply(1, deposit(OWNER, START), *changes))
    assert pictured(picture) == expected(moves)


@given(lives(), st.integers(0, 8))
def test_a_picture_is_taken_back_to_every_point(moves: list[Move], kept: int) -> None:
    entries, picture = journal(moves), portfolio()
    for entry in entries:
        picture.fold(entry)
    kept = min(kept, len(moves))
    picture.unwind(entries[kept + 1 :])
    assert pictured(picture) == expected(moves[:kept])
    for entry in entries[kept + 1 :]:
        picture.fold(entry)
    assert pictured(picture) == expected(moves)


@given(lives())
def test_a_reorg_that_takes_the_whole_life_away_leaves_the_deposit(moves: list[Move]) -> None:
    picture, writer = portfolio(), JournalWriter()
    picture.fold(writer.apply(1, deposit(OWNER, START)))
    for number, move in enumerate(moves, 2):
        picture.fold(writer.apply(number, *move.changes))
    for number, move in reversed(list(enumerate(moves, 2))):
        picture.fold(writer.retract(number, *move.changes))
    assert pictured(picture) == (START, 0)
