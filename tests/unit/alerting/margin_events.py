"""Margin events for tests of what comes after them."""

from __future__ import annotations

from fusion_daemon.domain.identifiers import AccountId
from fusion_daemon.domain.margin import (
    Cause,
    MarginEvent,
    MarginFigures,
    MarginInputs,
    MarginKind,
    MarginState,
)

WAD = 10**18
USD = 10**8


def margin_event(
    account: str = "acct-1",
    episode: int = 1,
    step: int = 1,
    kind: MarginKind = MarginKind.OPENED,
    before: MarginState = MarginState.HEALTHY,
    after: MarginState = MarginState.MARGIN_CALL,
) -> MarginEvent:
    """A margin call at health factor 1.1 unless told otherwise."""
    return MarginEvent(
        account=AccountId(account),
        episode=episode,
        step=step,
        kind=kind,
        before=before,
        after=after,
        cause=Cause.PRICE,
        confirmed=True,
        past=False,
        figures=MarginFigures(
            collateral_usd=15_000 * USD,
            debt_usd=12_000 * USD,
            threshold_usd=13_200 * USD,
            health_factor=11 * WAD // 10,
            score_bps=2500,
            cure_repay_usd=3_200 * USD,
            cure_deposit_usd=5_454_54545455,
        ),
        health_low=11 * WAD // 10,
        health_high=11 * WAD // 10,
        inputs=MarginInputs(price_seq=7, chains=(), configuration="c0" * 32, as_of=1_700_000_000),
    )
