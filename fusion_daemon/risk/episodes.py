"""Episodes: what a change of state means to the people who were told about the account.

An episode opens when an account leaves HEALTHY and ends when it returns. Its events are numbered by
step, and (account, episode, step) is the identity of an event and of its alert.

    from      to        driver                            event
    HEALTHY   worse     what a reorg withdrew is back     REINSTATED  same episode, next step
    HEALTHY   worse     anything else                     OPENED      next episode, step 1
    worse     worse     what a reorg withdrew is back     REINSTATED  same episode, next step
    worse     worse     anything else                     WORSENED    same episode, next step
    worse     better    a reorg that withdrew a cause     CORRECTED   same episode, next step
    worse     HEALTHY   anything else                     RESOLVED    same episode, next step
    worse     better    anything else                     IMPROVED    same episode, next step

"A reorg that withdrew a cause": a step of this episode for the worse was caused by the same chain, at or
above the lowest block that the reorg retracted. If a price opened the call and the new branch holds the
customer's repayment, the customer has cured it: nothing is corrected.

"What a reorg withdrew is back": a CORRECTED of this episode was caused by the same chain, and this step is
at a block not above the retracted tip + 64. A -> B -> A opens nothing twice, on several chains at once too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from fusion_daemon.domain.identifiers import AccountId, ChainId
from fusion_daemon.domain.margin import (
    Cause,
    MarginEvent,
    MarginFigures,
    MarginInputs,
    MarginKind,
    MarginState,
)

CAUSES_KEPT = 8
"""More steps for the worse than these lie within no reorg."""
RESUMABLE_BLOCKS = 64
"""Blocks above a retracted tip within which a transaction that comes back is taken for the same one."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a chain caused something."""

    chain: ChainId
    block: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What must be remembered of an account between two evaluations; persisted."""

    state: MarginState
    episode: int = 0
    """The last one opened, 0: none yet."""
    step: int = 0
    """The last one taken in it."""
    causes: tuple[Place, ...] = ()
    """Of this episode's steps for the worse, those that a chain caused and no reorg withdrew; oldest first."""
    withdrawn: tuple[Place, ...] = ()
    """What a CORRECTED of this episode took away and is not back: one a chain, at the retracted tip."""


UNKNOWN = Standing(MarginState.HEALTHY)
"""Of an account that never left HEALTHY."""


@dataclass(frozen=True, slots=True)
class Retracted:
    """What a reorg took back: the blocks from `lowest` to `tip`."""

    chain: ChainId
    lowest: int
    tip: int

    def reaches(self, cause: Place) -> bool:
        return cause.chain == self.chain and cause.block >= self.lowest


@dataclass(frozen=True, slots=True)
class Driver:
    """What made an evaluation necessary."""

    cause: Cause
    as_of: int
    """Unix seconds at which interest is accrued: the price's, the block's or the clock's time."""
    past: bool
    """The driver's own time lies before the start of the actor."""
    place: Place | None = None
    """For CHAIN and REORG: where the last folded entry stands."""
    retracted: Retracted | None = None
    """For REORG."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """An account's state and everything shown of it."""

    state: MarginState
    figures: MarginFigures
    confirmed: bool
    health_low: int | None
    health_high: int | None


def transition(
    account: AccountId, before: Standing, now: Assessment, driver: Driver, inputs: MarginInputs
) -> tuple[Standing, MarginEvent] | None:
    """The account's new standing and the event that records it; None while the state stays."""
    if now.state == before.state:
        return None
    kind, after = _step(before, now.state, driver)
    return after, MarginEvent(
        account=account,
        episode=after.episode,
        step=after.step,
        kind=kind,
        before=before.state,
        after=now.state,
        cause=driver.cause,
        confirmed=now.confirmed,
        past=driver.past,
        figures=now.figures,
        health_low=now.health_low,
        health_high=now.health_high,
        inputs=inputs,
    )


def _step(before: Standing, state: MarginState, driver: Driver) -> tuple[MarginKind, Standing]:
    episode, step, place, retracted = before.episode, before.step + 1, driver.place, driver.retracted
    causes = moved(before, driver).causes
    if state > before.state:
        if place is not None:
            if _is_back(before.withdrawn, place):
                others = _elsewhere(before.withdrawn, place.chain)
                return MarginKind.REINSTATED, Standing(state, episode, step, _and(causes, place), others)
            causes = _and(causes, place)
        if before.state is MarginState.HEALTHY:
            return MarginKind.OPENED, Standing(state, episode + 1, 1, () if place is None else (place,))
        return MarginKind.WORSENED, Standing(state, episode, step, causes, before.withdrawn)
    if retracted is not None and any(map(retracted.reaches, before.causes)):
        if state is MarginState.HEALTHY:  # of what remains else, the cause may be in the new branch
            causes = tuple(each for each in before.causes if not retracted.reaches(each))
        withdrawn = (*_elsewhere(before.withdrawn, retracted.chain), Place(retracted.chain, retracted.tip))
        return MarginKind.CORRECTED, Standing(state, episode, step, causes, withdrawn)
    # A recovery in between does not make the withdrawn cause a new one when it comes back.
    kind = MarginKind.RESOLVED if state is MarginState.HEALTHY else MarginKind.IMPROVED
    return kind, Standing(state, episode, step, causes, before.withdrawn)


def moved(standing: Standing, driver: Driver) -> Standing:
    """The standing after a reorg that took nothing away: the causes it retracted are in the new branch.

    Where exactly nobody needs to know: at its tip they are within every reorg that reaches them.
    The very same object when nothing moves.
    """
    place, retracted = driver.place, driver.retracted
    if place is None or retracted is None or not any(map(retracted.reaches, standing.causes)):
        return standing
    causes = tuple(place if retracted.reaches(each) else each for each in standing.causes)
    return replace(standing, causes=causes)


def _and(causes: tuple[Place, ...], place: Place) -> tuple[Place, ...]:
    return (*causes, place)[-CAUSES_KEPT:]


def _elsewhere(places: Iterable[Place], chain: ChainId) -> tuple[Place, ...]:
    return tuple(each for each in places if each.chain != chain)


def _is_back(withdrawn: Iterable[Place], place: Place) -> bool:
    return any(each.chain == place.chain and place.block <= each.block + RESUMABLE_BLOCKS for each in withdrawn)
