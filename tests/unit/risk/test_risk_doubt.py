"""Doubt never silences, is always called doubt, and does not flap: prices that are missing, stale, suspect or old."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fusion_daemon.config import Config
from fusion_daemon.domain.identifiers import Address
from fusion_daemon.domain.price import USD_SCALE, Price, PriceStatus
from fusion_daemon.risk.margin import RAY
from fusion_daemon.risk.monitor import PATIENCE
from fusion_daemon.risk.report import report
from fusion_daemon.risk.settings import PRICE_LIFETIME, RiskSettings
from fusion_daemon.settings import risk_settings
from tests.unit.risk.margin_scene import (
    DOLLAR,
    ETH,
    ETHER,
    GENESIS,
    ONE,
    TOKENS,
    USD,
    USDC,
    WETH,
    Desk,
    JournalWriter,
    accrual,
    borrow,
    deposit,
    listed,
    name,
    opened_market,
    told,
    usd,
)

STRANGER = Address(b"\x99" * 20)


def scene() -> tuple[Desk, JournalWriter]:
    """Account 7 holds 1 WETH at 2,000 and owes 1,000: health 1.60."""
    desk, chain = Desk(), JournalWriter()
    opened_market(desk, chain)
    desk.fold(chain.apply(2, deposit(7, ETHER), borrow(7, 1_000 * DOLLAR)))
    return desk, chain


def between(seq: int, low: float, high: float, status: PriceStatus = PriceStatus.SUSPECT, at: int = GENESIS) -> Price:
    """ETH in doubt; the best estimate is the middle."""
    price = usd(seq, ETH, (low + high) / 2, at, status)
    return replace(price, usd_low=round(low * USD_SCALE), usd_high=round(high * USD_SCALE))


# Stale and suspect


@pytest.mark.parametrize("status", [PriceStatus.SUSPECT, PriceStatus.STALE])
def test_who_is_worse_at_the_low_end_is_told_at_once_and_unconfirmed(status: PriceStatus) -> None:
    """Between 1,000 and 2,800 the middle, 1,900, is a warning; at the low end it is a liquidation."""
    desk, _ = scene()
    (event,) = desk.price(between(3, 1_000.0, 2_800.0, status))
    assert told([event]) == [("opened", "LIQUIDATION", 1, 1)]
    assert not event.confirmed
    assert (event.health_low, event.health_high) == (8 * 10**17, 224 * 10**16)
    # State, figures and cure belong together: they are those of the low end.
    assert event.figures.health_factor == event.health_low
    assert event.figures.collateral_usd == 1_000 * USD_SCALE
    assert event.figures.cure_repay_usd > 0


def test_doubt_about_a_borrowed_asset_counts_at_its_high_end() -> None:
    desk, chain = Desk(), JournalWriter()
    opened_market(desk, chain)
    desk.fold(chain.apply(2, deposit(7, 4_000 * DOLLAR, USDC), borrow(7, ETHER, WETH)))
    (event,) = desk.price(between(3, 1_800.0, 3_200.0))
    assert (event.after.name, event.figures.debt_usd) == ("MARGIN_CALL", 3_200 * USD_SCALE)
    assert event.health_low == 1125 * 10**15  # 4,000 x 0.9 / 3,200


def test_doubt_relieves_nobody_before_even_its_low_end_does() -> None:
    """1,500 LIVE (called) … 1,500 to 2,000 … 1,900 to 2,000 (1.52: within the hysteresis) … 2,000 LIVE."""
    desk, _ = scene()
    desk.price(usd(3, ETH, 1_500.0))
    for seq, low in enumerate((1_500.0, 1_450.0, 1_550.0, 1_500.0), 4):
        assert desk.price(between(seq, low, 2_000.0)) == []
    (event,) = desk.price(between(8, 1_900.0, 2_000.0))
    assert (told([event]), event.confirmed) == ([("improved", "WARNING", 1, 2)], False)
    (event,) = desk.price(usd(9, ETH, 2_000.0))
    assert (told([event]), event.confirmed) == ([("resolved", "HEALTHY", 1, 3)], True)


def test_a_crash_that_is_suspect_first_and_then_live_is_called_once_and_at_once() -> None:
    """2,000 … 1,250 to 2,000 (a jump that nobody seconds yet) … 1,250 LIVE."""
    desk, _ = scene()
    (event,) = desk.price(between(3, 1_250.0, 2_000.0))
    assert (told([event]), event.confirmed) == ([("opened", "MARGIN_CALL", 1, 1)], False)
    assert desk.price(usd(4, ETH, 1_250.0)) == []
    (event,) = desk.price(usd(5, ETH, 1_200.0))
    assert (told([event]), event.confirmed) == ([("worsened", "LIQUIDATION", 1, 2)], True)
    assert event.health_low == event.health_high == event.figures.health_factor


# Old


def test_a_live_price_confirms_for_its_lifetime_only() -> None:
    """The poller is down: the loan comes one second before, and then after, the end of the price's lifetime."""
    for age, confirmed in ((int(PRICE_LIFETIME), True), (int(PRICE_LIFETIME) + 1, False)):
        desk, chain = Desk(), JournalWriter()
        opened_market(desk, chain)
        taken = chain.apply(2, deposit(7, ETHER), borrow(7, 1_400 * DOLLAR))
        (event,) = desk.fold(replace(taken, block=replace(taken.block, timestamp=GENESIS + age)))
        assert (event.after.name, event.confirmed) == ("MARGIN_CALL", confirmed)
        assert event.health_low == event.health_high


