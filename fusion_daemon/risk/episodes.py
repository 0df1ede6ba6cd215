"""Episodes: what a change of state means to the people who were told about the account.

An episode opens when an account leaves HEALTHY and ends when it returns. Its events are numbered by
step, and (account, episode, step) is the identity of an event and of its alert.

    from      to        driver                         event
    HEALTHY   worse     what a reorg withdrew is back  REINSTATED  same episode, next step
    HEALTHY   worse     anything else                  OPENED      next episode, step 1
    worse     worse     what a reorg withdrew is back  REINSTATED  same episode, next step
    worse     worse     anything else                  WORSENED    same episode, next step
    worse     better    a reorg                        CORRECTED   same episode, next step
    worse     HEALTHY   anything else                  RESOLVED    same episode, next step
    worse     better    anything else                  IMPROVED    same episode, next step

"What a reorg withdrew is back": the last worsening was followed by a CORRECTED, and this one is
caused by the same chain at a block not above the retracted tip + 64. A -> B -> A opens nothing twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from fusion_daemon.domain.identifiers import AccountId, ChainId
from fusion_daemon.domain.margin import (
    Cause,
    MarginEvent,
    MarginFigures,
    MarginInputs,
    MarginKind,
    MarginState,
)

RESUMABLE_BLOCKS = 64
"""Blocks above a retracted tip within which a transaction that comes back is taken for the same one."""


@dataclass(frozen=True, slots=True)
class Retraction:
    chain: ChainId
    tip: int
    """The highest block that the correcting reorg retracted."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What must be remembered of an account between two evaluations; persisted."""

    state: MarginState
    episode: int
    """The last one opened, 0: none yet."""
    step: int
    """The last one taken in it."""
    corrected: Retraction | None
    """Set by CORRECTED, cleared by the next worsening."""


UNKNOWN = Standing(MarginState.HEALTHY, 0, 0, None)
"""Of an account that never left HEALTHY."""


@dataclass(frozen=True, slots=True)
class Driver:
    """What made an evaluation necessary."""

    cause: Cause
    as_of: int
    """Unix seconds at which interest is accrued: the price's, the block's or the clock's time."""
    past: bool
    """The driver's own time lies before the start of the actor."""
    block: tuple[ChainId, int] | None = None
    """For CHAIN and REORG: where the last folded entry stands."""
    retracted_tip: int | None = None
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
    following = Standing(state, before.episode, before.step + 1, None)
    if state > before.state:
        if _is_back(before.corrected, driver):
            return MarginKind.REINSTATED, following
        if before.state is MarginState.HEALTHY:
            return MarginKind.OPENED, Standing(state, before.episode + 1, 1, None)
        return MarginKind.WORSENED, following
    if driver.cause is Cause.REORG and driver.block is not None and driver.retracted_tip is not None:
        withdrawn = Retraction(driver.block[0], driver.retracted_tip)
        return MarginKind.CORRECTED, Standing(state, before.episode, before.step + 1, withdrawn)
    # A recovery in between does not make the withdrawn cause a new one when it comes back.
    following = Standing(state, before.episode, before.step + 1, before.corrected)
    return (MarginKind.RESOLVED if state is MarginState.HEALTHY else MarginKind.IMPROVED), following


def _is_back(corrected: Retraction | None, driver: Driver) -> bool:
    if corrected is None or driver.block is None:
        return False
    chain, block = driver.block
    return chain == corrected.chain and block <= corrected.tip + RESUMABLE_BLOCKS