def test_a_price_lives_twice_its_heartbeat_and_a_minute() -> None:
    source = {"kind": "static", "usd": "1"}
    assets = [{"asset": "ETH", "sources": [source], "heartbeat_seconds": 600.0}, {"asset": "USDC", "sources": [source]}]
    chains = [{"id": 1, "name": "one", "rpc_urls": ["http://127.0.0.1:1"]}]
    settings = risk_settings(Config.model_validate({"chains": chains, "oracle": {"assets": assets}}))
    assert [settings.lifetime(asset) for asset in (ETH, USD)] == [1_260.0, PRICE_LIFETIME]
    assert settings.fingerprint != RiskSettings({}).fingerprint  # a confirmation rests on it


def test_a_published_time_that_goes_back_is_stood() -> None:
    """One price bears a time a year ahead; the next ones do not. 8 % a year would carry 1,020 into a warning."""
    desk, chain = Desk(), JournalWriter()
    desk.price(usd(1, ETH, 2_000.0))
    desk.price(usd(2, USD, 1.0))
    rate = RAY * 8 // 100 // (365 * 86_400)
    desk.fold(chain.apply(1, *listed(), accrual(RAY, rate, GENESIS, 2), deposit(7, ETHER), borrow(7, 1_020 * DOLLAR)))
    (event,) = desk.price(usd(3, ETH, 2_000.0, GENESIS + 365 * 86_400))
    assert event.after.name == "WARNING"
    for seq in range(4, 8):
        desk.price(usd(seq, ETH, 2_000.0, GENESIS + 60 * seq))
        desk.conclude(desk.monitor.interest(GENESIS + 60 * seq + 30))
    assert told(desk.events[1:]) == [("resolved", "HEALTHY", 1, 2)]


# Missing


def test_a_trifle_without_a_price_silences_nobody() -> None:
    """One WETH and a fraction of a token whose feed never answered; ETH falls to 100."""
    desk, chain = scene()
    desk.portfolio._tokens = {**TOKENS, (ONE, STRANGER): type(ETH)("BTC")}
    desk.fold(chain.apply(3, replace(listed(9)[0], token=STRANGER), deposit(7, 1, STRANGER)))
    assert desk.events == []  # without it he is healthy too
    (event,) = desk.price(usd(3, ETH, 100.0))
    assert (told([event]), event.confirmed) == ([("opened", "LIQUIDATION", 1, 1)], False)
    assert (event.health_low, event.health_high) == (8 * 10**16, None)
    assert event.inputs.unpriced == ("BTC on chain 1",)
    shown = report(desk.monitor, name(7), GENESIS)
    assert shown is not None
    assert (shown.confirmed, shown.health_high, shown.inputs.unpriced) == (False, None, ("BTC on chain 1",))


def test_owing_a_trifle_without_a_price_silences_nobody_and_relieves_nobody() -> None:
    desk, chain = scene()
    desk.fold(chain.apply(3, borrow(7, 1, STRANGER)))
    (event,) = desk.price(usd(3, ETH, 100.0))
    assert (event.after.name, event.confirmed) == ("LIQUIDATION", False)
    assert (event.health_low, event.health_high) == (None, 8 * 10**16)
    assert event.inputs.unpriced == (f"0x{STRANGER.hex()} on chain 1",)
    assert desk.price(usd(4, ETH, 9_000.0)) == []  # what he owes besides may be anything
    assert told(desk.fold(chain.apply(4, borrow(7, -1, STRANGER)))) == [("resolved", "HEALTHY", 1, 2)]


def test_nobody_is_called_before_the_feeds_had_time_for_their_first_answer() -> None:
    """A new life: the dollar has its price at once, ETH never. The looks of the first minute call nobody."""
    desk, chain = Desk(started_at=GENESIS), JournalWriter()
    desk.price(usd(1, USD, 1.0))
    desk.fold(chain.apply(1, *listed(), accrual(RAY, 0, GENESIS, 2), deposit(7, ETHER), borrow(7, 1_000 * DOLLAR)))
    assert desk.conclude(desk.monitor.interest(GENESIS + PATIENCE - 1)) == []
    (event,) = desk.conclude(desk.monitor.interest(GENESIS + PATIENCE))
    assert (event.after.name, event.confirmed, event.inputs.unpriced) == ("LIQUIDATION", False, ("ETH on chain 1",))
    assert told(desk.price(usd(2, ETH, 2_000.0, GENESIS + PATIENCE + 1))) == [("resolved", "HEALTHY", 1, 2)]
